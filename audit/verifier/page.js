// The page: takes the files and the keys, hands them to the worker, and shows what it says. Nothing is sent anywhere.

import { isHeading } from "./words.js";

const at = (id) => document.getElementById(id);
const form = at("check");
const worker = new Worker("worker.js", { type: "module" });
const MOST_SHOWN = 500;

const VERDICTS = {
  "VERIFIED": ["ok", "✓", "VERIFIED"],
  "SIGNED": ["warning", "!", "SIGNED, and not shown"],
  "REDACTED": ["warning", "!", "REDACTED"],
  "NOT COVERED": ["warning", "!", "NOT COVERED"],
  "ALTERED": ["error", "✗", "FAILED: ALTERED"],
  "FORKED": ["error", "✗", "FAILED: FORKED"],
  "CANNOT BE USED": ["warning", "!", "CANNOT BE USED"],
};
const MEANS = {
  "VERIFIED": "Authentic: all that was checked fits what was signed with the keys that you gave.",
  "SIGNED": "Somebody with a key that you gave has said so, and cannot take it back. That it is so was not shown.",
  "REDACTED": "All that was checked fits, but what is left of redacted records was not shown. Below is by which rules.",
  "NOT COVERED": "Consistent, but not confirmed: nothing is wrong, and something that you need was not shown. Below is what.",
  "ALTERED": "Does not match: something is not what was signed. Below is what.",
  "FORKED": "Does not match: the log has told two stories. Below is where.",
  "CANNOT BE USED": "Nothing was checked, which says nothing for or against it: a file or a key is not what is needed here. Below is why.",
};
const IS_FAULT = /^(?:ALTERED|FORKED|NOT COVERED) {2}|^cannot be used: |^(?:[0-9]+ faults|one fault)$/;

// Characters that would begin a line, or reorder the text beside them, are shown as escapes, as verify.py prints them.
const HARMFUL = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const harmless = (text) =>
  text.replace(HARMFUL, (one) => `\\u${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);

/** A key is broken between its parts, so that none of its characters stands alone on a line. */
function breakable(line) {
  const [, before, hash, key] = /^(key \(.*?\): [^+]*\+)([0-9a-f]{8}\+)(.*)$/s.exec(line) ?? [];
  if (!key) return [line];
  const last = document.createElement("span");
  last.className = "key";
  last.textContent = key;
  return [before, document.createElement("wbr"), hash, last];
}

/** A part of the report begins: its lines are those after its heading. */
function begun(heading) {
  const title = document.createElement("h3");
  title.textContent = heading;
  at("facts").append(title, document.createElement("ul"));
}

let [name, untold] = ["", 0];
function show(line) {
  if (isHeading(line)) return begun(line);
  const list = IS_FAULT.test(line) ? at("faults") : at("facts").lastElementChild;
  if (list.childElementCount >= MOST_SHOWN) {
    at("more").textContent = `${++untold} more lines are not shown here; verify.py prints them all.`;
    return;
  }
  const item = document.createElement("li");
  item.append(...breakable(harmless(line)));
  list.append(item);
}

function busy(is) {
  at("go").disabled = is;
  at("progress-line").hidden = !is;
}

function begin(event) {
  event.preventDefault();
  const file = at("file").files[0];
  [name, untold] = [harmless(file.name), 0];
  for (const id of ["faults", "facts", "more", "verdict", "means"]) at(id).replaceChildren();
  at("verdict").removeAttribute("data-verdict");
  at("result").hidden = true;
  at("progress").removeAttribute("value");
  busy(true);
  worker.postMessage({
    file,
    others: [...at("others").files],
    asked: {
      keys: at("keys").value,
      receiptKeys: at("receipt-keys").value,
      witnesses: at("witnesses").value,
      quorum: at("quorum").value.trim(),
      leaves: at("leaves").value,
    },
  });
}

function end(verdict) {
  const [look, icon, words] = VERDICTS[verdict];
  const mark = document.createElement("span");
  mark.ariaHidden = "true";
  mark.textContent = icon;
  at("verdict").className = `verdict ${look}`;
  at("verdict").replaceChildren(mark, ` ${words}`);
  at("means").textContent = `${name}: ${MEANS[verdict]}`;
  at("faults-part").hidden = !at("faults").childElementCount;
  at("result").hidden = false;
  busy(false);
  at("verdict").focus({ preventScroll: true });
  at("result").scrollIntoView({ block: "start" });
  at("verdict").dataset.verdict = verdict;
}

worker.onmessage = ({ data }) => {
  if (data.ready) at("go").disabled = false;
  else if (data.line !== undefined) show(data.line);
  else if (data.verdict) end(data.verdict);
  else Object.assign(at("progress"), { max: data.total, value: data.done });
};
worker.onerror = () => at("unready").removeAttribute("hidden");

/** The field of files that something was dropped on; anywhere else it is the bundle. */
const taking = (target) => target.closest?.(".drop")?.querySelector("input") ?? at("file");

/** Keys that were pasted together are put into the field that each belongs to: its name says which. */
function sortKeys() {
  const isOfReceipts = (line) => /^[^+]*\/receipts\+/.test(line);
  const lines = ["keys", "receipt-keys"].flatMap((id) => at(id).value.split("\n"));
  const given = [...new Set(lines.map((line) => line.trim()))].filter((line) => line && !line.startsWith("#"));
  at("keys").value = given.filter((line) => !isOfReceipts(line)).join("\n");
  at("receipt-keys").value = given.filter(isOfReceipts).join("\n");
}

// Taken along and served by itself, the page is at the root: there is no site above it.
const isAlone = new URL("..", location).href === new URL(".", location).href;
for (const one of document.querySelectorAll(".of-site")) one.hidden = isAlone;
for (const id of ["keys", "receipt-keys"]) at(id).addEventListener("change", sortKeys);
form.addEventListener("submit", begin);
for (const kind of ["dragover", "dragleave", "drop"]) {
  form.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) taking(event.target).files = event.dataTransfer.files;
  });
}
