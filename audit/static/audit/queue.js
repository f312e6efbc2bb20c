// Select all of the page, or all that match, and say how many. Without this file each row is ticked by itself.
"use strict";
{
  const head = document.querySelector(".pick-all");
  const boxes = [...document.querySelectorAll("input[name=id][type=checkbox]")];
  const scope = document.getElementById("scope");
  if (head && scope && boxes.length) {
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", "select all on this page");
    head.append(all);
    const said = document.createElement("span");
    said.className = "quiet";
    said.setAttribute("role", "status");
    scope.after(said);
    const count = () => {
      const ticked = boxes.filter((box) => box.checked).length;
      all.checked = ticked === boxes.length;
      all.indeterminate = ticked > 0 && ticked < boxes.length;
      said.textContent = scope.value === "all" ? "all that match the filters: counted before anything is done" : `${ticked} selected`;
      for (const button of document.querySelectorAll("button[name=act]")) button.disabled = scope.value !== "all" && ticked === 0;
    };
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      count();
    });
    for (const box of boxes) box.addEventListener("change", count);
    scope.addEventListener("change", count);
    count();
  }
  // What happens now, again every few seconds; the ticks stay. Of /status, for each view of the list is a record.
  const now = document.querySelector(".queue-now");
  const isAway = (said) => /has not answered|^Neither/.test(said.textContent);
  const again = async () => {
    const answer = await fetch("/status");
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".verdict");
    if (fresh) now.firstElementChild.textContent = fresh.textContent;
    // Read-only pages of an outage come back whole once PostgreSQL is back.
    if (fresh && now.matches(".banner") && !isAway(fresh)) location.reload();
    setTimeout(again, 10_000);
  };
  if (/left to store|has not answered/.test(now.textContent)) setTimeout(again, 10_000);
}
