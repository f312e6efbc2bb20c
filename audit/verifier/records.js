// Records: their leaves, and a bundle of records in which each has a proof of its own (`manage.py bundle`).

import { Erasures, checkValues, committed } from "./erasable.js";
import { crosslinkLines } from "./crosslink.js";
import { canonical, member, parse, said } from "./json.js";
import { checkInclusion, leafHash } from "./merkle.js";
import { ED25519, readKey } from "./note.js";
import { Report } from "./report.js";
import { Sha256 } from "./sha256.js";
import { trustOf } from "./trust.js";
import { Altered, Forked, IN_FIELD, Uncovered, Unusable, bytesOf, hex, lines, quoted, unbase64 } from "./words.js";

export const STORE_MEMBERS = ["state", "digest", "received_at", "parked_at", "stored_at"];
const ENTRY = ["digest", "event_id", "received_at", "parked_at", "stored_at"];
export const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$/;
/** A time as the store writes it, in seconds. Raises `Unusable`: in another form it is not in order as text. */
export function seconds(text) {
  if (typeof text === "string" && TIME.test(text) && !text.startsWith("0000")) {
    const whole = new Date(`${text.slice(0, 19)}Z`);
    // A day that no month has is another day to some browsers.
    if (!Number.isNaN(whole.getTime()) && whole.toISOString().startsWith(text.slice(0, 19))) {
      return whole.getTime() / 1000 + Number(text.slice(19, 26));
    }
  }
  throw new Unusable(`${quoted(said(text, 60))} is not a time like 2026-08-18T10:00:00.000000Z`);
}

const SIZE = /^(0|[1-9][0-9]{0,18})$/;

export function object(value) {
  if (!(value instanceof Map)) throw new Unusable("a record is a JSON object");
  return value;
}

// The same hash is computed in formats/entry.py, formats/canonical.py, sql/0003_log.sql and verify.py.
/** The leaf hash of a record, recomputed from all that it says. Raises `Altered` and `Unusable`. */
export function leafOf(record) {
  const missing = [...STORE_MEMBERS, "event_id", "writer"].filter((name) => !record.has(name));
  if (missing.length) throw new Unusable(`the record lacks ${missing.join(", ")}`);
  checkValues(record);
  const event = new Map([...committed(record)].filter(([name]) => !STORE_MEMBERS.includes(name)));
  if (hex(leafHash(canonical(event))) !== record.get("digest")) {
    throw new Altered("the digest of the event is not the one that the record names: its content was changed");
  }
  return entryLeaf(record);
}

/** The leaf hash of a record from what the log's entry has of it: digest, id and times. Raises `Unusable`. */
export function entryLeaf(record) {
  const [received, stored, parked] = ["received_at", "stored_at", "parked_at"].map((name) => member(record, name));
  const times = [received, stored, ...(parked ? [parked] : [])];
  if (!times.every((text) => typeof text === "string" && TIME.test(text))) {
    throw new Unusable("a time of the record is not like 2026-08-18T10:00:00.000000Z");
  }
  return leafHash(canonical(new Map(ENTRY.map((name) => [name, member(record, name)]))));
}

export function readProof(text) {
  const at = text.indexOf("\n\n");
  let [first, ...rest] = (at < 0 ? text : text.slice(0, at)).split("\n");
  if (rest[0]?.startsWith("extra ")) rest = rest.slice(1);
  if (first !== "c2sp.org/tlog-proof@v1" || at < 0 || !rest[0]?.startsWith("index ")) {
    throw new Unusable("a proof starts with the lines c2sp.org/tlog-proof@v1 and index");
  }
  if (!SIZE.test(rest[0].slice(6)) || rest.length > 64) {
    throw new Unusable("the proof's index is not a number, or it has more than 63 hashes");
  }
  return { index: Number(rest[0].slice(6)), hashes: rest.slice(1).map(unbase64), note: text.slice(at + 2) };
}

function lineOf(line, ...allowed) {
  const value = parse(line);
  if (!(value instanceof Map) || !allowed.includes([...value.keys()].sort().join(" "))) {
    throw new Unusable("a line of the bundle has other members than it should");
  }
  if (hex(canonical(value)) + "0a" !== hex(line)) {
    throw new Unusable("a line of the bundle is not in RFC 8785 form: it was changed");
  }
  return value;
}

/** The log and the keys that a bundle claims. Raises `Unusable`. */
function readHeader(line) {
  const header = lineOf(line, "bundle keys origin");
  const [keys, origin] = [header.get("keys"), header.get("origin")];
  if (header.get("bundle") !== "auditsite/v1" || !Array.isArray(keys) || !keys.length) {
    throw new Unusable("this is not a bundle of the version auditsite/v1");
  }
  const found = keys.map((text) => readKey(said(text), ED25519));
  if (found.some((key) => key.name !== origin)) throw new Unusable("the bundle's keys are not of the log that it names");
  return { origin, keys: found };
}

