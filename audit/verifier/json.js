// JSON as verify.py reads it, and RFC 8785, the one way to write it. JSON.parse cannot be used: it rounds long integers,
// keeps the last of two members of one name, and puts members whose name is a number first.

import { Lacking, Unusable, bytesOf, cut, quoted, textOf } from "./words.js";

/** A number written with a point or an exponent: canonically 1.0 is 1, but a table has 1.0. */
export class Float {
  constructor(value) {
    this.value = value;
  }

  toString() {
    return python(this);
  }
}

/** Objects come as `Map`s, integers beyond 2^53-1 as `BigInt`s. Raises `Unusable`. */
export function parse(bytes) {
  try {
    return new Reader(textOf(bytes)).whole();
  } catch (error) {
    throw new Unusable(`this is not JSON: ${error instanceof RangeError ? "it is nested too deep" : error.message}`);
  }
}

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))/y;
const NUMBER = /(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORD = /true|false|null|NaN|-?Infinity/y;
const WORDS = { true: true, false: false, null: null };
const LETTERS = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

class Reader {
  constructor(text) {
    Object.assign(this, { text, at: 0 });
  }

  whole() {
    const found = this.value();
    if (this.at < this.text.length) this.fail("something follows it");
    return found;
  }

  fail(what) {
    throw new Error(`${what}, at character ${this.at}`);
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  /** Whether this character is next; spaces around it mean nothing. */
  next(character) {
    if (this.text[this.at] !== character) return false;
    this.at++;
    this.space();
    return true;
  }

  space() {
    if (this.text.charCodeAt(this.at) <= 32) this.take(SPACE); // mostly there is none, and this test is cheap
  }

  value() {
    this.space();
    const first = this.text[this.at];
    const found = first === '"' ? this.string() : first === "{" ? this.object() : first === "[" ? this.array() : this.atom();
    this.space();
    return found;
  }

  object() {
    const found = new Map();
    for (let more = this.next("{") && !this.next("}"); more; more = this.more("}")) {
      if (this.text[this.at] !== '"') this.fail("a name in quotes should be here");
      const name = this.string();
      this.space();
      if (!this.next(":")) this.fail("a colon should be here");
      const value = this.value();
      if (found.has(name)) throw new Error("a name occurs twice in one object");
      found.set(name, value);
    }
    return found;
  }

  array() {
    const found = [];
    for (let more = this.next("[") && !this.next("]"); more; more = this.more("]")) found.push(this.value());
    return found;
  }

  more(end) {
    if (this.next(",")) return true;
    if (!this.next(end)) this.fail("a comma or an end should be here");
    return false;
  }

  string() {
    this.at++;
    let found = this.take(PLAIN)[0];
    for (; this.text[this.at] !== '"'; found += this.take(PLAIN)[0]) {
      const escape = this.take(ESCAPE) ?? this.fail("a text does not end, or has an escape that is none");
      found += escape[2] ? String.fromCharCode(parseInt(escape[2], 16)) : LETTERS[escape[1]] ?? escape[1];
    }
    this.at++;
    return found;
  }

  atom() {
    const word = this.take(WORD)?.[0];
    if (word) return word in WORDS ? WORDS[word] : this.fail(`${word} is not a JSON number`);
    const [all, integer, point, exponent] = this.take(NUMBER) ?? this.fail("a value should be here");
    if (point || exponent) return new Float(Number(all));
    const found = Number(integer) || 0; // never -0
    return Number.isSafeInteger(found) ? found : BigInt(integer);
  }
}

/** The RFC 8785 form. Raises `Unusable` for what has none. */
export function canonical(value) {
  try {
    return bytesOf(write(value));
  } catch (error) {
    throw error instanceof RangeError ? new Unusable(NO_FORM) : error;
  }
}

const NO_FORM = "a text with half a character, or a document nested too deep, has no canonical form";

function write(value) {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new Unusable(NO_FORM);
    return JSON.stringify(value);
  }
  if (value instanceof Map) {
    return `{${[...value.keys()].sort().map((name) => `${write(name)}:${write(value.get(name))}`).join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value === "bigint") throw new Unusable(`the integer ${value} is beyond 2^53-1`);
  if (!(value instanceof Float)) return String(value);
  if (!Number.isFinite(value.value)) throw new Unusable("a number that is not finite has no canonical form");
  return String(value.value);
}

/** As Python writes JSON into the cell of a table. */
export function python(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof Map) return `{${Array.from(value, ([name, one]) => `${python(name)}: ${python(one)}`).join(", ")}}`;
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return value instanceof Float ? pythonFloat(value.value) : String(value);
}

function pythonFloat(value) {
  const size = Math.abs(value);
  if (!size) return Object.is(value, -0) ? "-0.0" : "0.0";
  if (size >= 1e16 || size < 1e-4) {
    return value.toExponential().replace(/e([-+])([0-9])$/, "e$10$2");
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** A member that must be there. Raises `Lacking`. */
export function member(value, name) {
  if (!(value instanceof Map) || !value.has(name)) throw new Lacking(quoted(name));
  return value.get(name);
}

/** A member that must be there and be of a kind: what is compared must not be turned into something else first. */
export function memberOf(kind, value, name) {
  const found = member(value, name);
  if (typeof found !== kind) throw new Lacking(`${quoted(name)} as a ${kind}`);
  return found;
}

/** What stands for a value in a sentence. */
export const said = (value, most = 1_000_000) =>
  cut(typeof value === "string" ? value : value == null ? "None" : python(value), most);
