// Checks files in a worker, so that the page stays responsive: takes the files and the keys, posts what it finds.

import { PURGE, verifyCertificate } from "./certificate.js";
import { CROSSLINK, verifyCrosslinks } from "./crosslink.js";
import { verifyEvidence } from "./evidence.js";
import { verifyExtract } from "./extract.js";
import { requireEd25519 } from "./note.js";
import { verifyRecords } from "./records.js";
import { Originals } from "./redactions.js";
import { verifySample } from "./sample.js";
import { STATEMENT, verifyStatement } from "./statement.js";
import { requireKeys, trustOf } from "./trust.js";
import { Altered, Damaged, Source, Unusable, joined, quoted, textOf } from "./words.js";

const TELL_EVERY = 8 << 20;
const HEAD_BYTES = 64;
const MOST_BYTES = 64 * 1024 * 1024;

/** The files, and how much of them all was read. */
function opened(files) {
  let told = 0;
  const sum = (name) => sources.reduce((found, source) => found + source[name], 0);
  const tell = () => {
    const done = sum("done");
    if (done - told < TELL_EVERY) return;
    told = done;
    postMessage({ done, total: sum("total") });
  };
  const sources = files.map((file) => new Source(file, tell));
  return sources;
}

const headOf = (source) => String.fromCharCode(...source.read(0, Math.min(HEAD_BYTES, source.size)));
const isZip = (source) => headOf(source).startsWith("PK");
const isCrosslink = (source) => headOf(source).startsWith(CROSSLINK);
const isRanges = (source) => /^[0-9]+ [0-9]+\n/.test(headOf(source));
const crosslinkOf = (source) => ({ name: source.file.name, text: textOf(wholeOf(source)) });

function wholeOf(source) {
  if (source.size > MOST_BYTES) throw new Unusable(`it is longer than ${MOST_BYTES} bytes: use verify.py`);
  return joined([...source.chunks()]);
}

/** The kind of a file is known from its first bytes; each kind takes its own second file. */
function check(source, others, asked) {
  const head = headOf(source);
  if (head.startsWith("auditsite/receipt/")) throw new Unusable("this is a receipt: use verify.py receipt");
  if (isCrosslink(source)) return ofCrosslinks({ ...asked, crosslinks: [...asked.crosslinks, crosslinkOf(source)] });
  if (head.startsWith(`${PURGE}\n`)) {
    only(others, isRanges, "With a certificate go all its ranges, one file of lines FIRST LAST");
    return verifyCertificate(textOf(wholeOf(source)), others.length ? textOf(wholeOf(others[0])) : null, asked);
  }
  if (head.startsWith(`${STATEMENT}\n`)) {
    only(others, isZip, "With a statement goes the bundle of a range, one zip");
    return verifyStatement(textOf(wholeOf(source)), others[0], asked);
  }
  if (head.startsWith("{")) {
    if (others.length) throw new Unusable("nothing goes with this file: take the others away, or use verify.py");
    return /^\{\s*"export_metadata"/.test(head) ? verifyExtract(wholeOf(source), asked) : verifyRecords(source, asked);
  }
  if (others.some(isZip)) {
    only(others, isZip, "With a sample goes the bundle of a range, one zip; or originals, lines of JSON");
    return verifySample(source, others[0], asked);
  }
  return verifyEvidence(source, asked, () => new Originals(others));
}

/** What cross-links teach whoever trusts the keys that were given. */
async function* ofCrosslinks(asked) {
  return yield* verifyCrosslinks(requireKeys(await trustOf(asked)));
}

function only(others, isRight, what) {
  if (others.length > 1 || !others.every(isRight)) throw new Unusable(`${what}: choose that, or use verify.py`);
}

/** The places of leaves in a text. Raises `Unusable`. */
function placesOf(text) {
  return text.split(/[\s,]+/).filter(Boolean).map((place) => {
    if (!/^[0-9]{1,15}$/.test(place)) throw new Unusable(`${quoted(place)} is not the place of a leaf, a number from 0 on`);
    return Number(place);
  });
}

onmessage = async ({ data: { file, others, asked } }) => {
  let verdict = "CANNOT BE USED";
  try {
    await requireEd25519();
    const [source, ...more] = opened([file, ...others]);
    asked.crosslinks = more.filter(isCrosslink).map(crosslinkOf);
    asked.leaves = placesOf(asked.leaves);
    const found = check(source, more.filter((other) => !isCrosslink(other)), asked);
    let step = await found.next();
    for (; !step.done; step = await found.next()) postMessage({ line: step.value });
    verdict = step.value;
  } catch (error) {
    const known = [Unusable, Altered, Damaged].some((kind) => error instanceof kind);
    postMessage({ line: `cannot be used: ${known ? "" : "this page failed, or the file could not be read: "}${error.message}` });
  }
  postMessage({ verdict });
};

postMessage({ ready: true });
