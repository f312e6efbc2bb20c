"""volumes: the records of an evidence bundle, some thousands to a file, each with the proof that it is of the log.

A volume is whole or made again: it counts only once the export's row names it.
"""

import base64
import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

from audit.evidence import resumable_zip
from audit.evidence.record_lines import Readers
from audit.formats import multiproof, tiles
from audit.formats.redaction import Redactor
from audit.formats.tiles import Run
from audit.ledger import reader

BETWEEN = "auditsite/between/v1"
SPANS = 4_000
NEAR = 512
"""Kept hashes so near to each other are read together: some that nobody needs cost less than another look."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

Indexes = Sequence[int]


class Writer:
    """Writes the volumes of one bundle into its zip; `tell` hears how many rows of a volume are written."""

    def __init__(self, readers: Readers, path: Path, *, size: int, with_csv: bool, redactor: Redactor | None = None):
        self._readers = readers
        self._path = path
        self._size = size
        self._with_csv = with_csv
        self._redactor = redactor

    def write(self, number: int, indexes: Indexes, tell: Callable[[int], None]) -> dict[str, Any]:
        """Write the volume of this number; return what the manifest says of it.

        Raises `LogDamaged`, and what `tell` raises.
        """
        name = f"records-{number:04}"
        facts: dict[str, Any] = {"records": f"{name}.jsonl", "proof": f"proofs/{name}.txt", "count": len(indexes)}
        facts |= {"csv": f"{name}.csv"} if self._with_csv else {}
        with zipfile.ZipFile(self._path, "a") as whole:
            facts |= self._write_records(whole, facts, indexes, tell)
            facts |= {"redacted": self._redactor.facts()} if self._redactor is not None else {}
            with resumable_zip.member(whole, facts["proof"]) as file:
                facts["files"][facts["proof"]] = _write(file, proof_lines(indexes, self._size))
        resumable_zip.keep(self._path, number)
        return facts

    def _write_records(
        self, whole: zipfile.ZipFile, facts: dict[str, Any], indexes: Indexes, tell: Callable[[int], None]
    ) -> dict[str, Any]:
        since, until, written = "9", "", 0
        beside = self._path.with_name("table")  # one file at a time is written into a zip
        with ExitStack() as files:
            lines = Hashed(files.enter_context(resumable_zip.member(whole, facts["records"])))
            cells = Hashed(files.enter_context(beside.open("wb"))) if self._with_csv else None
            for part in self._readers.parts(indexes):
                body = part.lines if self._redactor is None else self._redactor.lines(part.lines)
                lines.write(body)
                if cells is not None:
                    cells.write(table(body, with_heads=not written))
                since, until = min(since, part.since), max(until, part.until)
                written += part.records
                tell(written)
        found = {facts["records"]: lines.facts}
        if cells is not None:
            resumable_zip.add(whole, facts["csv"], beside)
            beside.unlink()
            found[facts["csv"]] = cells.facts
        return {"first": indexes[0], "last": indexes[-1], "since": since, "until": until, "files": found}


def proof_lines(indexes: Indexes, size: int) -> Iterator[bytes]:
    """The proof of these leaves together against the tree of `size`, streaming. Raises `LogDamaged`."""
    yield f"{BETWEEN}\n".encode()
    spans = multiproof.between(indexes, size)
    while batch := list(islice(spans, SPANS)):
        look_up = reader.hashes(_near(tiles.runs(batch)))
        for span in batch:
            yield base64.b64encode(tiles.span_hash(span, look_up)) + b"\n"


def write_file(path: Path, parts: Iterable[bytes]) -> dict[str, Any]:
    """Write a file, so that it is on the disk when this returns; return what the manifest says of it."""
    with path.open("wb") as file:
        facts = _write(file, parts)
        file.flush()
        os.fsync(file.fileno())
    return facts


def _write(file: IO[bytes], parts: Iterable[bytes]) -> dict[str, Any]:
    hashed = Hashed(file)
    for part in parts:
        hashed.write(part)
    return hashed.facts


class Hashed:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, part: bytes) -> None:
        """Add to it."""
        self._file.write(part)
        self._digest.update(part)
        self._bytes += len(part)

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"sha256": self._digest.hexdigest(), "bytes": self._bytes}


def table(lines: bytes, *, with_heads: bool) -> bytes:
    """Lines of JSON as CSV; no cell comes alive in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    for line in lines.splitlines():
        record = json.loads(line)
        if with_heads:
            writer.writerow(record)
            with_heads = False
        writer.writerow([cell(value) for value in record.values()])
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """A value as the text of a cell; an apostrophe keeps what looks like a formula from being one."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) and not isinstance(value, int | float) else text


def _near(runs: Iterable[Run]) -> list[Run]:
    found: list[Run] = []
    for run in sorted(runs):
        if found and found[-1].level == run.level and run.first <= found[-1].last + NEAR:
            found[-1] = Run(run.level, found[-1].first, max(found[-1].last, run.last))
        else:
            found.append(run)
    return found
