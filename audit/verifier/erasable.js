// Members that can be erased. Of these the digest covers commitments, SHA-256(salt || value), which the event's member
// `erasable` names by path. A record has the values in their places, and beside the event their salts, or that they were
// erased. The store makes commitments in formats/erasable/commitments.py.

import { canonical, member, said } from "./json.js";
import { isWithin, memberAt, overlap, pathParts, replaced } from "./paths.js";
import { sha256 } from "./sha256.js";
import { Altered, Lacking, hex, joined } from "./words.js";

export const BESIDE = ["salts", "erased"];
const INSTEAD = "$erasable";
const HEX32 = /^[0-9a-f]{64}$/;

/** What a member of the record has by path. */
const mapOf = (record, name) => {
  const found = record.get(name) ?? new Map();
  if (!(found instanceof Map)) throw new Lacking(`'${name}' as an object`);
  return found;
};
export const pathsIn = (record, name) => [...mapOf(record, name).keys()];

/** What stands in the event where a commitment stands for the value. */
const standIn = (path) => (path === "event_data" ? new Map() : INSTEAD);
const isStandIn = (path, value) =>
  path === "event_data" ? value instanceof Map && !value.size : value === INSTEAD;

/** The record as its digest covers it: `$erasable` where a commitment stands for the value. */
export function committed(record) {
  let event = new Map([...record].filter(([name]) => !BESIDE.includes(name)));
  for (const path of pathsIn(record, "erasable")) event = replaced(event, pathParts(path), standIn(path));
  return event;
}

/**
 * Each value that can be erased is the one that was accepted, or is said to be erased. Raises `Altered`.
 * `hidden` has the paths, in parts, of what is redacted: what stands there has no salt.
 */
export function checkValues(record, hidden = []) {
  const [commitments, salts, erased] = ["erasable", ...BESIDE].map((name) => mapOf(record, name));
  for (const path of [...salts.keys(), ...erased.keys()].sort()) {
    if (!commitments.has(path)) throw new Altered(`${path} was never accepted as something that can be erased`);
  }
  for (const path of [...commitments.keys()].sort()) {
    const parts = pathParts(path);
    if (hidden.some((other) => isWithin(parts, other))) continue;
    const value = memberAt(record, parts);
    if (erased.has(path)) {
      if (salts.has(path) || !isStandIn(path, value)) {
        throw new Altered(`${path} is said to be erased, and its value is still here`);
      }
      continue;
    }
    if (hidden.some((other) => overlap(parts, other))) continue;
    if (!salts.has(path)) throw new Altered(`${path} lost its value: it is not here, and is not said to be erased`);
    if (!HEX32.test(said(salts.get(path)))) throw new Altered(`${path} has a salt that is not 32 bytes in hex`);
    const salt = Uint8Array.from(salts.get(path).match(/../g), (byte) => parseInt(byte, 16));
    if (hex(sha256(joined([salt, canonical(value ?? null)]))) !== commitments.get(path)) {
      throw new Altered(`${path} is not the value that was accepted: its commitment is another one`);
    }
  }
}

/** What is said to be erased: how many members, by the words for it. */
export class Erasures {
  #members = new Map();
  #committed = 0;

  /** Count what a record says is erased; what it commits to is proved where its content is. */
  note(record, isProved = true) {
    for (const facts of mapOf(record, "erased").values()) {
      const the = (name) => said(member(facts, name));
      const words = `erased under ${the("basis")} on ${the("at").slice(0, 10)}, by request ${the("request")}`;
      this.#members.set(words, (this.#members.get(words) ?? 0) + 1);
      if (isProved) this.#committed++;
    }
  }

  /** What was erased is committed to; when and why it went is only stated. */
  report(report) {
    if (!this.#members.size) return;
    const count = this.#committed;
    if (count) report.checked.push(`of ${count} erased members the log has commitments: nobody can show what they were`);
    for (const words of [...this.#members.keys()].sort()) {
      report.stated.push(`that ${this.#members.get(words)} members were ${words}`);
    }
    report.stated.push("that these erasures were approved");
  }
}
