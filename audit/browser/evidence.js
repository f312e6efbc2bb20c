// An evidence bundle: who signed it, whether each file is the one that was signed, whether its records lead to the root
// that the log signed, and, of a range, whether none is left out. In the order and in the words of verify.py.

import { checkCsv } from "./csv.js";
import { member, parse, said } from "./json.js";
import { Tree, same } from "./merkle.js";
import { ED25519, keyOf, readKeys, readNote, trustOf } from "./note.js";
import { STORE_MEMBERS, ended, keysOf, leafOf, object, seen } from "./records.js";
import { Altered, Damaged, Lacking, Unusable, base64, bytesOf, unbase64 } from "./words.js";
import { Zip } from "./zip.js";

const EVIDENCE = "auditsite/evidence/v1";
const BETWEEN = "auditsite/between/v1";
const SIGNED_FILES = ["manifest.json", "manifest.txt"];
const MOST_TOLD = 20;

/** The manifest, signed by a key that is trusted. Raises `Altered` and `Unusable`. */
async function readManifest(zip, keys) {
  const { text, signatures } = readNote(zip.text("manifest.txt"));
  const [header, origin, id, digest, ...rest] = text.split("\n");
  if (header !== EVIDENCE || rest.length !== 1) {
    throw new Unusable(`manifest.txt is not the signature of a manifest: ${EVIDENCE}, origin, id, SHA-256`);
  }
  const known = keys.filter((key) => key.name === `${origin}/receipts`);
  const ours = signatures.filter((signature) => keyOf(known, signature));
  if (!ours.length) {
    throw new Altered(`the manifest is signed with a foreign key: by none of the log ${origin} that you trust`);
  }
  for (const signature of ours) await keyOf(known, signature).check(text, signature.blob);
  if (zip.sha256("manifest.json") !== digest) {
    throw new Altered("manifest.json is not the manifest that was signed: it was changed or swapped");
  }
  const manifest = parse(bytesOf(zip.text("manifest.json")));
  if (!(manifest instanceof Map) || manifest.get("evidence") !== EVIDENCE || said(manifest.get("id")) !== id) {
    throw new Altered("manifest.json is of another bundle than its signature");
  }
  if (member(member(manifest, "log"), "origin") !== origin) {
    throw new Altered("the manifest is of another log than its signature");
  }
  return manifest;
}

/** What is wrong with the files: each must be the one that the manifest names, and there must be no others. */
function* checkFiles(zip, manifest) {
  const named = object(member(manifest, "files"));
  for (const name of [...zip.files.keys()].sort()) {
    if (!named.has(name) && !SIGNED_FILES.includes(name)) {
      yield `${name} is in the bundle, and the manifest does not name it`;
    }
  }
  for (const name of [...named.keys()].sort()) {
    if (!zip.files.has(name)) yield `${name} is missing: the manifest names it`;
    else if (!isAsNamed(zip, name, member(named.get(name), "sha256"))) {
      yield `${name} was changed: its SHA-256 is not the one that the manifest names`;
    }
  }
}

function isAsNamed(zip, name, digest) {
  try {
    return zip.sha256(name) === digest;
  } catch (error) {
    if (error instanceof Damaged) return false;
    throw error;
  }
}

/** The checkpoint of the bundle, which must be the manifest's. Raises `Altered`, `Unusable`. */
async function readCheckpoint(zip, manifest, trust) {
  const checkpoint = await trust.checkpoint(zip.text("checkpoint.txt"));
  const [size, root] = ["size", "root"].map((name) => member(member(manifest, "log"), name));
  if (checkpoint.size !== size) {
    const age = checkpoint.size < size ? "an older" : "another";
    throw new Altered(`checkpoint.txt is ${age} checkpoint, of ${checkpoint.size} records; the manifest's is of ${said(size)}`);
  }
  if (base64(checkpoint.root) !== root) throw new Altered("checkpoint.txt has another root than the manifest names");
  return checkpoint;
}

