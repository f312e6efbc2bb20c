// A value of a row: filter for it, exclude it, copy it, see its timeline. Without this file it is a link that filters.
"use strict";
{
const quoted = (text) => (/^[^\s"*\\-][^\s"*]*$/.test(text) ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`);
const withTerm = (term) => {
  const address = new URL(location.href);
  const query = document.querySelector("#changelist-search [name=q]").defaultValue;
  address.searchParams.delete("after");
  address.searchParams.set("q", `${query} ${term}`.trim());
  return address.search;
};

let shown = null;
const close = (back) => {
  if (!shown) return;
  shown.menu.remove();
  shown.link.setAttribute("aria-expanded", "false");
  if (back) shown.link.focus();
  shown = null;
};

const open = (link) => {
  close(false);
  const { field, value } = link.dataset;
  const menu = document.createElement("ul");
  menu.className = "value-menu";
  const add = (text, href, act) => {
    const item = document.createElement(act ? "button" : "a");
    item.textContent = text;
    if (act) {
      item.type = "button";
      item.addEventListener("click", act);
    } else item.href = href;
    const line = document.createElement("li");
    line.append(item);
    menu.append(line);
  };
  add("Filter for this", link.href);
  add("Exclude this", withTerm(`-${field}:${quoted(value)}`));
  add("Copy", "", async () => {
    await navigator.clipboard?.writeText(value).catch(() => {});
    close(true);
  });
  if (["actor", "resource", "correlation"].includes(field)) {
    add("Timeline", `/admin/audit/record/timeline/?${field}=${encodeURIComponent(value)}`);
  }
  link.setAttribute("aria-expanded", "true");
  link.after(menu);
  shown = { menu, link };
  menu.querySelector("a").focus();
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.value");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    if (shown?.link === link) close(true);
    else open(link);
  } else if (!event.target.closest(".value-menu")) close(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close(true);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown?.menu.contains(document.activeElement)) {
    event.preventDefault();
    const items = [...shown.menu.querySelectorAll("a, button")];
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  }
});

// The chart: what is newest is seen first where not all of it has room; what is dragged over becomes the time of the query.
for (const box of document.querySelectorAll(".chart .scroll")) box.scrollLeft = box.scrollWidth;
for (const chart of document.querySelectorAll("svg.counts")) {
  const { first, end, left, right } = chart.dataset;
  const brush = chart.querySelector(".brush");
  const place = (event) => {
    const box = chart.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width * chart.viewBox.baseVal.width, left), right);
  };
  const moment = (x) => {
    const share = (x - left) / (right - left);
    return new Date(Date.parse(first) + share * (Date.parse(end) - Date.parse(first))).toISOString().replace(/\.\d+Z/, "Z");
  };
  let from = null;
  chart.addEventListener("pointerdown", (event) => { from = place(event); });
  chart.addEventListener("dragstart", (event) => event.preventDefault());
  addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = place(event);
    brush.setAttribute("x", Math.min(from, to));
    brush.setAttribute("width", Math.abs(to - from));
  });
  addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [low, high] = [from, place(event)].sort((one, other) => one - other);
    from = null;
    if (high - low < 5) return; // a click, which follows the link of the bar
    chart.addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
    const address = new URL(location.href);
    const query = document.querySelector("#changelist-search [name=q]").defaultValue;
    const kept = [...document.querySelectorAll("#changelist-search [type=hidden]")].map((field) => [field.name, field.value]);
    address.search = new URLSearchParams({ ...Object.fromEntries(kept), q: query, from: moment(low), until: moment(high) });
    location.assign(address);
  });
}

// Two records are compared, no more and no fewer.
const boxes = [...document.querySelectorAll("#result_list input[name=id]")];
const compare = document.querySelector("button[form=compare]");
const count = () => {
  const ticked = boxes.filter((box) => box.checked).length;
  compare.textContent = `Compare selected (${ticked} of 2)`;
  compare.disabled = ticked !== 2;
};
if (compare) {
  for (const box of boxes) box.addEventListener("change", count);
  count();
}
}