/** The records of a bundle with their proofs. Raises `Unusable` where a byte is not as it was written. */
function* items(source) {
  const digest = new Sha256();
  let [count, ended, header] = [0, false, true];
  for (const line of lines(source.chunks())) {
    if (header) {
      header = false;
      digest.update(line);
      continue;
    }
    if (ended) throw new Unusable("something follows the bundle's last line");
    const value = lineOf(line, "records sha256", "proof record");
    if ((ended = value.has("sha256"))) {
      if (value.get("records") !== count || value.get("sha256") !== hex(digest.digest())) {
        throw new Unusable("the bundle is damaged: its last line does not fit what is before it");
      }
      continue;
    }
    digest.update(line);
    count++;
    const record = value.get("record");
    if (!(record instanceof Map) || record.get("state") !== "sealed") {
      throw new Unusable("a record of the bundle is not sealed");
    }
    yield [record, said(value.get("proof"))];
  }
  if (!ended) throw new Unusable("the bundle is cut off: its last line is missing");
}

/** Check one record. Raises `Altered`, `Uncovered`, `Unusable`. */
export async function checkRecord(record, proof, trust) {
  const checkpoint = await trust.checkpoint(proof.note);
  checkInclusion(leafOf(record), proof.index, checkpoint.size, proof.hashes, checkpoint.root);
  if (checkpoint.witnessed.size < trust.quorum) {
    throw new Uncovered(`${checkpoint.witnessed.size} of the ${trust.quorum} witnesses that you ask for have cosigned`);
  }
  return checkpoint;
}

const ORDER = ["FORKED", "ALTERED", "NOT COVERED", "VERIFIED"];
export const verdictOf = (error) => (error instanceof Forked ? "FORKED" : error instanceof Altered ? "ALTERED" : "NOT COVERED");

/** Check every record; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifyRecords(source, asked) {
  const trust = await trustOf(asked);
  const header = readHeader(lines(source.chunks()).next().value ?? bytesOf(""));
  if (!trust.keys.length) [trust.keys, trust.unconfirmed] = [header.keys, ["--key"]];
  else if (!trust.knows(header.origin)) {
    throw new Unusable(
      `the bundle is of the log ${quoted(header.origin)}, your key of ${quoted(trust.keys[0].name)}: where the log was `
        + `restored, give its cross-link ${IN_FIELD["--crosslink"]}, which leads from one to the other`,
    );
  }
  let [records, verdict, newest] = [0, "VERIFIED", null];
  const erasures = new Erasures();
  for (const [record, text] of items(source)) {
    records++;
    try {
      const found = await checkRecord(record, readProof(text), trust);
      erasures.note(record);
      if (!newest || found.size > newest.size) newest = found;
    } catch (error) {
      if (!(error instanceof Altered || error instanceof Uncovered)) throw error;
      const found = verdictOf(error);
      verdict = ORDER[Math.min(ORDER.indexOf(verdict), ORDER.indexOf(found))];
      yield `${found}  ${said(record.get("event_id"), 80)}: ${error.message}`;
    }
  }
  if (!records) verdict = "NOT COVERED";
  yield* report(records, verdict, newest, erasures, trust);
  return yield* ended(verdict, trust);
}

function report(records, verdict, newest, erasures, trust) {
  const report = new Report("bundle");
  report.checked.push(`${records} records checked against the log ${trust.keys[0].name}`);
  if (verdict === "VERIFIED") report.checked.push("each record is in the log, and as it was sealed");
  if (newest) report.addCheckpoint("newest checkpoint", newest);
  report.checked.push(...crosslinkLines(trust));
  report.addKeys(trust.keys, trust.unconfirmed);
  for (const name of [...trust.strangers].sort()) {
    report.stated.push(`the signature of ${name}, whose key was not given`);
  }
  erasures.report(report);
  report.stated.push("that there are no other records");
  return report.lines();
}

const KEY_NAMES = { "--key": "log signing key", "--receipt-key": "receipt signing key" };

/** The verdict; a key that came with the bundle is not enough. */
export function* ended(verdict, trust) {
  if (verdict !== "VERIFIED" || !trust.unconfirmed.length) return verdict;
  for (const option of trust.unconfirmed) {
    yield `NOT COVERED  give the ${KEY_NAMES[option]}: ${IN_FIELD[option]}, as it was published elsewhere. `
      + "All fits, but the one that came with the bundle cannot confirm who signed it";
  }
  return "NOT COVERED";
}
