// The signed answer of `GET export`: its signature, and the digest of each event. It holds no proofs.

import { canonical, member, parse, said } from "./json.js";
import { checkSigned, readNote, receiptKeysOf } from "./note.js";
import { entryLeaf, leafOf, object } from "./records.js";
import { Report } from "./report.js";
import { sha256 } from "./sha256.js";
import { Altered, MOST_TOLD, Uncovered, Unusable, hex, lacking, quoted } from "./words.js";

const EXTRACT = "auditsite/export/v1";
/** What the answer has of an event beyond the record. */
const SHOWN_MEMBERS = ["leaf_index", "verified", "redacted", "hash_chain_valid", "legal_hold"];

/** Check an answer; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifyExtract(bytes, asked) {
  const keys = receiptKeysOf(asked);
  const document = object(parse(bytes));
  const found = [];
  try {
    for await (const fault of faults(document, keys)) found.push(fault);
    if (!found.length) {
      yield* report(document);
      return "SIGNED";
    }
  } catch (error) {
    if (error instanceof Uncovered) {
      yield `NOT COVERED  the export: ${error.message}`;
      return "NOT COVERED";
    }
    if (!(error instanceof Altered)) throw lacking("the export", error);
    found.splice(0, found.length, error.message);
  }
  for (const fault of found.slice(0, MOST_TOLD)) yield `ALTERED  the export: ${fault}`;
  return "ALTERED";
}

const isRedacted = (event) => Boolean(member(event, "redacted")?.size);

/** The faults of an answer. Raises `Altered`, `Uncovered`, `Unusable`. */
async function* faults(document, keys) {
  const note = readNote(said(document.get("signature") ?? ""));
  document.delete("signature");
  const [header, origin, digest, end, ...rest] = note.text.split("\n");
  if (header !== EXTRACT || end !== "" || rest.length) {
    throw new Unusable(`the signature is not that of an export: ${EXTRACT}, origin, SHA-256`);
  }
  await checkSigned(note, origin, keys);
  if (hex(sha256(canonical(document))) !== digest) yield "the file is not the one that was signed";
  for (const event of member(document, "events")) {
    const record = new Map([...event].filter(([name]) => !SHOWN_MEMBERS.includes(name)));
    try {
      isRedacted(event) ? entryLeaf(record) : leafOf(record);
    } catch (error) {
      if (!(error instanceof Altered)) throw error;
      yield `${said(event.get("event_id"), 80)}: ${error.message}`;
    }
  }
}

function report(document) {
  const [about, events, summary] = ["export_metadata", "events", "verification"].map((name) => member(document, name));
  const [valid, total] = ["valid_events", "total_events_verified"].map((name) => said(member(summary, name)));
  const redacted = events.filter(isRedacted).length;
  const report = new Report("export");
  report.checked.push(`${events.length} events, signed by a key that you gave`);
  report.checked.push(`the digest of ${events.length - redacted} events that are not redacted`);
  report.stated.push(`query: ${quoted(said(member(about, "query")))}`);
  report.stated.push(`${valid} of ${total} were found to be as sealed; for proofs: POST exports`);
  report.stated.push("that no other record matches");
  if (redacted) report.stated.push(`what remains of the content of ${redacted} redacted events`);
  return report.lines();
}
