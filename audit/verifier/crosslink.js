// Cross-links: how a log goes on after a restore, under another name and key.

import { ED25519, keyOf, readKey, readNote } from "./note.js";
import { Report } from "./report.js";
import { Altered, Unusable, base64, cut, quoted, unbase64 } from "./words.js";

export const CROSSLINK = "auditsite/crosslink/v1";
const SIZE = /^(0|[1-9][0-9]{0,14})$/;
const SECOND = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/;

/** Learn from the cross-links in a file, whatever their order. Raises `Unusable`, `Altered`. */
export async function readCrosslinks({ name, text }, trust) {
  let notes = text.split(CROSSLINK).slice(1).map((part) => `${CROSSLINK}${part}`.replace(/\n+$/, "") + "\n");
  if (!notes.length) throw new Unusable(`${name} has no cross-link: it starts with ${CROSSLINK}`);
  while (notes.length) {
    const left = [];
    for (const note of notes) if (!(await learn(note, trust))) left.push(note);
    if (left.length === notes.length) {
      throw new Unusable(`no key that you trust has signed the cross-link in ${name}: nothing of it is believed`);
    }
    notes = left;
  }
}

/** Trust the key that a cross-link names, if one that is trusted has signed it; say whether one has. */
async function learn(note, trust) {
  const { text, signatures } = readNote(note);
  const link = parseCrosslink(text);
  const names = [link.restored, ...link.known].map((head) => head.name);
  const known = trust.keys.filter((key) => names.includes(key.name));
  const before = signatures.filter((signature) => keyOf(known, signature));
  if (!before.length) return false;
  const after = signatures.find((signature) => keyOf([link.continues], signature));
  if (!after) throw new Altered("the key that goes on has not signed the cross-link");
  for (const signature of before) await keyOf(known, signature).check(text, signature.blob);
  await link.continues.check(text, after.blob);
  trust.links.push(link);
  trust.keys.push(link.continues);
  return true;
}

/** Read the text of a cross-link. Raises `Unusable`. */
function parseCrosslink(text) {
  const [header, ...lines] = text.replace(/\n$/, "").split("\n");
  const parted = (line) => (line.includes(" ") ? [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)] : [line, ""]);
  const pairs = lines.map(parted);
  const count = pairs.filter(([name]) => name === "known").length;
  const wanted = ["restored", ...Array(count).fill("known"), "continues", "at", "asked-by", "approved-by", "reason"];
  if (header !== CROSSLINK || !count || pairs.map(([name]) => name).join("\n") !== wanted.join("\n")) {
    throw new Unusable(`a cross-link starts with ${CROSSLINK}, and has its members in their order`);
  }
  const values = pairs.map(([, value]) => value);
  const [restored, ...known] = values.slice(0, 1 + count).map(headOf);
  const [key, at, askedBy, approvedBy, reason] = values.slice(1 + count);
  if (!SECOND.test(at)) throw new Unusable(`${quoted(cut(at, 40))} is no time of a cross-link`);
  return { restored, known, continues: readKey(key, ED25519), at: Date.parse(at) / 1000, askedBy, approvedBy, reason };
}

/** A head in a cross-link: name, leaves, root. Raises `Unusable`. */
function headOf(text) {
  const [name, size = "", root = ""] = text.split(" ");
  if (!name || !SIZE.test(size) || unbase64(root).length !== 32) {
    throw new Unusable(`${quoted(cut(text, 80))} is no head: name, leaves, root`);
  }
  return { name, size: Number(size), root: base64(unbase64(root)) };
}

const grouped = (number) => String(number).replace(/\B(?=([0-9]{3})+$)/g, ",");

/** Where the log was cut, in words. */
export function* crosslinkLines(trust) {
  for (const link of trust.links) {
    const when = new Date(link.at * 1000).toISOString().slice(0, 16).replace("T", " ");
    yield `cross-link of ${when}Z: the log was restored, ${link.reason}`;
    yield `  asked by ${link.askedBy}, approved by ${link.approvedBy}`;
    yield `  the first ${grouped(link.restored.size)} leaves of ${link.restored.name} are the same as before`;
    for (const { name, size } of link.known) {
      yield `  ${name} had ${grouped(size)}: ${grouped(Math.max(size - link.restored.size, 0))} after those are gone`;
    }
    yield `  it goes on as ${link.continues}`;
  }
}

/** Cross-links by themselves: what verify.py prints; the verdict. The keys have learned from them already. */
export function* verifyCrosslinks(trust) {
  const report = new Report("cross-link");
  report.checked.push(...crosslinkLines(trust));
  yield* report.lines();
  return "VERIFIED";
}
