// A sample of a query drawn again, with a bundle of a range that has all leaves that it was drawn of.

import { faults, open, report, verdictOn } from "./evidence.js";
import { member, said } from "./json.js";
import { refusePurged } from "./purges.js";
import { leavesThatMatch, sameLog } from "./query.js";
import { verdictOf } from "./records.js";
import { draw, otherSample } from "./sampling.js";
import { inWords } from "./terms.js";
import { Altered, Uncovered, Unusable, lacking } from "./words.js";
import { zipOf } from "./zip.js";

/** Check both bundles and draw again; yield what verify.py prints, return the verdict. Raises `Unusable`. */
export async function* verifySample(source, range, asked) {
  const [zip, trust, receiptKeys] = await open(source, asked);
  const log = zipOf(range);
  const [found, foundOfRange] = [{}, {}];
  let drawn;
  try {
    for (const [bundle, seen] of [[zip, found], [log, foundOfRange]]) {
      for await (const fault of faults(bundle, trust, receiptKeys, seen)) {
        yield `ALTERED  ${fault}`;
        return "ALTERED";
      }
    }
    if (member(found.manifest, "kind") !== "sample" || member(foundOfRange.manifest, "kind") !== "range") {
      throw new Unusable("give a bundle of a sample, and then one of a range of the log");
    }
    drawn = drawnAgain(log, foundOfRange.manifest, found);
  } catch (error) {
    if (!(error instanceof Altered || error instanceof Uncovered)) throw lacking("a file of the bundle", error);
    const verdict = verdictOf(error);
    yield `${verdict}  ${error.message}`;
    return verdict;
  }
  yield* report(found, trust, receiptKeys, drawn);
  return yield* verdictOn(found, trust);
}

/** Look for the population in a range of the log, and draw of it: what that shows. Raises `Altered`, `Uncovered`. */
function drawnAgain(log, ofRange, { manifest, checkpoint, volumes }) {
  const [sample, terms, leaves] = ["sample", "terms", "range"].map((name) => member(manifest, name));
  const [first, last] = leaves ? ["first", "last"].map((name) => member(leaves, name)) : [0, checkpoint.size];
  if ([...member(manifest, "sees")].length) {
    throw new Uncovered("the one who asked may see a part of the records: of which it was drawn is not in the log");
  }
  const range = member(ofRange, "range");
  if (member(range, "first") > first || member(range, "last") < last) {
    throw new Uncovered(`the range has not all leaves from ${first} to ${last - 1}`);
  }
  sameLog(log, ofRange, checkpoint);
  refusePurged(log, ofRange, first, last);
  const found = [...leavesThatMatch(log, ofRange, terms, last).keys()].filter((index) => index >= first);
  const population = member(sample, "population");
  if (found.length !== population) {
    throw new Altered(`${found.length} records match, and the sample is said to be of ${said(population)}`);
  }
  for (const wrong of otherSample(volumes.places, draw(found, sample), sample)) throw new Altered(wrong);
  return [
    `asked again of each record: ${inWords(terms)}`,
    `${found.length} of the leaves ${first} to ${last - 1} match, and this is their sample`,
  ];
}
