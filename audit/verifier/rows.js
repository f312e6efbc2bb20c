// The lines of a volume, each with the place of its record in the log.

import { member, parse } from "./json.js";
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

/** The leaf of each line of a volume's purged leaves, and the line; nothing where there is no such file. */
export function* purgedRows(zip, volume) {
  const name = volume.get("purged") ?? null;
  if (name === null) return;
  for (const line of zip.lines(name)) {
    const value = object(parse(line));
    const index = value.get("leaf_index");
    if (typeof index !== "number") throw new Altered(`a line of ${name} does not name its leaf`);
    yield [index, value];
  }
}

/** The leaf of each line of a volume with its record, or with the line that says that it was purged; in order. */
export function* volumeRows(zip, volume) {
  const [records, purged] = [rowsOf(zip, member(volume, "records")), purgedRows(zip, volume)];
  let [record, gone] = [records.next(), purged.next()];
  while (!record.done || !gone.done) {
    if (gone.done || (!record.done && record.value[0] <= gone.value[0])) {
      yield [...record.value, null];
      record = records.next();
    } else {
      yield [gone.value[0], null, gone.value[1]];
      gone = purged.next();
    }
  }
}
