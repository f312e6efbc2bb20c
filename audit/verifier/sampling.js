// Samples: the leaves that a seed draws, the same for everybody who knows the seed.

import { member, said } from "./json.js";
import { sha256 } from "./sha256.js";
import { MOST_TOLD, bytesOf, hex, quoted } from "./words.js";

const SAMPLE = "auditsite/sample/v1";
const ROOM = 1024;

/** The leaves with the least ranks: SHA-256 of the header, the seed and the leaf, a line each. */
export function draw(leaves, sample) {
  const [seed, size] = [said(member(sample, "seed")), Math.max(0, Number(member(sample, "size")))];
  const rank = (index) => hex(sha256(bytesOf(`${SAMPLE}\n${seed}\n${index}\n`)));
  let least = [];
  const keepLeast = () => {
    least = least.sort((one, other) => (one.rank < other.rank ? -1 : 1)).slice(0, size);
  };
  for (const index of leaves) {
    least.push({ index, rank: rank(index) });
    if (least.length > 2 * size + ROOM) keepLeast();
  }
  keepLeast();
  return least.map(({ index }) => index).sort((one, other) => one - other);
}

/** The faults of a sample: its leaves must be those that the seed draws. */
export function* otherSample(found, drawn, sample) {
  const seed = quoted(said(member(sample, "seed")));
  const without = (these, those) => {
    const known = new Set(those);
    return these.filter((index) => !known.has(index)).sort((one, other) => one - other).slice(0, MOST_TOLD);
  };
  for (const index of without(drawn, found)) yield `the seed ${seed} draws leaf ${index}, which is not in the sample`;
  for (const index of without(found, drawn)) yield `leaf ${index} is in the sample, and the seed ${seed} does not draw it`;
}

/** A sample has as many records as it says; of a range it is drawn again. */
export function* checkSample(manifest, places) {
  const [sample, leaves] = [member(manifest, "sample"), member(manifest, "range")];
  const [size, population] = [member(sample, "size"), member(sample, "population")];
  const wanted = size < population ? size : population;
  if (wanted !== places.length) yield `the sample has ${places.length} records, ${said(wanted)} are drawn of ${said(population)}`;
  if (!leaves) return;
  const [first, last] = [member(leaves, "first"), member(leaves, "last")];
  if (population !== last - first) yield `the range has ${last - first} leaves, the manifest names ${said(population)}`;
  yield* otherSample(places, draw(range(first, last), sample), sample);
}

function* range(first, last) {
  for (let index = first; index < last; index++) yield index;
}
