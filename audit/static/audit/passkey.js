// What went wrong with a key, said on the page.
"use strict";
const WHY = {
  InvalidStateError: "This key is on your list already. Use another one.",
  NotAllowedError: "The key did not answer in time, or you called it off. Try again.",
  NotSupportedError: "This key is too old for this site. Use another one.",
  SecurityError: "Keys need HTTPS and a name: the address of this page may not begin with http: or be a bare number.",
};
document.addEventListener("allauth.error", (event) => {
  event.preventDefault(); // else it goes to the console, where nobody looks
  const error = event.detail.exception;
  const why = window.webauthnJSON.supported() ? WHY[error.name] : WHY.SecurityError;
  document.getElementById("passkey-problem").textContent = why ?? `The key could not be used: ${error.message}`;
});
