// An evidence bundle: who signed it, whether each file is the one that was signed, whether its records lead to the root
// that the log signed, and, of a range, whether none is left out. In the order and in the words of verify.py.

import { crosslinkLines } from "./crosslink.js";
import { checkCsv } from "./csv.js";
import { member, parse, said } from "./json.js";
import { ED25519, checkSigned, isOfReceipts, readKeys, readNote, when } from "./note.js";
import { CERTIFICATES, readPurges } from "./purges.js";
import { checkTerms, inWords } from "./terms.js";
import { ended, object, seconds } from "./records.js";
import { Redactions, rulesOf } from "./redactions.js";
import { Report } from "./report.js";
import { Volumes } from "./volumes.js";
import { requireKeys, trustOf } from "./trust.js";
import { Altered, Damaged, MOST_TOLD, Uncovered, Unusable, base64, bytesOf, lacking, quoted } from "./words.js";
import { Zip, damaged } from "./zip.js";

const EVIDENCE = "auditsite/evidence/v1";
const WITH_PURGED = "auditsite/evidence/v2";
const KINDS = ["query", "range", "sample"];
/** Between the second in which a checkpoint was signed and the time that the store notes of it. */
const CLOCK_SLACK_S = 2;
const SIGNED_FILES = ["manifest.json", "manifest.txt"];
const USUAL_FILES = ["README.html", "checkpoint.txt", "keys.txt", "query.txt", "statement.json", "verify.py"];
const PARTS_OF_VOLUMES = ["records", "proof", "csv", "purged"];

/** The manifest, signed by a key that is trusted. Raises `Altered`, `Uncovered` and `Unusable`. */
async function readManifest(zip, keys) {
  const note = readNote(zip.text("manifest.txt"));
  const [header, origin, id, digest, ...rest] = note.text.split("\n");
  if (![EVIDENCE, WITH_PURGED].includes(header) || rest.length !== 1) {
    throw new Unusable(`manifest.txt is not the signature of a manifest: ${EVIDENCE}, origin, id, SHA-256`);
  }
  const foreign = `the manifest is signed with a foreign key: by none of the log ${origin} that you trust`;
  await checkSigned(note, origin, keys, foreign);
  if (zip.sha256("manifest.json") !== digest) {
    throw new Altered("manifest.json is not the manifest that was signed: it was changed or swapped");
  }
  const manifest = parse(bytesOf(zip.text("manifest.json")));
  if (!(manifest instanceof Map) || manifest.get("evidence") !== header || said(manifest.get("id")) !== id) {
    throw new Altered("manifest.json is of another bundle than its signature");
  }
  if (member(member(manifest, "log"), "origin") !== origin) {
    throw new Altered("the manifest is of another log than its signature");
  }
  const kind = member(manifest, "kind");
  if (!KINDS.includes(kind)) {
    throw new Unusable(`a bundle is of a query, a range or a sample, not ${quoted(said(kind, 60))}`);
  }
  checkTerms(member(manifest, "terms"));
  const window = manifest.get("received");
  if (window) for (const bound of ["since", "until"]) seconds(member(window, bound));
  return manifest;
}

/** The names that files of a bundle have: of whichever, and of the volumes and certificates of this one. */
function usedFiles(manifest) {
  const ranges = [...(manifest.get("purges") ?? [])].map((purge) => member(purge, "ranges"));
  const parts = [...member(manifest, "volumes")].flatMap((volume) => PARTS_OF_VOLUMES.map((part) => volume.get(part)));
  const certificates = manifest.get("evidence") === WITH_PURGED ? [CERTIFICATES, ...ranges] : [];
  return new Set([...USUAL_FILES, ...parts, ...certificates]);
}

