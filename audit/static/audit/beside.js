// A record beside the list, with previous and next. Without this file, and where there is no room, its page opens.
"use strict";
{
const ROOM_PX = 1100;
const rows = () => [...document.querySelectorAll("#result_list .field-time a")];
let panel = null;
let place = -1;

const leave = () => {
  panel?.remove();
  panel = null;
  document.body.classList.remove("has-beside");
  for (const row of document.querySelectorAll("tr.is-beside")) row.classList.remove("is-beside");
  rows()[place]?.focus();
};

const button = (text, act, disabled) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "button secondary";
  made.textContent = text;
  made.disabled = disabled;
  made.addEventListener("click", act);
  return made;
};

const open = async (at) => {
  const all = rows();
  const link = all[at];
  const answer = await fetch(link.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const record = page.querySelector(".record");
  if (!answer.ok || !record) {
    location.assign(link.href);
    return;
  }
  place = at;
  panel ??= document.createElement("aside");
  panel.id = "beside";
  panel.setAttribute("aria-label", "Record");
  const head = document.createElement("p");
  head.className = "filters";
  const whole = document.createElement("a");
  whole.href = link.href;
  whole.textContent = "Open page";
  head.append(button("‹ Previous", () => open(at - 1), at === 0), button("Next ›", () => open(at + 1), at === all.length - 1), whole, button("Close", leave));
  const title = document.createElement("h2");
  title.textContent = page.querySelector("#content h1")?.textContent ?? "";
  panel.replaceChildren(head, title, document.adoptNode(record));
  document.getElementById("changelist").append(panel);
  document.body.classList.add("has-beside");
  for (const row of document.querySelectorAll("tr.is-beside")) row.classList.remove("is-beside");
  link.closest("tr").classList.add("is-beside");
  dress(panel);
  panel.tabIndex = -1;
  panel.focus({ preventScroll: true });
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("#result_list .field-time a");
  if (!link || innerWidth < ROOM_PX || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(rows().indexOf(link)).catch(() => location.assign(link.href));
});
// Two records are compared: the button waits for them.
const compare = document.querySelector("button[form=compare]");
if (compare) {
  const boxes = [...document.querySelectorAll("#result_list input[type=checkbox]")];
  const count = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    compare.disabled = ticked !== 2;
    compare.textContent = ticked ? `Compare selected (${ticked})` : "Compare two: tick them";
  };
  for (const box of boxes) box.addEventListener("change", count);
  count();
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && panel?.contains(document.activeElement)) leave(); });
}
