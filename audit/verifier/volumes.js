// The volumes of a bundle: records in the order of the log, whose leaves and proof lead to the signed root.

import { Erasures, committed } from "./erasable.js";
import { member, memberOf, said } from "./json.js";
import { Tree, same } from "./merkle.js";
import { pathParts } from "./paths.js";
import { matches } from "./query.js";
import { leafOf } from "./records.js";
import { Purges } from "./purges.js";
import { volumeRows } from "./rows.js";
import { checkSample } from "./sampling.js";
import { OF_BUNDLE, OF_VOLUME, Span } from "./span.js";
import { Altered, quoted, unbase64 } from "./words.js";

const BETWEEN = "auditsite/between/v1";

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
    yield unbase64(found.slice(0, -1));
  }
}

/** Checks the volumes in their order: the leaves of each come after those of the one before. */
export class Volumes {
  constructor(zip, manifest, checkpoint, redactions) {
    Object.assign(this, { zip, manifest, checkpoint, redactions, records: 0, last: -1, received: 0, places: [] });
    this.whole = new Span();
    this.erasures = new Erasures();
    this.purges = new Purges();
    this.kind = member(manifest, "kind");
    this.window = manifest.get("received") ?? null;
  }

  /** The faults of one volume. */
  *check(volume) {
    const [name, before] = [member(volume, "records"), this.records];
    const tree = new Tree(this.checkpoint.size, proofHashes(this.zip, member(volume, "proof")));
    const span = new Span();
    let why = "";
    for (const [index, record, purged] of volumeRows(this.zip, volume)) {
      if (purged) {
        why = yield* this.#purged(volume.get("purged"), index, purged, span, tree, why);
        continue;
      }
      this.records++;
      span.add(index, said(record.get("event_timestamp")));
      yield* this.#place(name, index);
      this.received += receivedWithin(record, this.window);
      try {
        const leaf = this.#leaf(record);
        if (!why) tree.add(index, leaf);
      } catch (error) {
        if (!(error instanceof Altered)) throw error;
        why = `${name}, record ${said(record.get("event_id"), 80)} of leaf ${index}: ${error.message}`;
        yield why;
      }
    }
    const [count, named] = [this.records - before, member(volume, "count")];
    if (count !== named) yield `${name} has ${count} records, the manifest names ${said(named)}`;
    yield* span.faults(name, volume, OF_VOLUME);
    this.whole.take(span);
    if (!why) yield* this.#root(name, tree);
  }

  /** The faults of a leaf without a record; returns `why`, or the fault that keeps the others from the tree. */
  *#purged(name, index, line, span, tree, why) {
    span.add(index);
    yield* this.#place(name, index);
    try {
      if (!member(this.manifest, "range")) throw new Altered("a bundle of a query has no purged leaves");
      const leaf = this.purges.leaf(index, line);
      if (!why) tree.add(index, leaf);
    } catch (error) {
      if (!(error instanceof Altered)) throw error;
      yield (why = `${name}, leaf ${index}: ${error.message}`);
    }
    return why;
  }

  #leaf(record) {
    const named = record.get("redacted");
    record.delete("redacted");
    const closed = this.redactions.closed;
    const leaf = named === undefined ? leafOf(record) : this.redactions.leaf(record, named);
    this.erasures.note(record, this.redactions.closed === closed);
    this.#content(committed(record), named ?? new Map());
    return leaf;
  }

  /** A record is sealed, and matches the query as far as it is not redacted. Raises `Altered`. */
  #content(record, named) {
    const state = record.get("state");
    if (state !== "sealed") throw new Altered(`its state is said to be ${quoted(said(state, 60))}, and it is sealed`);
    const hidden = [...named.keys()].map((path) => pathParts(path)[0]);
    const terms = this.kind === "range" ? [] : member(this.manifest, "terms");
    if (!matches(record, terms.filter((term) => !hidden.includes(member(term, "field"))))) {
      throw new Altered("it does not match the query of the bundle");
    }
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
    if (this.kind === "sample") this.places.push(index);
    if (this.kind !== "range") {
      if (index <= before) yield `${name}: leaf ${index} comes after leaf ${before}: a record is out of its place, or twice`;
      return;
    }
    const wanted = before < 0 ? member(member(this.manifest, "range"), "first") : before + 1;
    if (index === wanted) return;
    const why = index > wanted ? "a record of the range is left out" : "a record is out of its place, or twice";
    yield `${name}: leaf ${index} comes where leaf ${said(wanted)} should: ${why}`;
  }

  /** The faults of all volumes together. */
  *end() {
    yield* this.whole.faults("the bundle", this.manifest, OF_BUNDLE);
    const named = member(this.manifest, "records");
    if (this.records !== named) yield `the bundle has ${this.records} records, the manifest names ${said(named)}`;
    yield* this.purges.end(this.manifest);
    if (this.kind === "range") {
      const last = member(member(this.manifest, "range"), "last") - 1;
      if (this.last !== last) yield `the range ends at leaf ${this.last}, the manifest's at ${last}`;
    }
    yield* this.redactions.end(this.manifest);
    if (this.kind === "sample") yield* checkSample(this.manifest, this.places);
    if (this.kind === "range" && this.window) yield* this.#received();
  }

  *#received() {
    const [count, since, until] = ["records", "since", "until"].map((name) => member(this.window, name));
    if (this.received === count) return;
    yield `${this.received} records of the range were received from ${said(since)} to before ${said(until)}, `
      + `the manifest names ${said(count)}`;
  }
}

/** Whether the record was received in the window of time that was asked for; its proof covers that time. */
function receivedWithin(record, window) {
  if (!window) return false;
  const [since, until] = ["since", "until"].map((name) => memberOf("string", window, name));
  const received = memberOf("string", record, "received_at");
  return since <= received && received < until;
}
