// The terms of a query: in words, and whether each is one that the store writes.

import { python } from "./json.js";
import { seconds } from "./records.js";
import { Unusable } from "./words.js";

/** The terms as JSON, as Python writes it in ASCII with the names in order. */
export const inWords = (terms) =>
  python(ordered(terms)).replace(/[\u0080-\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

function ordered(value) {
  if (Array.isArray(value)) return value.map(ordered);
  if (!(value instanceof Map)) return value;
  return new Map([...value.keys()].sort().map((name) => [name, ordered(value.get(name))]));
}

const BOUNDS = ["from", "before", "until"];
const SHAPES = ["field is", "field is_not", "begins equals field negated", "begins equals field negated path"];
/** What a query can name: a term by anything else would match no record, or each. */
const ASKED = [
  "actor_id", "actor_ip", "actor_type", "cluster_id", "correlation_id", "error_code", "event_action", "event_category",
  "event_data", "event_id", "event_outcome", "event_type", "namespace", "parent_event_id", "resource_id",
  "resource_type", "severity", "writer",
];

/** Raises `Unusable` for a term that the store does not write: it would say one thing and compare another. */
export function checkTerms(terms) {
  for (const term of terms) {
    const bounds = BOUNDS.filter((name) => term.has(name));
    if (!(bounds.length ? isTimeTerm(term) : isTerm(term))) {
      throw new Unusable(`a term of the query is none that the store writes: ${inWords([term]).slice(0, 200)}`);
    }
    for (const name of bounds) seconds(term.get(name));
  }
}

/** Whether a term is about the time of the event, and about nothing else. */
const isTimeTerm = (term) =>
  term.get("field") === "event_timestamp" && [...term.keys()].every((name) => ["field", ...BOUNDS].includes(name));

/** Whether a term is one of values or of addresses. */
function isTerm(term) {
  const isOfData = term.get("field") === "event_data";
  if (!SHAPES.includes([...term.keys()].sort().join(" ")) || !ASKED.includes(term.get("field"))) return false;
  if (!term.has("equals")) return areTexts(term.get("is") ?? term.get("is_not"));
  const texts = areTexts(term.get("begins")) && areTexts(term.get("path") ?? []) && term.has("path") === isOfData;
  return texts && Array.isArray(term.get("equals")) && typeof term.get("negated") === "boolean";
}

const areTexts = (value) => Array.isArray(value) && value.every((text) => typeof text === "string");
