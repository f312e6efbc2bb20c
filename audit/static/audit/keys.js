// Keys of the list of records. Without this file all works by mouse and Tab.
"use strict";
{
const links = () => [...document.querySelectorAll("#result_list .field-time a")];

const step = (by) => {
  const all = links();
  const at = all.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
  next?.focus();
};

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  o: () => {
    const link = document.activeElement.closest("#result_list tr")?.querySelector(".field-time a");
    if (link) location.assign(link.href);
  },
  c: () => navigator.clipboard?.writeText(
    document.activeElement.closest("#result_list tr")?.querySelector(".field-time a")?.href ?? location.href),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
  if (!typing && Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
}
