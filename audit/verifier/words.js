// The errors, by the names of verify.py, and what all modules share: bytes, base64, lines.

/** So many faults are shown; all are counted. */
export const MOST_TOLD = 20;

/** Where the page takes what verify.py takes with an option: the fields have these names in `index.html`. */
export const IN_FIELD = {
  "--key": 'in the field "Log signing key"',
  "--receipt-key": 'in the field "Receipt signing key"',
  "--originals": 'in the field "Supporting files"',
  "--range": 'in the field "Supporting files"',
  "--ranges": 'in the field "Supporting files"',
  "--crosslink": 'in the field "Supporting files"',
};

/** The headings of the two parts of a report, and how to know them among its lines. */
export const CHECKED = "Checked here";
export const STATED = (of) => `Stated by the ${of}, not checked`;
const OF = ["bundle", "statement", "export", "certificate", "cross-link"];
export const isHeading = (line) => line === CHECKED || OF.some((of) => line === STATED(of));

/** The input is not what it should be: nothing can be said about it. */
export class Unusable extends Error {}
/** Something does not fit what was signed. */
export class Altered extends Error {}
/** The log signed two trees of which one is not the beginning of the other. */
export class Forked extends Altered {}
/** Something was not shown. */
export class Uncovered extends Error {}
/** The zip, or a file in it, is not as it was written. */
export class Damaged extends Error {}
/** A file lacks a member that it should have. */
export class Lacking extends Error {}

/** The error of a file that lacks a member; any other error unchanged. */
export function lacking(what, error) {
  if (!(error instanceof Lacking || error instanceof TypeError)) return error;
  return new Unusable(`${what} lacks something that it should have: ${error.message}`);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const bytesOf = (text) => encoder.encode(text);

/** Raises `Damaged` instead of the browser's own error. */
export function textOf(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Damaged("it is not UTF-8");
  }
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function hex(bytes) {
  let found = "";
  for (let at = 0; at < bytes.length; at++) found += HEX[bytes[at]];
  return found;
}

export function joined(parts) {
  if (parts.length === 1) return parts[0];
  const found = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}

export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** Base64 in its one spelling. Raises `Unusable`. */
export function unbase64(text) {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw new Unusable(`${quoted(cut(text, 60))} is not base64`);
  }
  const found = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  if (base64(found) !== text) throw new Unusable(`${quoted(cut(text, 60))} is not the one base64 of its bytes`);
  return found;
}

/** The first so many characters; a character of two halves is one. */
export const cut = (text, most) => [...text.slice(0, most * 2)].slice(0, most).join("");

const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

/** A text that others wrote, in quotes and with escapes, as verify.py quotes it. */
export function quoted(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = text.replace(/[\p{C}\p{Zl}\p{Zp}\\]|(?! )\p{Zs}/gu, (one) => SHORT[one] ?? escaped(one));
  return mark + (mark === "'" ? inside.replaceAll("'", "\\'") : inside) + mark;
}

function escaped(character) {
  const code = character.codePointAt(0);
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

/** The lines in chunks of bytes, each with its end. */
export function* lines(chunks) {
  let begun = [];
  for (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      yield joined([...begun, chunk.subarray(from, at + 1)]);
      [begun, from] = [[], at + 1];
    }
    if (from < chunk.length) begun.push(chunk.subarray(from));
  }
  if (begun.length) yield joined(begun);
}

const CHUNK = 1 << 20;

/** A file on the disk, of which never more than a chunk is in memory. Only in a worker: there reading may wait. */
export class Source {
  constructor(file, tell) {
    Object.assign(this, { file, tell, size: file.size, done: 0, total: file.size });
  }

  /** So many bytes will be read once more. */
  expect(bytes) {
    this.total += bytes;
  }

  read(start, end) {
    const found = new Uint8Array(new FileReaderSync().readAsArrayBuffer(this.file.slice(start, end)));
    if (found.length !== end - start) throw new Damaged("the file ends too early");
    this.done += found.length;
    this.tell(this.done, this.total);
    return found;
  }

  *chunks(start = 0, end = this.size) {
    for (let at = start; at < end; at += CHUNK) yield this.read(at, Math.min(at + CHUNK, end));
  }
}
