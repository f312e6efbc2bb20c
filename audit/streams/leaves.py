"""leaves: the records of the log as lines of JSON, one for each leaf, so that no index is left out.

A line is that of an evidence bundle (`audit/evidence/record_lines.py`), under the rules of redaction. Where a record is
gone under a purge stands its tombstone, where a target refuses a record its reference.
"""

import json
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from audit.errors import LogDamaged
from audit.evidence import redaction
from audit.evidence.record_lines import Readers
from audit.formats.redaction import Redactor
from audit.ledger import purged
from audit.postgres import sql

# Read at once; fewer where they are large (`Readers`).
LEAVES_PER_READ = 1_000
_HASHES = """
SELECT index, record_id::text, encode(leaf_hash, 'hex') FROM audit_leaf WHERE index = ANY(%s) ORDER BY index
"""
# What a reference says of its record: who, when and which, and nothing of its content.
REFERENCE = ("leaf_index", "event_timestamp", "event_id", "writer", "event_type", "state", "digest")


class Line(NamedTuple):
    """One leaf: its index in the log, and its line of JSON without a line end."""

    leaf: int
    body: bytes

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def reference(self, why: str) -> "Line":
        """The line that stands in the place of this one where a target refuses it."""
        document = self.document()
        kept = {name: document[name] for name in REFERENCE if name in document}
        return Line(self.leaf, _compact(kept | {"left_out": why}))

    @property
    def event_id(self) -> UUID:
        return UUID(self.document()["event_id"])


class Log:
    """Reads leaves; its connections are kept until it is closed. For one thread, and one reading at a time."""

    def __init__(self, using: str = "reader"):
        self._using = using
        self._readers: Readers | None = None

    def read(self, first: int, last: int, redactor: Redactor | None = None) -> Generator[Line, None, None]:
        """Yield a line for each of the leaves first to last - 1, in order.

        Raises `LogDamaged` where a record is gone that no purge has removed, and database errors.
        """
        for begin in range(first, last, LEAVES_PER_READ):
            end, following = min(begin + LEAVES_PER_READ, last), begin
            try:
                for line in self._read(begin, end, redactor):
                    following = line.leaf + 1
                    yield line
            except LogDamaged:
                self.close()
                # A purge may have removed it since it was asked which are gone.
                yield from self._read(following, end, redactor)

    def close(self) -> None:
        if self._readers is not None:
            readers, self._readers = self._readers, None
            readers.__exit__()

    def _read(self, first: int, last: int, redactor: Redactor | None) -> Iterator[Line]:
        spans = purged.spans(first, last, self._using)
        gone = {index: span.plan for span in spans for index in range(max(span.first, first), min(span.last, last))}
        whole = range(first, last)
        present: Sequence[int] = [index for index in whole if index not in gone] if gone else whole
        tombstones = deque(_tombstones(gone, self._using))
        for line in self._present(present, redactor):
            while tombstones and tombstones[0].leaf < line.leaf:
                yield tombstones.popleft()
            yield line
        yield from tombstones

    def _present(self, indexes: Sequence[int], redactor: Redactor | None) -> Iterator[Line]:
        if not indexes:
            return
        if self._readers is None:
            self._readers = Readers(self._using)
        places, is_whole = iter(indexes), False
        try:
            for part in self._readers.read(indexes):
                body = part.lines if redactor is None else redactor.lines(part.lines)
                for line in body.splitlines():
                    yield Line(next(places), line)
            is_whole = True
        finally:
            # What was read ahead and not taken would be given to the next reading.
            if not is_whole:
                self.close()


def redactor_of(name: str) -> Redactor | None:
    """Applies the rules of redaction that are in force now; equal values have equal digests within the target."""
    return redaction.redactor_of(redaction.in_force(), f"stream {name}")


def _tombstones(gone: dict[int, int], using: str) -> list[Line]:
    if not gone:
        return []
    return [
        Line(
            index,
            _compact(
                {
                    "leaf_index": index,
                    "event_id": record_id,
                    "state": "purged",
                    "leaf_hash": leaf_hash,
                    "purge": gone[index],
                }
            ),
        )
        for index, record_id, leaf_hash in sql.rows(_HASHES, [sorted(gone)], using)
    ]


def _compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
