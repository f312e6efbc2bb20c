// The lines of a volume, each with the place of its record in the log.

import { parse } from "./json.js";
import { STORE_MEMBERS, object } from "./records.js";
import { Altered } from "./words.js";

/** The leaf and the record of each line of a volume, the record without members that have no value. */
export function* rowsOf(zip, name) {
  for (const line of zip.lines(name)) {
    const record = object(parse(line));
    const index = record.get("leaf_index");
    if (typeof index !== "number") throw new Altered(`a record of ${name} does not name its leaf`);
    record.delete("leaf_index");
    for (const [member, value] of record) {
      if (value === null && !STORE_MEMBERS.includes(member)) record.delete(member);
    }
    yield [index, record];
  }
}
