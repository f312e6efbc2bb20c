// Beside every path a button that copies it. Without this file the paths can be selected like any text.
"use strict";

for (const path of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.setAttribute("aria-label", `copy the path ${path.textContent}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(path.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(path); // no clipboard without TLS: then Ctrl+C
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
  path.after(" ", button);
}
