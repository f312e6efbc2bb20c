// A table must say what the JSON lines beside it say, which are proved.

import { parse, python, said } from "./json.js";
import { object } from "./records.js";
import { Damaged } from "./words.js";

const OLD_FORMULA = ["=", "+", "-", "@", "\t", "\r"];
const FORMULA = [...OLD_FORMULA, "\uff1d", "\uff0b", "\uff0d", "\uff20", "\n"];
// Where a spreadsheet's locale separates cells by something else than a comma, a formula can begin within a text.
const LATER_FORMULA = /([;|\t\r\n][\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"]*)([=+\-@\uff1d\uff0b\uff0d\uff20])/g;
const CELL = /"([^"]*(?:""[^"]*)*)"([^,\r\n]*)|([^,\r\n]*)/y;
const ROW_END = /\r\n|\r|\n/y;

/** A value as the text of a cell, with an apostrophe before each place at which a formula could begin. */
function cell(value) {
  if (value === null) return "";
  const escape = (_, before, sign) => `${before}\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  if (typeof value !== "string") return python(value).replace(LATER_FORMULA, escape);
  const guarded = value.replace(LATER_FORMULA, "$1'$2");
  return FORMULA.includes(guarded[0]) ? `'${guarded}` : guarded;
}

/** The same in bundles of before: an apostrophe at the beginning alone. */
function oldCell(value) {
  if (value === null) return "";
  if (typeof value !== "string") return python(value);
  return OLD_FORMULA.includes(value[0]) ? `'${value}` : value;
}

/** The rows of a table, read a chunk at a time. */
function* rows(chunks) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const decoded = (chunk) => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch {
      throw new Damaged("it is not UTF-8");
    }
  };
  let [text, at, row, whole] = ["", 0, [], false];
  const take = (pattern) => {
    for (;;) {
      pattern.lastIndex = at;
      const found = pattern.exec(text);
      // What reaches the end may go on in the next chunk; so may a quote that is not closed yet.
      const open = found?.[0].length === text.length - at || (text[at] === '"' && found?.[1] === undefined);
      if (whole || (found && !open)) return found;
      const { value, done } = chunks.next();
      [text, at, whole] = [text.slice(at) + decoded(value), 0, done];
    }
  };
  for (;;) {
    const found = take(CELL);
    at += found[0].length;
    row.push(found[3] ?? found[1].replaceAll('""', '"') + found[2]);
    if (text[at] === ",") {
      at++;
      continue;
    }
    if (at < text.length || row.length > 1 || row[0]) yield row;
    row = [];
    at += take(ROW_END)?.[0].length ?? 0;
    if (whole && at >= text.length) return;
  }
}

const equal = (one, other) => one?.length === other.length && one.every((text, place) => text === other[place]);

/** The faults of the table. */
export function* checkCsv(zip, name, records) {
  const table = rows(zip.chunks(name, { checked: false }));
  const heads = table.next().value ?? [];
  for (const line of zip.lines(records)) {
    const values = object(parse(line));
    const row = table.next().value;
    const isSame = [cell, oldCell].some((asCell) => equal(row, Array.from(values.values(), asCell)));
    if (!equal(heads, [...values.keys()]) || !isSame) {
      yield `${name} does not say what ${records} says, at leaf ${said(values.get("leaf_index"))}`;
      return;
    }
  }
  if (!table.next().done) yield `${name} has more lines than ${records}`;
}
