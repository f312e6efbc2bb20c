// The rail, the keys and the menus of every page. Without this file all works by mouse and Tab.
"use strict";
{
const root = document.documentElement;
const collapse = document.getElementById("rail-collapse");
if (collapse) {
  const show = () => {
    const open = root.dataset.rail !== "collapsed";
    collapse.setAttribute("aria-expanded", String(open));
    collapse.replaceChildren(open ? "« Collapse" : "»");
    collapse.setAttribute("aria-label", open ? "Collapse the menu" : "Expand the menu");
  };
  collapse.hidden = false;
  collapse.addEventListener("click", () => {
    root.dataset.rail = root.dataset.rail === "collapsed" ? "open" : "collapsed";
    localStorage.setItem("rail", root.dataset.rail);
    show();
  });
  show();
}

const isTyping = (target) => target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]") !== null;
const search = () => document.getElementById("searchbar") ?? document.getElementById("find-text");
const KEYS_OF_LISTS = [["j k", "down and up the list"], ["o", "open the record"], ["c", "copy its address"]];

const keys = () => {
  const shown = document.getElementById("keys-shown");
  if (shown) {
    shown.close();
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.id = "keys-shown";
  dialog.setAttribute("aria-label", "Keys");
  const list = document.createElement("dl");
  const all = [["/ or Ctrl K", "search"], ["?", "show or hide this"], ["Esc", "leave the search, close the menu"]];
  for (const [key, text] of [...all, ...(document.getElementById("result_list") ? KEYS_OF_LISTS : [])]) {
    const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = key;
    meaning.textContent = text;
    list.append(term, meaning);
  }
  const close = document.createElement("button");
  close.textContent = "Close";
  close.className = "button";
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(list, close);
  document.body.append(dialog);
  dialog.showModal();
};

// Times are UTC; the reader's own, and how long ago that is, on hover.
const AGES = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const ago = (moment) => {
  const seconds = (moment - Date.now()) / 1000;
  const [unit, length] = AGES.find(([, length]) => Math.abs(seconds) >= 2 * length) ?? AGES.at(-1);
  return new Intl.RelativeTimeFormat("en").format(Math.round(seconds / length), unit);
};
document.addEventListener("pointerover", (event) => {
  const time = event.target.closest?.("time[datetime]");
  if (!time) return;
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.valueOf())) time.title = `${moment.toLocaleString("en-GB", { timeZoneName: "short" })} on this device, ${ago(moment)}; shown in UTC`;
});

// On a narrow screen a row of a wide table is a card: each value stands beside the name of its column.
const WIDE_COLUMNS = 3;
const ownForm = ".model-record #result_list, .stacked, .lines, .calendar, .heat-map";
for (const table of document.querySelectorAll("#result_list, .scroll .plain")) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  if (heads.length < WIDE_COLUMNS || table.matches(ownForm) || table.tHead.rows.length > 1) continue;
  const names = heads.map((cell) => (cell.querySelector(".text, a") ?? cell).textContent.trim());
  table.classList.add("cards");
  for (const row of [...table.tBodies].flatMap((body) => [...body.rows])) {
    [...row.cells].forEach((cell, place) => (cell.dataset.column = cell.colSpan > 1 ? "" : (names[place] ?? "")));
  }
}

document.addEventListener("keydown", (event) => {
  const isJump = event.key === "k" && (event.ctrlKey || event.metaKey) && !event.altKey;
  if (isJump || (event.key === "/" && !isTyping(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey)) {
    event.preventDefault();
    search()?.focus();
    search()?.select();
  } else if (event.key === "?" && !isTyping(event.target)) {
    event.preventDefault();
    keys();
  } else if (event.key === "Escape") {
    if (event.target === search()) event.target.blur();
    if (location.hash === "#rail") location.hash = "#content-start";
    for (const menu of document.querySelectorAll("#account-menu[open]")) menu.open = false;
  }
});
}
