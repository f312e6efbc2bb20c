// A table must say what the JSON lines beside it say, which are proved.

import { Float, parse, python, said } from "./json.js";
import { object } from "./records.js";
import { Damaged } from "./words.js";

const FORMULA = ["=", "+", "-", "@", "\t", "\r"];
const CELL = /"([^"]*(?:""[^"]*)*)"([^,\r\n]*)|([^,\r\n]*)/y;
const ROW_END = /\r\n|\r|\n/y;

/** A value as the text of a cell, with an apostrophe before what a spreadsheet would take for a formula. */
function cell(value) {
  if (value === null) return "";
  const number = ["number", "bigint", "boolean"].includes(typeof value) || value instanceof Float;
  const text = typeof value === "string" ? value : python(value);
  return !number && FORMULA.includes(text[0]) ? `'${text}` : text;
}

/** The rows of a table, read a chunk at a time. */
function* rows(chunks) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
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
    if (!equal(heads, [...values.keys()]) || !equal(table.next().value, Array.from(values.values(), cell))) {
      yield `${name} does not say what ${records} says, at leaf ${said(values.get("leaf_index"))}`;
      return;
    }
  }
  if (!table.next().done) yield `${name} has more lines than ${records}`;
}
