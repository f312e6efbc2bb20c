// The certificate of a purge: which leaves have no record any more, by whose plan; signed with a key of receipts.

import { member, parse, said } from "./json.js";
import { receiptKeysOf, signedLine } from "./note.js";
import { object, verdictOf } from "./records.js";
import { Report } from "./report.js";
import { Sha256 } from "./sha256.js";
import { Altered, IN_FIELD, Uncovered, Unusable, bytesOf, hex, lacking } from "./words.js";

export const PURGE = "auditsite/purge/v1";
const RANGE = /^([0-9]{1,15}) ([0-9]{1,15})$/;

/** What a certificate says, signed by a trusted key of receipts. Raises `Altered`, `Uncovered`, `Unusable`. */
export async function readCertificate(text, keys) {
  const otherwise = `this is no certificate of a purge: ${PURGE}, origin, what is said`;
  return object(parse(bytesOf(await signedLine(text, PURGE, keys, otherwise))));
}

/**
 * The leaves whose records were removed, first and last + 1; null where they are not at hand. Raises `Altered`, `Unusable`.
 * `text` has them all, a line FIRST LAST for each; without it they are those that the certificate names.
 */
export function certifiedRanges(certificate, text) {
  const named = member(certificate, "named");
  let ranges = named;
  if (text !== null) {
    const found = text.replace(/\n$/, "").split("\n").map((line) => RANGE.exec(line));
    if (!found.every(Boolean)) throw new Unusable("its ranges are not lines of two numbers, FIRST LAST");
    ranges = found.map(([, first, last]) => [Number(first), Number(last)]);
  } else if (named.length !== member(certificate, "ranges")) return null;
  const digest = new Sha256();
  for (const [first, last] of ranges) digest.update(bytesOf(`${first} ${last}\n`));
  if (hex(digest.digest()) !== member(certificate, "ranges_sha256")) {
    throw new Altered("these ranges are not those that it was signed for");
  }
  if (ranges.reduce((sum, [first, last]) => sum + last - first, 0) !== member(certificate, "records")) {
    throw new Altered("its ranges have not as many log entries as it says records were removed");
  }
  return ranges;
}

/** Check a certificate, and look for leaves in it; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifyCertificate(text, ranges, asked) {
  const keys = receiptKeysOf(asked);
  try {
    const certificate = await readCertificate(text, keys);
    const covered = certifiedRanges(certificate, ranges);
    for (const leaf of asked.leaves) requireRemoved(leaf, certificate, covered);
    yield* report(certificate, keys, asked.leaves);
  } catch (error) {
    if (!(error instanceof Altered || error instanceof Uncovered)) throw lacking("the certificate", error);
    const verdict = verdictOf(error);
    yield `${verdict}  the certificate: ${error.message}`;
    return verdict;
  }
  return "SIGNED";
}

/** Raises `Uncovered` where a certificate does not say that the record of a leaf was removed. */
function requireRemoved(leaf, certificate, ranges) {
  if (ranges === null) {
    const [named, all] = [member(certificate, "named").length, said(member(certificate, "ranges"))];
    throw new Uncovered(`it names ${named} of its ${all} ranges: give all of them ${IN_FIELD["--ranges"]}`);
  }
  if (!ranges.some(([first, last]) => first <= leaf && leaf < last)) {
    throw new Uncovered(`leaf ${leaf} is not among what it says was removed`);
  }
}

/** What was removed, by whom and why. */
function report(certificate, keys, leaves) {
  const the = (name) => said(member(certificate, name));
  const report = new Report("certificate");
  report.checked.push("the certificate is signed by a key that you gave");
  for (const leaf of leaves) report.checked.push(`PURGED  leaf ${leaf}: it is among what the certificate says was removed`);
  report.addKeys(keys, []);
  report.stated.push(`purge ${the("plan")} of ${the("system")}, ended and certified at ${the("made_at")}`);
  report.stated.push(`${the("records")} records of ${the("ranges")} ranges of leaves, due at ${the("cut")}`);
  for (const [category, months] of [...member(certificate, "counts")].sort()) {
    const count = [...months.values()].reduce((sum, records) => sum + records, 0);
    const [first, last] = [[...months.keys()].sort()[0], [...months.keys()].sort().at(-1)];
    report.stated.push(`  ${category}: ${count}, stored in ${first} to ${last}`);
  }
  report.stated.push(`requested by ${the("asked_by")} at ${the("asked_at")}: ${the("reason")}`);
  report.stated.push(`approved by ${the("approved_by")} at ${the("approved_at")}, run by ${the("run_by")}`);
  for (const each of certificate.get("archives") ?? []) {
    const [archive, first, last, at] = ["archive", "first", "last", "checked_at"].map((name) => member(each, name));
    report.stated.push(`the archive ${said(archive)} holds leaves ${first} to ${last - 1}, by its check of ${said(at)}`);
  }
  if (certificate.get("without_archive")) {
    report.stated.push(`no archive of it was needed: ${the("without_archive")}`);
  }
  report.stated.push("that these records were due and held by nobody; the leaves are in the log as before");
  return report.lines();
}
