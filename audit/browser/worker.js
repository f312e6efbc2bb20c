// Checks a file beside the page, which stays awake. It is given the file and the keys, and tells what it finds.

import { verifyEvidence } from "./evidence.js";
import { requireEd25519 } from "./note.js";
import { verifyRecords } from "./records.js";
import { Altered, Damaged, Source, Unusable } from "./words.js";

const TELL_EVERY = 8 << 20;
const OPENING_BRACE = 0x7b;

let told = 0;
function tell(done, total) {
  if (done - told < TELL_EVERY) return;
  told = done;
  postMessage({ done, total });
}

async function check(file, asked) {
  await requireEd25519();
  const source = new Source(file, tell);
  // A bundle of records is lines of JSON; all else should be a zip.
  const isRecords = file.size > 0 && source.read(0, 1)[0] === OPENING_BRACE;
  const found = isRecords ? verifyRecords(source, asked) : verifyEvidence(source, asked);
  for (;;) {
    const { value, done } = await found.next();
    if (done) return value;
    postMessage({ line: value });
  }
}

onmessage = async ({ data: { file, asked } }) => {
  told = 0;
  let verdict = "CANNOT BE USED";
  try {
    verdict = await check(file, asked);
  } catch (error) {
    const known = [Unusable, Altered, Damaged].some((kind) => error instanceof kind);
    postMessage({ line: `cannot be used: ${known ? "" : "this page failed, or the file could not be read: "}${error.message}` });
  }
  postMessage({ verdict });
};

postMessage({ ready: true });