/** The faults of the files: each must be the one that the manifest names, used here, and there must be no others. */
function* checkFiles(zip, manifest) {
  const [named, used] = [object(member(manifest, "files")), usedFiles(manifest)];
  for (const name of [...named.keys()].sort()) {
    if (!used.has(name)) yield `${name} is named by the manifest, and is no file of a bundle: nothing shows what is in it`;
  }
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

/** The checkpoint of the bundle, which must be the manifest's. Raises `Altered`, `Uncovered`, `Unusable`. */
async function readCheckpoint(zip, manifest, trust) {
  const checkpoint = await trust.checkpoint(zip.text("checkpoint.txt"));
  const [size, root] = ["size", "root"].map((name) => member(member(manifest, "log"), name));
  if (checkpoint.size !== size) {
    const age = checkpoint.size < size ? "an older" : "another";
    throw new Altered(`checkpoint.txt is ${age} checkpoint, of ${checkpoint.size} records; the manifest's is of ${said(size)}`);
  }
  if (base64(checkpoint.root) !== root) throw new Altered("checkpoint.txt has another root than the manifest names");
  const signedAt = checkpoint.signedAt;
  if (signedAt !== null && Math.abs(seconds(member(manifest, "as_of")) - signedAt) > CLOCK_SLACK_S) {
    throw new Altered(`the manifest is as of ${manifest.get("as_of")}, its checkpoint was${when(signedAt).slice(1)}`);
  }
  return checkpoint;
}

/** The bytes that are read again, which the progress counts too. */
function stillToRead(zip, manifest) {
  const bytes = (name) => zip.files.get(name)?.size ?? 0;
  return [...member(manifest, "volumes")].reduce((sum, volume) => {
    const [records, csv] = ["records", "csv"].map((name) => bytes(object(volume).get(name)));
    return sum + records + csv + (csv && records);
  }, 0);
}

/** All that is wrong with a bundle; what was read goes into `found`. Raises `Uncovered`. */
export async function* faults(zip, trust, receiptKeys, found) {
  try {
    const manifest = (found.manifest = await readManifest(zip, receiptKeys));
    zip.source.expect(stillToRead(zip, manifest));
    yield* checkFiles(zip, manifest);
    const checkpoint = (found.checkpoint = await readCheckpoint(zip, manifest, trust));
    const redactions = new Redactions(rulesOf(manifest), found.originals);
    const volumes = (found.volumes = new Volumes(zip, manifest, checkpoint, redactions));
    if (manifest.get("evidence") === WITH_PURGED) volumes.purges = await readPurges(zip, manifest, trust, receiptKeys);
    for (const volume of member(manifest, "volumes")) {
      yield* volumes.check(volume);
      if (volume.has("csv")) yield* checkCsv(zip, volume.get("csv"), volume.get("records"));
    }
    yield* volumes.end();
  } catch (error) {
    if (error instanceof Damaged) yield "a file of the bundle was changed, so that it cannot be read";
    else if (error instanceof Altered || error instanceof Unusable) yield error.message;
    else throw error;
  }
}

/** The keys that count: those given, else those that came with the bundle. */
async function keysFor(zip, asked) {
  const isSaidBefore = (line) => line.startsWith(`${WITH_PURGED}: `); // to programs that do not know of purged leaves
  const claimed = readKeys(zip.text("keys.txt"), ED25519, isSaidBefore);
  const receipts = readKeys(asked.receiptKeys, ED25519);
  const isGiven = readKeys(asked.keys, ED25519).length > 0;
  const keys = isGiven ? asked.keys : claimed.filter((key) => !isOfReceipts(key)).join("\n");
  const trust = requireKeys(await trustOf({ ...asked, keys }));
  if (!isGiven) trust.unconfirmed.push("--key");
  if (!receipts.length) trust.unconfirmed.push("--receipt-key");
  return [trust, receipts.length ? receipts : claimed.filter(isOfReceipts)];
}

/** The files of a bundle, and the keys that count. Raises `Unusable`. */
export async function open(source, asked) {
  try {
    const zip = new Zip(source);
    return [zip, ...(await keysFor(zip, asked))];
  } catch (error) {
    throw damaged(error);
  }
}

/** What the proof of the bundle shows, and what the bundle only states. */
export function report({ manifest, checkpoint, volumes }, trust, receiptKeys, drawnAgain = []) {
  const report = new Report("bundle");
  const the = (name) => said(member(manifest, name));
  const what = manifest.get("range") ? "a range of the log" : the("query") || "everything";
  report.stated.push(`evidence ${the("id")} of ${the("system")}: ${what}`);
  report.stated.push(`requested by ${the("requested_by")} at ${the("requested_at")}, as of ${the("as_of")}`);
  report.checked.push(`${volumes.records} records checked against the log ${trust.keys[0].name}`);
  report.addCheckpoint("checkpoint", checkpoint);
  report.checked.push(...crosslinkLines(trust));
  report.addKeys([...trust.keys, ...receiptKeys], trust.unconfirmed);
  reportContent(manifest, volumes, report);
  if (volumes.kind === "sample") reportSample(manifest, drawnAgain, report);
  else if (volumes.kind === "range") reportRange(manifest, volumes.window, report);
  else report.stated.push("that no other record matches the query");
  volumes.purges.report(report);
  volumes.redactions.report(manifest, report);
  volumes.erasures.report(report);
  report.stated.push("statement.json, of what waits in the queue and what never came");
  report.stated.push("what README.html and query.txt say, for people to read, and the program verify.py in it");
  return report.lines();
}

/** Of the records, if there are any, what holds of each. */
function reportContent(manifest, { kind, records, redactions }, report) {
  if (!records) return;
  const where = redactions.closed ? " where it is not redacted" : "";
  report.checked.push(`each record is in the log, and as it was sealed${where}`);
  const terms = kind === "range" ? [] : [...member(manifest, "terms")];
  if (terms.length) report.checked.push(`each record matches the query${where}: ${inWords(terms)}`);
}

/** Which leaves these are, and which of them were received in the time that was asked for. */
function reportRange(manifest, window, report) {
  const [first, last] = ["first", "last"].map((name) => member(member(manifest, "range"), name));
  const purged = manifest.get("purged") ?? 0;
  const but = purged ? ` but the ${said(purged)} that were purged` : "";
  report.checked.push(`these are all leaves from ${first} to ${last - 1}: no record of the range is left out${but}`);
  if (!window) return;
  const the = (name) => said(member(window, name));
  report.checked.push(`${the("records")} of them were received from ${the("since")} to before ${the("until")}`);
  report.stated.push("that no record outside the range was received in that time");
}

/** Of what the sample was drawn, and whether that was checked. */
function reportSample(manifest, drawnAgain, report) {
  const [sample, leaves] = [member(manifest, "sample"), member(manifest, "range")];
  const the = (name) => said(member(sample, name));
  const drawn = `a sample of ${the("size")} of ${the("population")}, drawn with the seed ${quoted(the("seed"))}`;
  if (drawnAgain.length || leaves) report.checked.push(drawn, ...drawnAgain);
  else report.stated.push(drawn, "of which leaves it was drawn; give all of them to check it: verify.py sample");
  if (!leaves) return;
  const [first, last] = ["first", "last"].map((name) => member(leaves, name));
  report.checked.push(`these are what the seed draws of the leaves ${first} to ${last - 1}`);
}

/** Check a bundle; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifyEvidence(source, asked, originals) {
  const [zip, trust, receiptKeys] = await open(source, asked);
  const found = { originals: originals() };
  let [count, isCovered] = [0, true];
  try {
    for await (const fault of faults(zip, trust, receiptKeys, found)) {
      if (++count <= MOST_TOLD) yield `ALTERED  ${fault}`;
    }
  } catch (error) {
    if (!(error instanceof Uncovered)) throw lacking("a file of the bundle", error);
    isCovered = false;
    yield `NOT COVERED  ${error.message}`;
  }
  if (count) {
    yield count > 1 ? `${count} faults` : "one fault";
    return "ALTERED";
  }
  if (!isCovered) return "NOT COVERED";
  yield* report(found, trust, receiptKeys);
  return yield* verdictOn(found, trust);
}

/** The verdict on a bundle in which nothing is wrong. */
export async function* verdictOn({ checkpoint, volumes }, trust) {
  if (checkpoint.witnessed.size < trust.quorum) {
    yield `NOT COVERED  fewer than the ${trust.quorum} witnesses that you ask for have cosigned`;
    return "NOT COVERED";
  }
  if (!volumes.records) {
    const why = volumes.purges.count ? "all of its leaves were purged" : "that none matches is stated, not checked";
    yield `NOT COVERED  the bundle holds no record: ${why}`;
    return "NOT COVERED";
  }
  const verdict = yield* ended("VERIFIED", trust);
  return verdict === "VERIFIED" && volumes.redactions.closed ? "REDACTED" : verdict;
}
