"""volumes: the records of a bundle, some thousands to a file, each file with the proof that its records are in the log.

A volume counts only once the export's row names it; until then it is made again.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

from audit.errors import LogDamaged, PurgeUnsettled
from audit.evidence import purged_leaves, resumable_zip
from audit.evidence.record_lines import Readers, RecordLines
from audit.formats import multiproof, tiles
from audit.formats.redaction import Redactor
from audit.formats.tiles import Run
from audit.ledger import purged, reader

BETWEEN = "auditsite/between/v1"
SPANS_PER_READ = 4_000
# Stored hashes with at most so many others between them are read together: that costs less than another read.
NEARBY_HASHES = 512
# What a spreadsheet takes for the beginning of a formula: at the beginning of a cell, and where its locale separates
# cells by something else than a comma. `verify.py` and `audit/verifier/csv.js` have the same.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
_BLANKS = r'[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"]*'
_LATER_FORMULA = re.compile(rf"([;|\t\r\n]{_BLANKS})([=+\-@\uff1d\uff0b\uff0d\uff20])")
# Excel reads a file without it in the code page of the machine.
BYTE_ORDER_MARK = "\ufeff"

Indexes = Sequence[int]
# The first and the last time of no events.
NO_SPAN = ("9", "")


class VolumeWriter:
    def __init__(self, readers: Readers, path: Path, *, size: int, with_csv: bool, redactor: Redactor | None = None):
        self._readers = readers
        self._certificates = purged_leaves.Certificates()
        self._path = path
        self._size = size
        self._with_csv = with_csv
        self._redactor = redactor

    def write(self, number: int, indexes: Indexes, on_progress: Callable[[int], None]) -> dict[str, Any]:
        """Write the volume of this number; return its entry in the manifest.

        `on_progress` is called with the records that are written; what it raises passes through. Raises `LogDamaged`,
        and `PurgeUnsettled` for leaves whose records a purge removed without a certificate, or just now.
        """
        name, plans = f"records-{number:04}", purged.plans_at(indexes)
        facts: dict[str, Any] = {"records": f"{name}.jsonl", "proof": f"proofs/{name}.txt"}
        facts["count"] = len(indexes) - len(plans)
        if self._with_csv:
            facts["csv"] = f"{name}.csv"
        with zipfile.ZipFile(self._path, "a") as archive:
            facts |= self._write_records(archive, facts, _without(indexes, plans), on_progress)
            facts |= {"first": indexes[0], "last": indexes[-1]}
            if plans:
                self._write_purged(archive, facts, f"purged-{number:04}.jsonl", indexes, plans)
            if self._redactor is not None:
                facts["redacted"] = self._redactor.facts()
            with resumable_zip.member(archive, facts["proof"]) as file:
                facts["files"][facts["proof"]] = _write(file, proof_lines(indexes, self._size))
        resumable_zip.save(self._path, number)
        return facts

    def _write_records(
        self, archive: zipfile.ZipFile, facts: dict[str, Any], indexes: Indexes, on_progress: Callable[[int], None]
    ) -> dict[str, Any]:
        since, until, written = NO_SPAN[0], NO_SPAN[1], 0
        csv_path = self._path.with_name("table")  # a zip takes one file at a time, so the CSV waits outside
        with ExitStack() as files:
            lines = HashingFile(files.enter_context(resumable_zip.member(archive, facts["records"])))
            table = HashingFile(files.enter_context(csv_path.open("wb"))) if self._with_csv else None
            for part in self._read(indexes):
                body = part.lines if self._redactor is None else self._redactor.lines(part.lines)
                lines.write(body)
                if table is not None:
                    table.write(csv_rows(body, with_header=not written))
                since, until = min(since, part.since), max(until, part.until)
                written += part.records
                on_progress(written)
        digests = {facts["records"]: lines.facts}
        if table is not None:
            resumable_zip.add(archive, facts["csv"], csv_path)
            csv_path.unlink()
            digests[facts["csv"]] = table.facts
        return {"since": since, "until": until, "files": digests}

    def _read(self, indexes: Indexes) -> Iterator[RecordLines]:
        """The lines of these leaves. Raises `PurgeUnsettled` where a purge takes them away meanwhile."""
        try:
            yield from self._readers.read(indexes)
        except LogDamaged:
            if not purged.plans_at(indexes):
                raise
            raise PurgeUnsettled(
                "A purge removed records of this bundle while they were read: make the bundle again after it has ended."
            ) from None

    def _write_purged(
        self, archive: zipfile.ZipFile, facts: dict[str, Any], name: str, indexes: Indexes, plans: dict[int, int]
    ) -> None:
        """Write the leaves whose records a purge removed, and note how many each certificate stands for."""
        counts = Counter(plans.values())
        facts["certificates"] = {str(self._certificates.of(plan)): count for plan, count in counts.items()}
        with resumable_zip.member(archive, name) as file:
            facts["files"][name] = _write(file, purged_leaves.lines(indexes, plans, self._certificates))
        facts |= {"purged": name, "purged_count": len(plans)}


def proof_lines(indexes: Indexes, size: int) -> Iterator[bytes]:
    """The proof of these leaves together against the tree of `size`, streaming. Raises `LogDamaged`."""
    yield f"{BETWEEN}\n".encode()
    spans = multiproof.between(indexes, size)
    while batch := list(islice(spans, SPANS_PER_READ)):
        look_up = reader.hashes(_merge_nearby(tiles.runs(batch)))
        for span in batch:
            yield base64.b64encode(tiles.span_hash(span, look_up)) + b"\n"


def _without(indexes: Indexes, plans: dict[int, int]) -> Indexes:
    """These leaves but for the purged ones."""
    return [index for index in indexes if index not in plans] if plans else indexes


def write_file(path: Path, parts: Iterable[bytes]) -> dict[str, Any]:
    """Write a file and sync it to the disk; return its entry in the manifest."""
    with path.open("wb") as file:
        facts = _write(file, parts)
        file.flush()
        os.fsync(file.fileno())
    return facts


def _write(file: IO[bytes], parts: Iterable[bytes]) -> dict[str, Any]:
    hashing = HashingFile(file)
    for part in parts:
        hashing.write(part)
    return hashing.facts


class HashingFile:
    def __init__(self, file: IO[bytes]):
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, part: bytes) -> None:
        self._file.write(part)
        self._digest.update(part)
        self._bytes += len(part)

    @property
    def facts(self) -> dict[str, Any]:
        return {"sha256": self._digest.hexdigest(), "bytes": self._bytes}


def csv_rows(lines: bytes, *, with_header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for line in lines.splitlines():
        record = json.loads(line)
        if with_header:
            text.write(BYTE_ORDER_MARK)
            writer.writerow(record)
            with_header = False
        writer.writerow([cell(value) for value in record.values()])
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """A value as the text of a cell, with an apostrophe before each place at which a formula could begin."""
    if value is None:
        return ""
    if not isinstance(value, str):
        # Within JSON an escape keeps the value what it is.
        text = json.dumps(value, ensure_ascii=False)
        return _LATER_FORMULA.sub(lambda match: f"{match[1]}\\u{ord(match[2]):04x}", text)
    guarded = _LATER_FORMULA.sub(r"\1'\2", value)
    return f"'{guarded}" if guarded.startswith(FORMULA) else guarded


def _merge_nearby(runs: Iterable[Run]) -> list[Run]:
    merged: list[Run] = []
    for run in sorted(runs):
        if merged and merged[-1].level == run.level and run.first <= merged[-1].last + NEARBY_HASHES:
            merged[-1] = Run(run.level, merged[-1].first, max(merged[-1].last, run.last))
        else:
            merged.append(run)
    return merged
