// What is said of a file in which nothing is wrong, in two parts: what was checked here, and what it only states.

import { isOfReceipts, when } from "./note.js";
import { CHECKED, STATED } from "./words.js";

/** The lines of both parts; `of` is what the file is: a bundle, a statement, an export. */
export class Report {
  checked = [];
  stated = [];

  constructor(of) {
    this.of = of;
  }

  addCheckpoint(what, checkpoint) {
    this.checked.push(`${what}: ${checkpoint.size} records${when(checkpoint.signedAt)}, by the log itself`);
    for (const [name, moment] of checkpoint.witnessed) this.checked.push(`cosigned by ${name}${when(moment)}`);
  }

  /** Keys that were given are what was checked with; those that came with the bundle confirm nothing. */
  addKeys(keys, unconfirmed) {
    for (const key of keys) {
      if (unconfirmed.includes(isOfReceipts(key) ? "--receipt-key" : "--key")) {
        this.stated.push(`key (FIRST USE: it came with the bundle): ${key}`);
      } else this.checked.push(`key (pinned): ${key}`);
    }
  }

  /** Both parts, each under its heading. */
  *lines() {
    if (this.checked.length) yield* [CHECKED, ...this.checked];
    if (this.stated.length) yield* [STATED(this.of), ...this.stated];
  }
}
