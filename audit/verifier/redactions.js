// Redaction: which members of which records are redacted, each by a rule that the manifest names, and as the rule says.

import { BESIDE, checkValues, committed, pathsIn } from "./erasable.js";
import { canonical, member, parse, said } from "./json.js";
import { leafHash } from "./merkle.js";
import { isWithin, memberAt, overlap, pathParts, without } from "./paths.js";
import { STORE_MEMBERS, entryLeaf, object } from "./records.js";
import { Altered, IN_FIELD, hex, lines, quoted } from "./words.js";

const NEVER_REDACTED = [
  "event_id", "event_timestamp", "version", "event_type", "event_category", "event_action", "event_outcome",
  "writer", "leaf_index", "erasable", "redacted", ...BESIDE, ...STORE_MEMBERS,
];
/** What each method leaves of a value. */
const LEFT = new Map([
  ["remove", /^$/],
  ["digest", /^hmac-sha256:[0-9a-f]{64}$/],
  ["mask", /^(?:[0-9]{1,3}\.|.?)\*\*\*(?:@.?\*\*\*)?$/su],
]);

/** What the manifest says of its redaction, if anything. */
const saidOf = (manifest) => manifest.get("redaction") || new Map([["records", 0], ["rules", []]]);

/** The rules that the manifest names, by name. */
export const rulesOf = (manifest) =>
  new Map([...member(saidOf(manifest), "rules")].map((rule) => [member(rule, "name"), rule]));

export class Redactions {
  #records = 0;
  #opened = 0;
  #members = new Map();

  constructor(rules, originals) {
    Object.assign(this, { rules, originals });
  }

  /** How many records have redacted members that nobody has given whole. */
  get closed() {
    return this.#records - this.#opened;
  }

  /** The leaf hash of a record that is redacted. Raises `Altered` where it is more than the manifest says. */
  leaf(record, named) {
    if (!(named instanceof Map) || !named.size) throw new Altered("its member redacted does not name what is redacted");
    this.#records++;
    for (const [path, rule] of named) {
      checkPlace(record, path, this.rules.get(rule), rule);
      this.#members.set(rule, (this.#members.get(rule) ?? 0) + 1);
    }
    const hidden = [...named.keys()].map(pathParts);
    checkValues(record, hidden);
    const whole = this.originals?.get(said(record.get("event_id")));
    if (whole && shows(whole, record, hidden)) this.#opened++;
    return entryLeaf(record);
  }

