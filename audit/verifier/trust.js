// The keys whose signatures count, those that cross-links lead to among them, and the checkpoints that they have signed.

import { readCrosslinks } from "./crosslink.js";
import { same } from "./merkle.js";
import { COSIGNATURE, ED25519, Key, isOfReceipts, keyOf, readKeys, readNote, unsigned } from "./note.js";
import { Altered, Forked, IN_FIELD, Unusable, quoted, unbase64 } from "./words.js";

const SIZE = /^(0|[1-9][0-9]{0,18})$/;

/** The keys whose signatures count, and the checkpoints that they signed so far. */
class Trust {
  #seen = new Map();
  #roots = new Map();

  constructor(keys, witnesses, quorum) {
    Object.assign(this, { keys, witnesses, quorum, unconfirmed: [], strangers: new Set(), links: [] });
  }

  /** Whether a log of this name is one whose keys count. */
  knows(name) {
    return this.keys.some((key) => key.name === name);
  }

  /** Check a signed note, each only once. Raises `Altered`, `Uncovered`, `Unusable`. */
  async checkpoint(note) {
    if (!this.#seen.has(note)) this.#seen.set(note, await this.#check(note));
    return this.#seen.get(note);
  }

  async #check(note) {
    const { text, signatures } = readNote(note);
    const lines = text.split("\n");
    if (lines.length < 4 || lines.at(-1) || lines.slice(0, -1).includes("") || !SIZE.test(lines[1])) {
      throw new Unusable("a checkpoint has at least three lines: origin, size, root");
    }
    const [origin, size, root] = [lines[0], Number(lines[1]), lines[2]];
    if (!this.knows(origin)) {
      throw new Unusable(`the checkpoint is of the log ${quoted(origin)}, the key of ${quoted(this.keys[0].name)}`);
    }
    const found = await this.#signatures(text, signatures);
    if (!found.signed) {
      throw unsigned(signatures, origin, `no key of the log ${origin} that you trust has signed the checkpoint`);
    }
    if (!Number.isSafeInteger(size)) throw new Unusable(`a log of ${lines[1]} records is beyond this page: take verify.py`);
    const checkpoint = { size, root: unbase64(root), signedAt: found.signedAt, witnessed: found.witnessed };
    const tree = `${this.#lineOf(origin, size, found.signedAt)}\n${size}`;
    const before = this.#roots.get(tree) ?? checkpoint.root;
    if (!same(before, checkpoint.root)) throw new Forked(`the log has signed two different trees of ${size} records`);
    this.#roots.set(tree, before);
    return checkpoint;
  }

  /**
   * Which line a tree belongs to: "" for what the log has now, else the name whose end was cut off by a restore.
   * Raises `Altered` and `Forked` where a cross-link says other than is so.
   */
  #lineOf(name, size, signedAt) {
    const closed = this.links.filter(({ restored, known }) => [restored, ...known].some((head) => head.name === name));
    if (!closed.length) return "";
    const link = closed.reduce((first, other) => (other.at < first.at ? other : first));
    if (signedAt !== null && signedAt > link.at) {
      throw new Forked(`${name} was closed by a cross-link, and has signed a checkpoint after that`);
    }
    if (size <= link.restored.size) return "";
    const known = [link.restored, ...link.known].filter((head) => head.name === name).map((head) => head.size);
    if (size > Math.max(...known)) {
      throw new Altered(`a checkpoint of ${size} records of ${name} is known, and the cross-link knew of less`);
    }
    return name;
  }

  async #signatures(text, signatures) {
    const found = { signed: false, signedAt: null, witnessed: new Map() };
    const timed = this.keys.map((key) => new Key(key.name, COSIGNATURE, key.publicBytes));
    for (const signature of signatures) {
      let key;
      if ((key = keyOf(this.keys, signature))) {
        await key.check(text, signature.blob);
        found.signed = true;
      } else if ((key = keyOf(timed, signature))) {
        found.signedAt = Math.max(found.signedAt ?? 0, await key.check(text, signature.blob));
      } else if ((key = keyOf(this.witnesses, signature))) {
        found.witnessed.set(key.name, await key.check(text, signature.blob));
      } else {
        this.strangers.add(signature.name);
      }
    }
    return found;
  }
}

/** The keys that were given, and those that cross-links lead to from them. Raises `Unusable`, `Altered`. */
export async function trustOf(asked) {
  const keys = readKeys(asked.keys, ED25519);
  if (keys.some(isOfReceipts)) {
    throw new Unusable(`a receipt signing key was given ${IN_FIELD["--key"]}: give it ${IN_FIELD["--receipt-key"]}`);
  }
  if (new Set(keys.map((key) => key.name)).size > 1) throw new Unusable("the keys are of several logs: check one log at a time");
  const witnesses = readKeys(asked.witnesses, COSIGNATURE);
  const quorum = asked.quorum === "" ? witnesses.length : Number(asked.quorum);
  if (!(quorum >= 0 && quorum <= witnesses.length)) {
    throw new Unusable(`${asked.quorum} witnesses must have cosigned, and the keys of ${witnesses.length} are given`);
  }
  const trust = new Trust(keys, witnesses, quorum);
  for (const file of asked.crosslinks) await readCrosslinks(file, trust);
  return trust;
}

/** Raises `Unusable` where no key of a log was given, nor came along. */
export function requireKeys(trust) {
  if (!trust.keys.length) throw new Unusable(`give the log's public key ${IN_FIELD["--key"]}`);
  return trust;
}
