// Counts the lines of a day that are reviewed, and asks for what the rest needs; sets all that are not set at once.
"use strict";

{
  const choices = [...document.querySelectorAll(".disposition")];
  const [told, note, needed, inPart, left, noun, rest, restIs, restWhy, restSet] = [
    "reviewed", "note", "note-needed", "in-part", "left", "left-noun", "rest", "rest-is", "rest-why", "rest-set",
  ].map((id) => document.getElementById(id));
  const why = (choice) => document.getElementsByName(choice.name.replace(/^is-/, "why-"))[0];
  const isReviewed = (choice) => choice.value || "standing" in choice.dataset;
  const count = () => {
    const open = choices.filter((choice) => !isReviewed(choice)).length;
    const done = choices.length - open;
    told.textContent = `${done} of ${choices.length} line${choices.length === 1 ? "" : "s"} reviewed.` +
      (open ? ` ${open} ${open === 1 ? "has" : "have"} no disposition.` : "");
    note.required = open > 0;
    if (needed) needed.hidden = open === 0;
    inPart.hidden = open === 0;
    inPart.querySelector("input").required = open > 0;
    left.textContent = open;
    noun.textContent = open === 1 ? "line" : "lines";
    rest.hidden = open === 0;
    for (const choice of choices) why(choice).required = choice.value === "ticket";
  };
  if (told && choices.length) {
    for (const choice of choices) choice.addEventListener("change", count);
    restWhy.addEventListener("input", () => restWhy.setCustomValidity(""));
    restSet.addEventListener("click", () => {
      // One reason stands for many lines, which nobody has looked at one by one.
      if (!restWhy.value.trim()) {
        restWhy.setCustomValidity("Say why, or name a ticket: it stands for all lines that are not set yet.");
        restWhy.reportValidity();
        return;
      }
      for (const choice of choices.filter((choice) => !isReviewed(choice) && restIs.value)) {
        choice.value = restIs.value;
        if (!why(choice).value) why(choice).value = restWhy.value;
      }
      count();
    });
    count();
  }
}
