// The leaves of a bundle whose records a purge removed: each under a certificate that is signed and a record of the log.

import { certifiedRanges, readCertificate } from "./certificate.js";
import { member, parse, said } from "./json.js";
import { checkRecord, object, readProof } from "./records.js";
import { purgedRows } from "./rows.js";
import { Altered, Uncovered, cut, quoted, unbase64 } from "./words.js";

const COMPLETED = "audit.purge.completed";
const OWN_WRITER = "auditsite";
export const CERTIFICATES = "purges.jsonl";

/** The certificates in a bundle, by the records that they are, and the leaves that were found to be under each. */
export class Purges {
  certificates = new Map();
  leaves = new Map();

  /** How many leaves were found to be purged. */
  get count() {
    return [...this.leaves.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The hash of a leaf that is said to be purged. Raises `Altered` where no certificate here covers it. */
  leaf(index, line) {
    const name = said(member(line, "certificate"));
    const covered = this.certificates.get(name);
    if (!covered) {
      throw new Altered(`it is said to be purged under the certificate ${quoted(cut(name, 60))}, which is not in the bundle`);
    }
    if (!isWithin(index, covered.ranges)) {
      throw new Altered(`it is said to be purged under the certificate ${name}, which does not cover it`);
    }
    const hash = unbase64(said(member(line, "leaf_hash")));
    if (hash.length !== 32) throw new Altered("its hash is not 32 bytes long");
    this.leaves.set(name, (this.leaves.get(name) ?? 0) + 1);
    return hash;
  }

  /** Where the manifest names another count. */
  *end(manifest) {
    const named = manifest.get("purged") ?? 0;
    if (this.count !== named) {
      yield `${this.count} leaves of the bundle are purged, the manifest names ${said(named, 60)}`;
    }
  }

  /** Under which certificates leaves are purged. */
  report(report) {
    for (const [name, count] of this.leaves) {
      report.checked.push(
        `${count} leaves have no record any more: purged (${said(this.certificates.get(name).plan)}) under a certificate `
          + `that covers them, is signed, and is the record ${name} of the log`,
      );
    }
    if (this.leaves.size) report.stated.push("that the records that were purged were due and held by nobody");
  }
}

/** Whether one of the ranges, which are in order, has the leaf. */
function isWithin(index, ranges) {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (ranges[middle][0] <= index) low = middle + 1;
    else high = middle;
  }
  return low > 0 && index < ranges[low - 1][1];
}

/** The certificates of a bundle: each a record that is in the log, and signed. Raises as `readCertificate`. */
export async function readPurges(zip, manifest, trust, keys) {
  const purges = new Purges();
  const files = new Map();
  for (const purge of member(manifest, "purges")) files.set(member(purge, "certificate"), member(purge, "ranges"));
  for (const line of zip.lines(CERTIFICATES)) {
    const value = object(parse(line));
    const record = object(member(value, "record"));
    const name = said(record.get("event_id"));
    const found = await readPurge(zip, record, member(value, "proof"), files.get(name), trust, keys).catch((error) => {
      if (!(error instanceof Altered)) throw error;
      throw new error.constructor(`the certificate ${cut(name, 60)}: ${error.message}`);
    });
    if (found.ranges === null) {
      throw new Altered(`the certificate ${name}: it names not all of its ranges, and they are not in the bundle`);
    }
    purges.certificates.set(name, found);
  }
  return purges;
}

async function readPurge(zip, record, proof, file, trust, keys) {
  await checkRecord(record, readProof(said(proof)), trust);
  if (record.get("event_type") !== COMPLETED) throw new Altered(`it is no record of the type ${COMPLETED}`);
  const writer = member(record, "writer"); // whoever may write can send an event of this type
  if (writer !== OWN_WRITER) {
    throw new Altered(`it is a record of the writer ${quoted(said(writer, 60))}, not of the store`);
  }
  const certificate = await readCertificate(said(member(member(record, "event_data"), "note")), keys);
  const ranges = certifiedRanges(certificate, file ? zip.text(file) : null);
  return { plan: member(certificate, "plan"), ranges };
}

/** The first of these leaves whose record was purged; null where none was. */
export function purgedWithin(zip, manifest, first, last) {
  for (const volume of member(manifest, "volumes")) {
    for (const [index] of purgedRows(zip, volume)) if (first <= index && index < last) return index;
  }
  return null;
}

/** Raises `Uncovered` where the record of one of these leaves was purged: nobody can ask a query of it again. */
export function refusePurged(zip, manifest, first, last) {
  const index = purgedWithin(zip, manifest, first, last);
  if (index !== null) throw new Uncovered(`the record of leaf ${index} was purged: nothing shows whether it matched`);
}
