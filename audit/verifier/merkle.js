// RFC 6962 and 9162: the tree. Sizes are plain numbers, exact up to 2^53-1; shifts would end at 2^31.

import { Altered } from "./words.js";
import { sha256 } from "./sha256.js";

const [LEAF, NODE] = [Uint8Array.of(0), Uint8Array.of(1)];

export const leafHash = (entry) => sha256(LEAF, entry);
const nodeHash = (left, right) => sha256(NODE, left, right);
export const same = (one, other) => one.length === other.length && one.every((byte, place) => byte === other[place]);

const half = (number) => Math.floor(number / 2);
const odd = (number) => number % 2 === 1;

/** Raises `Altered` unless the proof leads from the leaf to the root. Sides follow from index and size alone. */
export function checkInclusion(leaf, index, size, proof, root) {
  if (!(index >= 0 && index < size) || [leaf, root, ...proof].some((found) => found.length !== 32)) {
    throw new Altered("the proof names a leaf that the tree does not have, or a hash is not 32 bytes long");
  }
  let [place, last, found] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) throw new Altered("the proof is too long");
    if (odd(place) || place === last) {
      found = nodeHash(sibling, found);
      while (!odd(place) && place) [place, last] = [half(place), half(last)];
    } else {
      found = nodeHash(found, sibling);
    }
    [place, last] = [half(place), half(last)];
  }
  if (last || !same(found, root)) {
    throw new Altered("the proof does not lead from this record to the signed root: the record is not what was sealed");
  }
}

/** A tree of which some leaves are added, and the hashes of the subtrees between them are given. */
export class Tree {
  #roots = [];

  constructor(size, hashes) {
    Object.assign(this, { size, place: 0, hashes });
  }

  add(index, leaf) {
    if (index < this.place) {
      throw new Altered(`leaf ${index} comes after leaf ${this.place - 1}: a record is out of its place, or twice`);
    }
    if (index >= this.size) {
      throw new Altered(`leaf ${index} is not in the log of ${this.size} records that the checkpoint covers`);
    }
    this.#fill(index);
    this.#append(leaf, 1);
  }

  root() {
    this.#fill(this.size);
    if (!this.hashes.next().done) throw new Altered("the proof is too long");
    return this.#roots.reduceRight((found, left) => nodeHash(left, found));
  }

  /** The fewest perfect subtrees up to a leaf: each as wide as the room and its place allow. */
  #fill(end) {
    while (this.place < end) {
      let width = 1;
      while (width * 2 <= end - this.place && this.place % (width * 2) === 0) width *= 2;
      const { value, done } = this.hashes.next();
      if (done) throw new Altered("the proof is cut off: hashes are missing at its end");
      this.#append(value, width);
    }
  }

  #append(subtree, width) {
    let [found, waiting] = [subtree, this.place / width];
    for (; odd(waiting); waiting = half(waiting)) found = nodeHash(this.#roots.pop(), found);
    this.#roots.push(found);
    this.place += width;
  }
}
