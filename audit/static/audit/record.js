// Buttons that copy, and the parts of a record as tabs. Without this file all parts stand one below the other.
"use strict";

const dress = (root) => {
  for (const path of root.querySelectorAll("[data-copy]")) {
    if (path.nextElementSibling?.className === "copy") continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", `copy ${path.textContent}`);
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
  const tabs = [...root.querySelectorAll(".tabs a")];
  const parts = tabs.map((tab) => root.querySelector(tab.getAttribute("href")));
  const show = (at) => {
    tabs.forEach((tab, place) => {
      if (place === at) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
      parts[place].hidden = place !== at;
    });
  };
  const named = (hash) => Math.max(parts.findIndex((part) => hash.length > 1 && (part.matches(hash) || part.querySelector(hash))), 0);
  if (!tabs.length) return;
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    show(named(link.getAttribute("href")));
    if (root === document) history.replaceState(null, "", link.getAttribute("href"));
  });
  show(root === document ? named(location.hash) : 0);
};

dress(document);