  /** Where the manifest names other counts. */
  *end(manifest) {
    const records = member(saidOf(manifest), "records");
    if (this.#records !== records) yield `${this.#records} records are redacted, the manifest names ${said(records)}`;
    for (const rule of member(saidOf(manifest), "rules")) {
      const [name, named] = [member(rule, "name"), member(rule, "members")];
      const found = this.#members.get(name) ?? 0;
      if (found !== named) yield `${found} members are redacted by ${said(name)}, the manifest names ${said(named)}`;
    }
  }

  /** Say what was redacted and by which rule, and what is left to be believed. */
  report(manifest, report) {
    for (const rule of member(saidOf(manifest), "rules")) {
      const the = (name) => said(member(rule, name));
      const kind = the("event_type") && ` of ${the("event_type")}`;
      const what = `${the("members")} members ${the("path")}${kind}`;
      report.checked.push(`redacted by ${the("name")} (${the("method")}): ${what}`);
      report.stated.push(`the reason of ${the("name")}: ${the("reason")}`);
    }
    if (this.#opened) {
      const what = "redacted records say what their originals say, but for what is redacted";
      report.checked.push(`${this.#opened} ${what}`);
    }
    if (!this.closed) return;
    report.checked.push(`place, digest and times of ${this.closed} redacted records`);
    const whole = `give them whole ${IN_FIELD["--originals"]} to check it`;
    report.stated.push(`what remains of the content of ${this.closed} redacted records; ${whole}`);
  }
}

/**
 * Whether the record as it was shows all that remains: it has this digest, and differs in what is redacted.
 * Raises `Altered` where it says something else.
 */
function shows(whole, record, hidden) {
  checkValues(whole);
  if (hex(leafHash(canonical(committed(whole)))) !== member(record, "digest")) {
    throw new Altered("the original that was given is not this record: its digest is another");
  }
  // What is said to be erased is left out below, so it must be what the original commits to, and nothing else.
  const commitments = (one) => hex(canonical(one.get("erasable") ?? new Map()));
  if (commitments(record) !== commitments(whole)) {
    throw new Altered("the original that was given commits to other members that can be erased");
  }
  const [gone, told, salted] = [pathsIn(whole, "erased"), pathsIn(record, "erased"), pathsIn(record, "salts")];
  let [left, original] = [record, whole].map(
    (one) => new Map([...one].filter(([name]) => ![...STORE_MEMBERS, ...BESIDE].includes(name))),
  );
  for (const parts of [...hidden, ...[...told, ...gone].map(pathParts)]) {
    [left, original] = [left, original].map((one) => without(one, parts));
  }
  if (hex(canonical(left)) !== hex(canonical(original))) {
    throw new Altered("under cover of redaction its content was changed: the original says something else");
  }
  // What was erased since, and is shown in part, without its salt, has nothing left to be compared with.
  const alone = gone.filter((path) => ![...told, ...salted].includes(path)).map(pathParts);
  return alone.every((parts) => hidden.some((other) => isWithin(parts, other)));
}

/** Raises `Altered` where no rule of the manifest asks for a place, or its value is not what the method leaves. */
function checkPlace(record, path, rule, name) {
  if (!rule) throw new Altered(`${path} is redacted by ${quoted(said(name, 60))}, a rule that the manifest does not name`);
  const parts = pathParts(path);
  const [kind, wanted, method] = [said(record.get("event_type")), member(rule, "event_type"), member(rule, "method")];
  const isOfType = wanted.endsWith(".*") ? kind.startsWith(wanted.slice(0, -1)) : ["", kind].includes(wanted);
  if (NEVER_REDACTED.includes(parts[0]) || !isOfType || !fits(parts, pathParts(member(rule, "path")))) {
    throw new Altered(`${path} is redacted by ${said(name)}, a rule that does not ask for it`);
  }
  if (pathsIn(record, "salts").some((other) => overlap(parts, pathParts(other)))) {
    throw new Altered(`${path} is redacted by ${said(name)}, and the salt of its value is still here`);
  }
  const value = memberAt(record, parts);
  if (!LEFT.get(method).test(value == null ? "" : typeof value === "string" ? value : "?")) {
    throw new Altered(`${path} is redacted by ${said(name)}, and is not what the method ${method} leaves`);
  }
}

/** Whether a path is one that a rule's path names: `*` is any one part, `**` any number. */
function fits(parts, [first, ...rest]) {
  if (first === undefined) return !parts.length;
  if (first === "**") return fits(parts, rest) || (parts.length > 0 && fits(parts.slice(1), [first, ...rest]));
  return parts.length > 0 && ["*", parts[0]].includes(first) && fits(parts.slice(1), rest);
}

/** Records as they were, by id; of each only its place in the file is kept, and what stands there is read when asked. */
export class Originals {
  #places = new Map();

  constructor(sources) {
    for (const source of sources) {
      let end = 0;
      for (const line of lines(source.chunks())) {
        const start = end;
        end += line.length;
        this.#places.set(said(recordOf(line).get("event_id")), { source, start, end });
      }
    }
  }

  /** The event as it was; nothing where it was not given. */
  get(id) {
    const place = this.#places.get(id);
    if (!place) return undefined;
    place.source.expect(place.end - place.start);
    const record = recordOf(place.source.read(place.start, place.end));
    const others = [...STORE_MEMBERS, "leaf_index", "redacted"];
    return new Map([...record].filter(([name, value]) => value !== null && !others.includes(name)));
  }
}

function recordOf(line) {
  const found = object(parse(line));
  return object(found.has("record") ? found.get("record") : found);
}
