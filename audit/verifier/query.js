// Evaluates the terms of a query for each record of a range.

import { committed } from "./erasable.js";
import { Float, member, memberOf, said } from "./json.js";
import { Tree, same } from "./merkle.js";
import { entryLeaf } from "./records.js";
import { rowsOf, volumeRows } from "./rows.js";
import { spelledOut } from "./spellings.js";
import { Forked, Lacking, Uncovered, unbase64 } from "./words.js";

/** The leaves below `size` of a bundle of a range whose records match, with the ids of these. Raises `Uncovered` for redacted ones. */
export function leavesThatMatch(zip, manifest, terms, size) {
  const found = new Map();
  for (const [index, record] of allRows(zip, manifest)) {
    if (record.has("redacted")) {
      throw new Uncovered(`the record of leaf ${index} is redacted: give a bundle without redaction`);
    }
    if (index < size && matches(committed(record), terms)) found.set(index, said(record.get("event_id")));
  }
  return found;
}

function* allRows(zip, manifest) {
  for (const volume of member(manifest, "volumes")) yield* rowsOf(zip, member(expected(zip, volume), "records"));
}

/** A volume whose records will be read once more. */
function expected(zip, volume) {
  zip.source.expect(zip.files.get(member(volume, "records")).size);
  return volume;
}

/** Whether a record matches a query: all of its terms hold. */
export const matches = (record, terms) => terms.every((term) => holds(record, term) !== isNegated(term));

const isNegated = (term) => term.has("negated") && memberOf("boolean", term, "negated");

/** Whether the record has one of the values, or its time lies within the bounds. */
function holds(record, term) {
  let value = record.get(member(term, "field"));
  if (term.has("is")) return isAddress(value, term.get("is"));
  if (term.has("is_not")) return !isAddress(value, term.get("is_not"));
  if (!term.has("equals")) return isWithin(memberOf("string", record, term.get("field")), term);
  for (const key of term.get("path") ?? []) value = value instanceof Map ? value.get(key) : undefined;
  if (typeof value === "string" && member(term, "begins").some((start) => begins(value, start))) return true;
  return term.get("equals").some((wanted) => isSame(value, wanted));
}

function begins(value, start) {
  if (typeof start !== "string") throw new Lacking("'begins' of texts");
  return value.startsWith(start);
}

/** Whether a text is one of the addresses, in any spelling, or begins with one that ends in a dot or a colon. */
function isAddress(text, wanted) {
  const spelled = typeof text === "string" ? spelledOut(text) : null;
  if (spelled === null) return false;
  return wanted.some((it) => spelled === it || ((it.endsWith(".") || it.endsWith(":")) && spelled.startsWith(it)));
}

function isWithin(value, term) {
  const bound = (name, otherwise) => (term.has(name) ? memberOf("string", term, name) : otherwise);
  return value >= bound("from", "") && value < bound("before", "~") && value <= bound("until", "~");
}

/** Equal as JSON: 1 is 1.0, and neither is true. */
function isSame(value, wanted) {
  const [left, right] = [value, wanted].map((it) => (it instanceof Float ? it.value : it));
  const areNumbers = [left, right].every((it) => ["number", "bigint"].includes(typeof it));
  return areNumbers ? left == right : left === right; // a long integer is its float, which === denies
}

/** The range is of the tree of this checkpoint: by its own, or by all its leaves. Raises `Altered`, `Uncovered`. */
export function sameLog(zip, manifest, checkpoint) {
  const [size, root] = ["size", "root"].map((name) => member(member(manifest, "log"), name));
  if (size === checkpoint.size && same(unbase64(root), checkpoint.root)) return;
  const [first, last] = ["first", "last"].map((name) => member(member(manifest, "range"), name));
  if (first || last < checkpoint.size) {
    throw new Uncovered(
      `the range is proved under a checkpoint of ${said(size)} records, and has not all ${checkpoint.size} leaves of `
        + "the other: nothing shows that both are of one log",
    );
  }
  if (!same(rootOf(zip, manifest, checkpoint.size), checkpoint.root)) {
    throw new Forked("the two bundles are of two different logs: their records do not lead to both signed roots");
  }
}

/** The root of the tree of the first leaves, so many, of a bundle of a range that has them all. */
export function rootOf(zip, manifest, size) {
  const tree = new Tree(size, [].values());
  for (const volume of member(manifest, "volumes")) {
    for (const [index, record, purged] of volumeRows(zip, expected(zip, volume))) {
      if (index < size) tree.add(index, record ? entryLeaf(record) : unbase64(member(purged, "leaf_hash")));
    }
  }
  return tree.root();
}