/** The hashes of a volume's proof. Raises `Altered`. */
function* proofHashes(zip, name) {
  const lines = zip.lines(name);
  const ascii = (line) => Array.from(line ?? [], (byte) => (byte < 128 ? String.fromCharCode(byte) : "\ufffd")).join("");
  if (ascii(lines.next().value) !== `${BETWEEN}\n`) throw new Altered(`${name} does not start with ${BETWEEN}`);
  for (const line of lines) {
    const found = ascii(line);
    if (found.length !== 45 || !found.endsWith("\n")) {
      throw new Altered(`${name} is cut off, or a hash in it is not 32 bytes long`);
    }
    const hash = unbase64(found.slice(0, -1));
    yield hash;
  }
}

/** The place and the record of each line of a volume; members without a value say nothing. */
function* rowsOf(zip, name) {
  for (const line of zip.lines(name)) {
    const record = object(parse(line));
    const index = record.get("leaf_index");
    if (typeof index !== "number") throw new Altered(`a record of ${name} does not name its leaf`);
    record.delete("leaf_index");
    for (const [member, value] of record) {
      if (value === null && !STORE_MEMBERS.includes(member)) record.delete(member);
    }
    yield [index, record];
  }
}

/** Checks the volumes one after the other: their places go on where those before ended. */
class Volumes {
  constructor(zip, manifest, checkpoint) {
    Object.assign(this, { zip, manifest, checkpoint, records: 0, last: -1 });
    this.isRange = member(manifest, "kind") === "range";
  }

  /** What is wrong with one volume. */
  *check(volume) {
    const [name, before] = [member(volume, "records"), this.records];
    const tree = new Tree(this.checkpoint.size, proofHashes(this.zip, member(volume, "proof")));
    let why = "";
    for (const [index, record] of rowsOf(this.zip, name)) {
      this.records++;
      yield* this.#place(name, index);
      try {
        const leaf = leafOf(record);
        if (!why) tree.add(index, leaf);
      } catch (error) {
        if (!(error instanceof Altered)) throw error;
        why = `${name}, record ${said(record.get("event_id"), 80)} of leaf ${index}: ${error.message}`;
        yield why;
      }
    }
    const [count, named] = [this.records - before, member(volume, "count")];
    if (count !== named) yield `${name} has ${count} records, the manifest names ${said(named)}`;
    if (!why) yield* this.#root(name, tree);
  }

  *#root(name, tree) {
    try {
      if (same(tree.root(), this.checkpoint.root)) return;
    } catch (error) {
      if (!(error instanceof Altered)) throw error;
      yield `${name}: ${error.message}`;
      return;
    }
    yield `${name} and its proof do not lead to the signed root: a record is not what was sealed, is left out, or was put in`;
  }

  *#place(name, index) {
    const before = this.last;
    this.last = index;
    if (!this.isRange) {
      if (index <= before) yield `${name}: leaf ${index} comes after leaf ${before}: a record is out of its place, or twice`;
      return;
    }
    const wanted = before < 0 ? member(member(this.manifest, "range"), "first") : before + 1;
    if (index === wanted) return;
    const why = index > wanted ? "a record of the range is left out" : "a record is out of its place, or twice";
    yield `${name}: leaf ${index} comes where leaf ${said(wanted)} should: ${why}`;
  }

  /** What is wrong with the whole. */
  *end() {
    const named = member(this.manifest, "records");
    if (this.records !== named) yield `the bundle has ${this.records} records, the manifest names ${said(named)}`;
    if (!this.isRange) return;
    const last = member(member(this.manifest, "range"), "last") - 1;
    if (this.last !== last) yield `the range ends at leaf ${this.last}, the manifest's at ${last}`;
  }
}

/** The bytes that are read a second and a third time, for how far it is. */
function stillToRead(zip, manifest) {
  const bytes = (name) => zip.files.get(name)?.size ?? 0;
  return [...member(manifest, "volumes")].reduce((sum, volume) => {
    const [records, csv] = ["records", "csv"].map((name) => bytes(object(volume).get(name)));
    return sum + records + csv + (csv && records);
  }, 0);
}

