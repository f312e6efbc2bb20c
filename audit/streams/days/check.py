"""check: hold the files of a day against their manifest, and each of their rows against the log."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.formats import entry
from audit.formats.times import timestamp_text
from audit.postgres import sql
from audit.streams.days import columns, make, manifest
from audit.streams.days.manifest import DayFault, Manifest, Part

ROWS_PER_READ = 10_000
# Of each row what its leaf covers; or of a tombstone the leaf itself.
READ = ["leaf_index", "event_id", "state", "digest", "received_at", "parked_at", "stored_at", "leaf_hash"]
_LEAVES = "SELECT record_id::text, leaf_hash FROM audit_leaf WHERE index >= %s AND index < %s ORDER BY index"


def check(folder: Path) -> Manifest:
    """Return the manifest of a day whose files hold. Reads all rows, some at a time.

    Checked: the signature; each file's bytes; that the range is the one that the log has for the day; that there is a
    row for each of its leaves, in order; and that id, digest and times of each row lead to the leaf. Raises `DayFault`
    for what does not hold, `ParquetMissing`, `KeyMissing`, `NotSealed`, and database errors.
    """
    read = manifest.read(folder)
    span = make.span_of(read.day)
    if (span.first, span.last) != (read.first, read.last):
        raise DayFault(
            f"The manifest of {read.day} has the log entries {read.first} to {read.last - 1}, and the log has for that "
            f"day {span.first} to {span.last - 1}."
        )
    for part in read.parts:
        _check_part(folder / part.name, part)
    return read


def _check_part(path: Path, part: Part) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DayFault(f"{path.name} cannot be read: {error.strerror}.") from None
    if digest != part.sha256:
        raise DayFault(f"{path.name} is not the file that was signed: its SHA-256 is {digest}.")
    place = part.first
    for rows in _rows(path):
        known = sql.rows(_LEAVES, [place, place + len(rows)], using="reader")
        for row, (event_id, leaf_hash) in zip(rows, known, strict=False):
            if row["leaf_index"] != place or row["event_id"] != event_id or _leaf(row) != bytes(leaf_hash):
                raise DayFault(f"{path.name}: the row of log entry {place} is not what the log has there.")
            place += 1
    if place != part.last:
        raise DayFault(f"{path.name} has rows up to log entry {place - 1}, and should up to {part.last - 1}.")


def _rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    with columns.arrow("pyarrow.parquet").ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_READ, columns=READ):
            yield batch.to_pylist()


def _leaf(row: dict[str, Any]) -> bytes:
    if row["state"] == "purged":
        return bytes.fromhex(row["leaf_hash"])
    parked = row["parked_at"]
    return entry.leaf(
        bytes.fromhex(row["digest"]),
        row["event_id"],
        timestamp_text(row["received_at"]),
        None if parked is None else timestamp_text(parked),
        timestamp_text(row["stored_at"]),
    )
