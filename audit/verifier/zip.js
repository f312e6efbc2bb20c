// A zip in which nothing is compressed, as the store makes it, read where it lies: its directory, then slices of it. The
// directory is not believed: no name twice, no two files in the same bytes, each where its own header says so too.

import { Sha256 } from "./sha256.js";
import { Altered, Damaged, Unusable, hex, joined, lines, quoted, textOf } from "./words.js";

const [END, END_64, LOCATOR_64] = [0x06054b50, 0x06064b50, 0x07064b50];
const [ENTRY, HEADER] = [0x02014b50, 0x04034b50];
const [ENTRY_BYTES, HEADER_BYTES, END_BYTES] = [46, 30, 22];
// The record of the end of a large zip, and what says where it is.
const LARGE_BYTES = 56 + 20;
const MOST_COMMENT = 65_535;
const MOST_BYTES = 64 * 1024 * 1024;

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** The error of a damaged zip; any other error unchanged. */
export const damaged = (error) =>
  error instanceof Damaged ? new Unusable("the zip of the bundle is damaged or cut off") : error;

/** Raises `Unusable`. */
function requireZip(source) {
  const head = source.read(0, Math.min(2, source.size));
  if (head[0] !== 0x50 || head[1] !== 0x4b) {
    throw new Unusable("this is no evidence bundle: give the .zip as it was downloaded, not a file of it");
  }
}

/** Raises `Unusable`. */
export function zipOf(source) {
  try {
    return new Zip(source);
  } catch (error) {
    throw damaged(error);
  }
}

function crcOf(bytes, before) {
  let found = ~before;
  for (let at = 0; at < bytes.length; at++) found = (found >>> 8) ^ CRC[(found ^ bytes[at]) & 255];
  return ~found >>> 0;
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const long = (view, at) => Number(view.getBigUint64(at, true));

/** The files of an evidence bundle. Raises `Damaged`, and `Unusable` for two files of one name. */
export class Zip {
  constructor(source) {
    this.source = source;
    requireZip(source);
    const found = directory(source).filter((one) => !one.name.endsWith("/"));
    this.files = new Map(found.map((one) => [one.name, one]));
    if (this.files.size !== found.length) throw new Unusable("two files of the bundle have one name");
  }

  /** The bytes of a file, a chunk at a time; whether they are all as written shows at the last, if that is asked. */
  *chunks(name, { checked = true } = {}) {
    const file = this.files.get(name);
    if (!file) throw new Altered(`${name} is missing`);
    const start = startOf(this.source, file);
    let [crc, left] = [0, file.size];
    for (const chunk of this.source.chunks(start, start + file.size)) {
      if (checked) [crc, left] = [crcOf(chunk, crc), left - chunk.length];
      if (checked && !left && crc !== file.crc) throw new Damaged(`Bad CRC-32 for file ${quoted(name)}`);
      yield chunk;
    }
  }

  /** The lines of a file that was compared already: what was changed in it can be named. */
  lines(name) {
    return lines(this.chunks(name, { checked: false }));
  }

  text(name) {
    if (this.files.get(name)?.size > MOST_BYTES) throw new Damaged(`${name} is longer than ${MOST_BYTES} bytes`);
    return textOf(joined([...this.chunks(name)]));
  }

  sha256(name) {
    const digest = new Sha256();
    for (const chunk of this.chunks(name)) digest.update(chunk);
    return hex(digest.digest());
  }
}

function directory(source) {
  const tail = source.read(Math.max(0, source.size - END_BYTES - MOST_COMMENT), source.size);
  const view = viewOf(tail);
  let at = tail.length - END_BYTES;
  const ends = () => view.getUint32(at, true) === END && view.getUint16(at + 20, true) === tail.length - at - END_BYTES;
  while (at >= 0 && !ends()) at--;
  if (at < 0) throw new Damaged("File is not a zip file");
  const end = source.size - tail.length + at;
  const small = [view.getUint16(at + 10, true), view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
  const large = ends64(source, end);
  const [count, size, stated] = large ?? small;
  // Right before its end, wherever it says that it is: what stands before a zip moves all that is in it.
  const start = end - size - (large ? LARGE_BYTES : 0);
  if (start < 0) throw new Damaged("Bad offset for central directory");
  const found = [...entries(source.read(start, start + size), start, start - stated)];
  if (found.length !== count) throw new Damaged("Truncated central directory");
  return withEnds(found, start);
}

/** Where the directory of a large zip is; nothing where it is no large one. */
function ends64(source, end) {
  if (end < 20) return null;
  const locator = viewOf(source.read(end - 20, end));
  if (locator.getUint32(0, true) !== LOCATOR_64) return null;
  const at = end - LARGE_BYTES;
  if (at < 0) return null;
  const view = viewOf(source.read(at, at + 56));
  if (view.getUint32(0, true) !== END_64) return null;
  return [long(view, 32), long(view, 40), long(view, 48)];
}

function* entries(bytes, before, moved) {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    if (at + ENTRY_BYTES > bytes.length) throw new Damaged("Truncated central directory");
    if (view.getUint32(at, true) !== ENTRY) throw new Damaged("Bad magic number for central directory");
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const next = at + ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > bytes.length) throw new Damaged("Truncated central directory");
    const name = textOf(bytes.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes));
    const extra = bytes.subarray(at + ENTRY_BYTES + nameBytes, at + ENTRY_BYTES + nameBytes + extraBytes);
    const [size, packed, stated] = sizes(extra, [24, 20, 42].map((place) => view.getUint32(at + place, true)));
    const offset = stated + moved;
    if (view.getUint16(at + 10, true) !== 0 || view.getUint16(at + 8, true) & 1 || size !== packed) {
      throw new Unusable(`${name} is compressed or encrypted: give the bundle as the store made it`);
    }
    if (offset < 0 || offset + HEADER_BYTES + size > before) throw new Damaged(`Bad offset for file ${quoted(name)}`);
    yield { name, size, offset, crc: view.getUint32(at + 16, true) };
    at = next;
  }
}

/** Where a number does not fit into 32 bits, it is in the extra field 1: those that do not fit, in this order. */
function sizes(extra, found) {
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let place = at + 4;
    return found.map((one) => (one === 0xffffffff && place + 8 <= extra.length ? long(view, (place += 8) - 8) : one));
  }
  return found;
}

/** Where each file must have ended: where the next one, or the directory, begins. */
function withEnds(files, directoryStart) {
  const ordered = [...files].sort((one, other) => one.offset - other.offset);
  ordered.forEach((file, place) => (file.end = ordered[place + 1]?.offset ?? directoryStart));
  return files;
}

/** Where the bytes of a file begin: behind its own header, which must name it as the directory does. */
function startOf(source, file) {
  const header = source.read(file.offset, file.offset + HEADER_BYTES);
  const view = viewOf(header);
  if (view.getUint32(0, true) !== HEADER) throw new Damaged("Bad magic number for file header");
  const nameEnd = file.offset + HEADER_BYTES + view.getUint16(26, true);
  const name = new TextDecoder().decode(source.read(file.offset + HEADER_BYTES, Math.min(nameEnd, source.size)));
  if (name !== file.name) throw new Damaged(`File name in directory ${quoted(file.name)} and header ${quoted(name)} differ.`);
  const start = nameEnd + view.getUint16(28, true);
  if (start + file.size > file.end) throw new Damaged(`Overlapped entries: ${quoted(name)} (possible zip bomb)`);
  return start;
}
