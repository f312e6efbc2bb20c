// Keys: "/" goes to the query bar, Escape leaves it. Without this file all works by mouse and Tab.
"use strict";

document.addEventListener("keydown", (event) => {
  const bar = document.getElementById("searchbar");
  if (bar === null || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable]") !== null;
  if (event.key === "/" && !typing) {
    event.preventDefault();
    bar.focus();
    bar.select();
  } else if (event.key === "Escape" && event.target === bar) {
    bar.blur();
  }
});
