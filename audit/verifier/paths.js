// Paths: members with dots between, as rules of redaction and of erasure name them.

import { Altered, cut, quoted } from "./words.js";

// White space as Python has it, which is not quite the \s of browsers.
const PART = /(\*\*?|[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000."*\\]+|"(?:[^"\\]|\\[^\n])*")(?:\.|$)/uy;

/** The parts of a path, as they are written. Raises `Altered`. */
export function pathParts(path) {
  const parts = [];
  for (PART.lastIndex = 0; PART.lastIndex < path.length; ) {
    const found = PART.exec(path);
    if (!found) throw new Altered(`${quoted(cut(path, 100))} is not the path of a member`);
    parts.push(found[1]);
  }
  if (!parts.length) throw new Altered("a path of redaction is empty");
  return parts[0] === "data" ? ["event_data", ...parts.slice(1)] : parts;
}

/** Whether a path leads to a place within the other's, or to the same. */
export const isWithin = (parts, others) => others.every((other, place) => parts[place] === other);

/** Whether one of two paths leads to a place within the other's, or to the same. */
export const overlap = (parts, others) => parts.slice(0, others.length).every((part, place) => part === others[place]);

/** What a part of a path means in an object or a list; nothing where there is no such member. */
function keyOf(part, holder) {
  if (Array.isArray(holder)) return /^[0-9]+$/.test(part) && Number(part) < holder.length ? Number(part) : undefined;
  const name = part.startsWith('"') ? part.slice(1, -1).replace(/\\(.)/gsu, "$1") : part;
  return holder instanceof Map && holder.has(name) ? name : undefined;
}

const valueOf = (holder, key) => (Array.isArray(holder) ? holder[key] : holder.get(key));

/** What stands at a path; nothing where nothing does. */
export function memberAt(value, parts) {
  for (const part of parts) {
    const key = keyOf(part, value);
    if (key === undefined) return undefined;
    value = valueOf(value, key);
  }
  return value;
}

/** The same without what stands at a path; a list keeps the place. */
export function without(value, [part, ...more]) {
  const key = keyOf(part, value);
  if (key === undefined) return value;
  const rest = more.length ? without(valueOf(value, key), more) : null;
  if (Array.isArray(value)) return value.with(key, rest);
  const kept = new Map(value);
  if (more.length) kept.set(key, rest);
  else kept.delete(key);
  return kept;
}

/** The same with something else at a path, where there is one. */
export function replaced(value, [part, ...more], by) {
  if (part === undefined) return by;
  const key = keyOf(part, value);
  if (key === undefined) return value;
  const rest = replaced(valueOf(value, key), more, by);
  return Array.isArray(value) ? value.with(key, rest) : new Map(value).set(key, rest);
}
