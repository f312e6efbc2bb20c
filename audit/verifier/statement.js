// A signed statement: that so many records match a query, of which leaves; with a bundle of these it is asked again.

import { faults } from "./evidence.js";
import { member, parse, said } from "./json.js";
import { same } from "./merkle.js";
import { receiptKeysOf, signedLine, when } from "./note.js";
import { purgedWithin, refusePurged } from "./purges.js";
import { leavesThatMatch, rootOf, sameLog } from "./query.js";
import { object, seconds, verdictOf } from "./records.js";
import { Report } from "./report.js";
import { checkTerms, inWords } from "./terms.js";
import { requireKeys, trustOf } from "./trust.js";
import { Altered, Forked, IN_FIELD, Uncovered, bytesOf, lacking } from "./words.js";
import { zipOf } from "./zip.js";

export const STATEMENT = "auditsite/statement/v1";
/** The store takes no event whose time is more than this ahead of its receipt. */
const AHEAD_S = 3600;

/** Check a statement, perhaps with a range; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifyStatement(text, range, asked) {
  const [trust, receiptKeys] = [requireKeys(await trustOf(asked)), receiptKeysOf(asked)];
  let statement, checkpoint, before, isAskedOfAll;
  try {
    statement = await readStatement(text, receiptKeys);
    [checkpoint, before] = await headsOf(statement, trust);
    isAskedOfAll = range && (await checkRange(statement, zipOf(range), checkpoint, before, trust, receiptKeys));
  } catch (error) {
    if (!(error instanceof Altered || error instanceof Uncovered)) throw lacking("the statement", error);
    const verdict = verdictOf(error);
    yield `${verdict}  the statement: ${error.message}`;
    return verdict;
  }
  yield* report(statement, checkpoint, [...trust.keys, ...receiptKeys], Boolean(range));
  if (checkpoint.witnessed.size < trust.quorum) {
    yield `NOT COVERED  fewer than the ${trust.quorum} witnesses that you ask for have cosigned`;
    return "NOT COVERED";
  }
  if (before && !isAskedOfAll && earlyWitnesses(statement, before) < trust.quorum) {
    yield `NOT COVERED  fewer than the ${trust.quorum} witnesses that you ask for had cosigned the checkpoint before leaf `
      + `${before.size} an hour before the time that is asked for: give a bundle of all leaves from 0 ${IN_FIELD["--range"]}`;
    return "NOT COVERED";
  }
  return range ? "VERIFIED" : "SIGNED";
}

/** What a statement says, signed by a key of receipts that is trusted. Raises `Altered`, `Uncovered`, `Unusable`. */
async function readStatement(text, keys) {
  const otherwise = `this is no statement: ${STATEMENT}, origin, what is said`;
  return object(parse(bytesOf(await signedLine(text, STATEMENT, keys, otherwise))));
}

const leavesOf = (statement) => ["first", "last"].map((name) => member(member(statement, "leaves"), name));

/** The times from which the terms ask. */
const beginsOf = (statement) => member(statement, "terms").flatMap((term) => term.get("from") ?? []);

/**
 * How many witnesses attest that the leaves before the first were sealed by then. The log's own time of that checkpoint
 * is what the log says: with its key it can be said of any moment.
 */
function earlyWitnesses(statement, before) {
  const begins = Math.max(...beginsOf(statement).map(seconds));
  return [...before.witnessed.values()].filter((moment) => moment + AHEAD_S <= begins).length;
}

/**
 * The checkpoint of a statement, and the one before its first leaf, which must be older than the window.
 * Raises `Altered`, `Unusable`.
 */
async function headsOf(statement, trust) {
  checkTerms(member(statement, "terms"));
  const checkpoint = await trust.checkpoint(member(statement, "checkpoint"));
  const [first, last] = leavesOf(statement);
  if (last !== checkpoint.size) {
    throw new Altered(`it is about leaves up to ${last - 1}, and its checkpoint covers ${checkpoint.size}`);
  }
  const note = member(statement, "before");
  if (!first && note === null) return [checkpoint, null];
  const before = await trust.checkpoint(note);
  const begins = beginsOf(statement).sort().at(-1);
  if (before.size !== first || !begins) throw new Altered(`nothing shows why it begins at leaf ${first}`);
  if (before.signedAt === null || before.signedAt + AHEAD_S > seconds(begins)) {
    throw new Altered(`leaves before ${first} were sealed less than an hour before the time that is asked for`);
  }
  return [checkpoint, before];
}