/** All that is wrong with a bundle, in words; what was read goes into `found`. */
async function* faults(zip, trust, receiptKeys, found) {
  try {
    const manifest = (found.manifest = await readManifest(zip, receiptKeys));
    zip.source.expect(stillToRead(zip, manifest));
    yield* checkFiles(zip, manifest);
    const checkpoint = (found.checkpoint = await readCheckpoint(zip, manifest, trust));
    const volumes = (found.volumes = new Volumes(zip, manifest, checkpoint));
    for (const volume of member(manifest, "volumes")) {
      yield* volumes.check(volume);
      if (volume.has("csv")) yield* checkCsv(zip, volume.get("csv"), volume.get("records"));
    }
    yield* volumes.end();
    // What else verify.py checks of a bundle comes here, in its order.
  } catch (error) {
    if (error instanceof Damaged) yield `a file of the bundle was changed: ${error.message}`;
    else if (error instanceof Altered || error instanceof Unusable) yield error.message;
    else throw error;
  }
}

/** The keys that count: those given, else those that came with the bundle. */
function keysFor(zip, asked) {
  const claimed = readKeys(zip.text("keys.txt"), ED25519);
  const receipts = readKeys(asked.receiptKeys, ED25519);
  const own = (key) => key.name.endsWith("/receipts");
  const trust = trustOf(asked, (keys) => (keys.length ? keys : claimed.filter((key) => !own(key))));
  trust.pinned &&= receipts.length > 0;
  return [trust, receipts.length ? receipts : claimed.filter(own)];
}

function open(source, asked) {
  try {
    const zip = new Zip(source);
    return [zip, ...keysFor(zip, asked)];
  } catch (error) {
    if (error instanceof Damaged) throw new Unusable(`the zip of the bundle is damaged or cut off: ${error.message}`);
    throw error;
  }
}

/** What the bundle is of, what its proof shows, and what is only said. */
function* report({ manifest, checkpoint, volumes }, trust, receiptKeys) {
  const the = (name) => said(member(manifest, name));
  const what = volumes.isRange ? "a range of the log" : the("query") || "everything";
  yield `evidence ${the("id")} of ${the("system")}: ${what}`;
  yield `asked for by ${the("requested_by")} at ${the("requested_at")}, as of ${the("as_of")}`;
  yield `${volumes.records} records checked against the log ${trust.keys[0].name}`;
  yield* seen("checkpoint", checkpoint);
  yield* keysOf([...trust.keys, ...receiptKeys], trust);
  if (volumes.isRange) {
    const [first, last] = ["first", "last"].map((name) => member(manifest.get("range"), name));
    yield `shown: these are all leaves from ${first} to ${last - 1}: no record of the range is left out`;
  } else {
    yield "shown: each record is in the log, and as it was sealed";
    yield "said by the operator, not shown: that no other record matches the query";
  }
  yield "said by the operator, not shown: statement.json, of what waits in the queue and what never came";
}

/** Check a bundle; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifyEvidence(source, asked) {
  const [zip, trust, receiptKeys] = open(source, asked);
  const found = {};
  let count = 0;
  try {
    for await (const fault of faults(zip, trust, receiptKeys, found)) {
      if (++count <= MOST_TOLD) yield `ALTERED  ${fault}`;
    }
  } catch (error) {
    if (!(error instanceof Lacking || error instanceof TypeError)) throw error;
    throw new Unusable(`a file of the bundle lacks something that it should have: ${error.message}`);
  }
  if (count) {
    yield count > 1 ? `${count} faults` : "one fault";
    return "ALTERED";
  }
  yield* report(found, trust, receiptKeys);
  if (found.checkpoint.witnessed.size < trust.quorum) {
    yield `NOT COVERED  fewer than the ${trust.quorum} witnesses that you ask for have cosigned`;
    return "NOT COVERED";
  }
  if (!found.volumes.records) {
    yield "the bundle holds no record: that none matches is said, not shown";
    return "NOT COVERED";
  }
  return yield* ended("VERIFIED", trust);
}
