// Completes fields, and values that are known, in the query bar. Without this file the help below it lists them.
"use strict";
{
const bar = document.getElementById("searchbar");
const list = document.getElementById("completions");
const known = JSON.parse(document.getElementById("known-values").textContent);
for (const { dataset: { field, value } } of document.querySelectorAll("a.value")) {
  if (!known[field]?.includes(value) && !/[\s"*]/.test(value)) known[field]?.push(value);
}
const MOST = 8;
let chosen = -1;

const word = () => /(\S*)$/.exec(bar.value.slice(0, bar.selectionStart))[1];
const offers = () => {
  const [, sign, text] = /^(-?)(.*)$/.exec(word());
  const at = text.indexOf(":");
  if (at < 0) return text ? Object.keys(known).filter((name) => name.startsWith(text)).map((name) => sign + (name.endsWith(".") ? name : `${name}:`)) : [];
  const [field, start] = [text.slice(0, at), text.slice(at + 1)];
  return (known[field] ?? []).filter((value) => value.startsWith(start) && value !== start).map((value) => `${sign}${field}:${value}`);
};

const hide = () => {
  list.hidden = true;
  chosen = -1;
  bar.setAttribute("aria-expanded", "false");
  bar.removeAttribute("aria-activedescendant");
};
const take = (text) => {
  const before = bar.value.slice(0, bar.selectionStart - word().length);
  const after = bar.value.slice(bar.selectionStart);
  bar.value = before + text + (/[:.]$/.test(text) ? "" : " ") + after.trimStart();
  const place = bar.value.length - after.trimStart().length;
  bar.setSelectionRange(place, place);
  bar.focus();
  show();
};
const mark = () => {
  [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
  if (chosen >= 0) bar.setAttribute("aria-activedescendant", `completion-${chosen}`);
};
const show = () => {
  const found = offers().slice(0, MOST);
  if (!found.length) {
    hide();
    return;
  }
  chosen = -1;
  list.replaceChildren(...found.map((text, place) => {
    const item = document.createElement("li");
    item.id = `completion-${place}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.textContent = text;
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      take(text);
    });
    return item;
  }));
  list.hidden = false;
  bar.setAttribute("aria-expanded", "true");
};
bar.addEventListener("input", show);
bar.addEventListener("blur", hide);
bar.addEventListener("keydown", (event) => {
  if (list.hidden) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    chosen = (chosen + step + list.children.length) % list.children.length;
    mark();
  } else if ((event.key === "Enter" || event.key === "Tab") && (chosen >= 0 || event.key === "Tab")) {
    event.preventDefault();
    take(list.children[Math.max(chosen, 0)].textContent);
  } else if (event.key === "Escape") {
    event.stopPropagation();
    event.preventDefault();
    hide();
  }
});
}
