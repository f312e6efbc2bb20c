"""part: one file of a day: the rows of adjacent log entries; its metadata names log and day, and how it is made."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from audit.formats import entry
from audit.formats.times import timestamp_text
from audit.postgres import sql
from audit.streams.days import columns

# The key in the metadata of a file, which any reader of Parquet shows.
METADATA = b"auditsite.day"
ROWS_PER_READ = 10_000
# Of each row what its leaf covers; or of a tombstone the leaf itself.
READ = ["leaf_index", "event_id", "state", "digest", "received_at", "parked_at", "stored_at", "leaf_hash"]
_LEAVES = "SELECT record_id::text, leaf_hash FROM audit_leaf WHERE index >= %s AND index < %s ORDER BY index"


class Kind(NamedTuple):
    """What is said of all files of a day: the name of the log, the day, and whether rules of redaction hold."""

    log: str
    day: date
    unredacted: bool


class Part(NamedTuple):
    """One file of a day: the leaves first to last - 1, a row each."""

    name: str
    first: int
    last: int
    bytes: int
    sha256: str


def name_of(number: int) -> str:
    """The name of the file with this number, from 1 on."""
    return f"part-{number:05}.parquet"


def write(path: Path, kind: Kind, first: int, tables: Iterable[Any]) -> None:
    """Write a file of the rows from log entry `first` on. Raises `ParquetMissing`, `OSError`."""
    said = {"log": kind.log, "day": kind.day.isoformat(), "unredacted": kind.unredacted, "first": first}
    schema = columns.schema().with_metadata({METADATA: json.dumps(said).encode()})
    with columns.arrow("pyarrow.parquet").ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_unredacted(path: Path) -> bool | None:
    """Whether a file says that no rule of redaction was applied; None where it says nothing."""
    with columns.arrow("pyarrow.parquet").ParquetFile(path) as file:
        text = (file.schema_arrow.metadata or {}).get(METADATA)
    return None if text is None else bool(json.loads(text)["unredacted"])


def count(path: Path) -> tuple[int, int]:
    """Return how many rows a file has, and how many of them are of purged records."""
    rows = purged = 0
    for batch in _rows(path, ["state"]):
        rows, purged = rows + len(batch), purged + sum(row["state"] == "purged" for row in batch)
    return rows, purged


def differing(path: Path, first: int, last: int) -> int | None:
    """Return the first log entry from `first` to `last` - 1 whose row does not lead to the log's leaf, or None.

    A row that is missing, or is there after the last, is one of them. Raises database errors.
    """
    place = first
    for rows in _rows(path, READ):
        known = sql.rows(_LEAVES, [place, min(place + len(rows), last)], using="reader")
        for row, (event_id, leaf_hash) in zip(rows, known, strict=False):
            if row["leaf_index"] != place or row["event_id"] != event_id or _leaf(row) != bytes(leaf_hash):
                return place
            place += 1
        if len(known) < len(rows):
            return place
    return None if place == last else place


def _rows(path: Path, wanted: list[str]) -> Iterator[list[dict[str, Any]]]:
    with columns.arrow("pyarrow.parquet").ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_READ, columns=wanted):
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
