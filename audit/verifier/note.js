// C2SP signed-note: keys and signatures. Ed25519 is the browser's own.

import { sha256 } from "./sha256.js";
import { Altered, IN_FIELD, Uncovered, Unusable, base64, bytesOf, cut, hex, joined, quoted, unbase64 } from "./words.js";

export const [ED25519, COSIGNATURE] = [1, 4];
const SIGNATURE_BYTES = 64;
const CONTROLS = /[\x00-\x09\x0b-\x1f\x7f]/;

/** Raises `Unusable` where this browser cannot check a signature at all. */
export async function requireEd25519() {
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(32).fill(1), "Ed25519", false, ["verify"]);
  } catch (error) {
    if (!globalThis.crypto?.subtle || error.name === "NotSupportedError") {
      throw new Unusable(
        "this browser cannot check Ed25519 signatures here: take Chrome 137, Firefox 129, Safari 17 or newer, "
          + "over https or from this machine itself; or verify.py",
      );
    }
  }
}

/** A public key: `name+id+base64(kind || 32 bytes)`. */
export class Key {
  constructor(name, kind, publicBytes) {
    Object.assign(this, { name, kind, publicBytes });
    this.data = joined([Uint8Array.of(kind), publicBytes]);
    this.id = hex(sha256(bytesOf(`${name}\n`), this.data).subarray(0, 4));
  }

  toString() {
    return `${this.name}+${this.id}+${base64(this.data)}`;
  }

  /** Check a signature; return the time that it attests. Raises `Altered`. */
  async check(text, blob) {
    let [moment, message] = [null, text];
    if (this.kind === COSIGNATURE) {
      moment = BigInt(`0x0${hex(blob.subarray(0, 8))}`);
      [message, blob] = [`cosignature/v1\ntime ${moment}\n${text}`, blob.subarray(8)];
    }
    let holds = false;
    try {
      const key = await crypto.subtle.importKey("raw", this.publicBytes, "Ed25519", false, ["verify"]);
      holds = await crypto.subtle.verify("Ed25519", key, blob, bytesOf(message));
    } catch {
      // no point of the curve: nobody can have signed with it
    }
    if (!holds) throw new Altered(`a signature of ${this.name} does not hold`);
    return moment === null ? null : Number(moment);
  }
}

/** The text before a mark, and the text after it. */
function parted(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

export function readKey(text, kind) {
  const [name, rest] = parted(text.trim(), "+");
  const [id, encoded] = parted(rest, "+");
  const data = unbase64(encoded);
  if (!name || data.length !== 33 || data[0] !== kind) {
    throw new Unusable(`${quoted(cut(text, 100))} is not a key of the kind that is wanted here: name+id+base64`);
  }
  const key = new Key(name, kind, data.subarray(1));
  if (key.id !== id) throw new Unusable(`the key of ${name} is damaged: its id should be ${key.id}`);
  return key;
}

/** A note's text and its signature lines: name, key id, signature. Raises `Unusable`. */
export function readNote(note) {
  const at = note.lastIndexOf("\n\n");
  if (at < 0 || !note.slice(at + 2).endsWith("\n") || CONTROLS.test(note)) {
    throw new Unusable("a checkpoint is text, a blank line, and signature lines");
  }
  const signatures = note.slice(at + 2, -1).split("\n").map((line) => {
    const [dash, name = "", encoded = "", ...more] = line.split(" ");
    const blob = unbase64(encoded);
    if (dash !== "—" || !name || more.length || blob.length < 5) {
      throw new Unusable(`${quoted(cut(line, 60))} is not a signature line`);
    }
    return { name, id: hex(blob.subarray(0, 4)), blob: blob.subarray(4) };
  });
  return { text: note.slice(0, at + 1), signatures };
}

/** The key of these that a signature names, by name and id. */
export const keyOf = (keys, { name, id }) => keys.find((key) => key.name === name && key.id === id);

/**
 * The error for what no key that was given has signed: `Uncovered` where another key of this name has.
 * The log may have that key from a rotation, or a forger made it: without the key nobody can say.
 */
export function unsigned(signatures, name, otherwise) {
  const isStranger = (signature) => signature.name === name && signature.blob.length === SIGNATURE_BYTES;
  const strangers = new Set(signatures.filter(isStranger).map(({ id }) => `${name}+${id}`));
  if (!strangers.size) return new Altered(otherwise);
  return new Uncovered(`signed by a key of this origin that you did not give: ${[...strangers].sort().join(", ")}`);
}

/** Raises `Altered`, `Uncovered` unless the keys of receipts of this log have signed a note, at least one of them. */
export async function checkSigned({ text, signatures }, origin, keys, otherwise) {
  const name = `${origin}/receipts`;
  const known = keys.filter((key) => key.name === name);
  const ours = signatures.filter((signature) => keyOf(known, signature));
  if (!ours.length) {
    const words = otherwise ?? `no key of receipts of the log ${origin} that you trust has signed this`;
    throw unsigned(known.length ? signatures : [], name, words);
  }
  for (const signature of ours) await keyOf(known, signature).check(text, signature.blob);
}

/** The third line of a note (header, origin, line), signed by a key of receipts. Raises `Altered`, `Uncovered`, `Unusable`. */
export async function signedLine(text, header, keys, otherwise) {
  const note = readNote(text);
  const [first, origin, line, end, ...rest] = note.text.split("\n");
  if (first !== header || end !== "" || rest.length) throw new Unusable(otherwise);
  await checkSigned(note, origin, keys);
  return line;
}

/** The keys of receipts that were given, where nothing comes with keys of its own. Raises `Unusable`. */
export function receiptKeysOf(asked) {
  const keys = readKeys(asked.receiptKeys, ED25519);
  if (!keys.length) throw new Unusable(`give the public key of receipts ${IN_FIELD["--receipt-key"]}`);
  return keys;
}

export const isOfReceipts = (key) => key.name.endsWith("/receipts");

const linesOf = (text) => text.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/).filter((line) => line.trim());

/** The keys in a text, a line each, but for lines that are something else. Raises `Unusable`. */
export const readKeys = (text, kind, isOther = (line) => false) =>
  linesOf(text).filter((line) => !line.startsWith("#") && !isOther(line)).map((line) => readKey(line, kind));

/** When a checkpoint or a cosignature was signed, in words. */
export function when(moment) {
  if (moment === null) return ", at a time that nobody attests";
  if (moment > 253402300799) return `, signed at second ${moment}`;
  return `, signed ${new Date(moment * 1000).toISOString().slice(0, 19).replace("T", " ")}Z`;
}