/** A statement names so many of the records that match, where there are so many. */
const NAMED = 100;

/**
 * Ask the query again of each record of a range; return whether leaves before the first were asked, too.
 * Raises `Altered`, `Uncovered`.
 */
async function checkRange(statement, log, checkpoint, before, trust, receiptKeys) {
  const seen = {};
  for await (const fault of faults(log, trust, receiptKeys, seen)) {
    throw new Altered(`the bundle of the range does not hold: ${fault}`);
  }
  const [{ manifest }, [first, last]] = [seen, leavesOf(statement)];
  const range = member(manifest, "kind") === "range" ? member(manifest, "range") : null;
  if (!range || member(range, "first") > first || member(range, "last") < last) {
    throw new Uncovered(`the bundle has not all leaves from ${first} to ${last - 1}`);
  }
  sameLog(log, manifest, checkpoint);
  refusePurged(log, manifest, first, last);
  const ids = leavesThatMatch(log, manifest, member(statement, "terms"), last);
  const found = [...ids.keys()].filter((index) => index >= first);
  const count = member(statement, "found");
  if (found.length !== count) {
    const named = found.length ? `, leaf ${found[0]} for one` : "";
    throw new Altered(`${found.length} of the ${last - first} records match${named}, the statement says ${said(count)}`);
  }
  const records = member(statement, "records");
  const isOther = (one, place) => member(one, "leaf") !== found[place] || member(one, "event_id") !== ids.get(found[place]);
  if (records.length !== Math.min(count, NAMED) || records.some(isOther)) {
    throw new Altered("other records match than the statement names");
  }
  return before !== null && areAsBefore(log, manifest, before, ids);
}

/**
 * Whether a range has all leaves of the checkpoint before a statement's first leaf, with their records.
 * Raises `Altered` where one of these matches, and `Forked` where they are another tree.
 */
function areAsBefore(log, manifest, before, ids) {
  if (member(member(manifest, "range"), "first")) return false;
  if (before.size && !same(rootOf(log, manifest, before.size), before.root)) {
    throw new Forked(`the checkpoint before leaf ${before.size} is not of the log that the range is of`);
  }
  const earliest = Math.min(...ids.keys(), before.size);
  if (earliest < before.size) throw new Altered(`leaf ${earliest} matches, which the statement is not about`);
  return purgedWithin(log, manifest, 0, before.size) === null;
}

/** What the statement says, of which leaves, and whether that was checked with a bundle of them. */
function report(statement, checkpoint, keys, isChecked) {
  const [the, [first, last]] = [(name) => said(member(statement, name)), leavesOf(statement)];
  const report = new Report("statement");
  report.checked.push("the statement is signed by a key that you gave");
  report.checked.push(`checkpoint: ${checkpoint.size} records${when(checkpoint.signedAt)}, by the log itself`);
  if (first) {
    report.checked.push(`leaves before ${first} were sealed an hour or more before the time that is asked for`);
  }
  report.addKeys(keys, []);
  const request = `made at ${the("made_at")}, requested by ${the("asked_by")}`;
  report.stated.push(`statement ${the("id")} of ${the("system")}, ${request}`);
  report.stated.push(`query: ${the("query")}`);
  const found = said(member(statement, "found") || "none");
  const lines = [
    `asked of each record: ${inWords(member(statement, "terms"))}`,
    `records that match: ${found} of the ${last - first} of the leaves ${first} to ${last - 1}`,
  ];
  if (isChecked) report.checked.push(...lines);
  else report.stated.push(...lines, `give a bundle of these leaves ${IN_FIELD["--range"]} to check it`);
  return report.lines();
}
