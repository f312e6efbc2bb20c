// Counts the lines of a day that are reviewed; where all are, no note is required.
"use strict";

{
  const choices = [...document.querySelectorAll(".disposition")];
  const [told, note] = ["reviewed", "note"].map((id) => document.getElementById(id));
  const count = () => {
    const done = choices.filter((choice) => choice.value).length;
    told.textContent = `${done} of ${choices.length} lines reviewed.`;
    note.required = done < choices.length;
  };
  if (told && choices.length) {
    for (const choice of choices) choice.addEventListener("change", count);
    count();
  }
}
