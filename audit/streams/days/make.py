"""make: write the records of a UTC day as Parquet files, and its manifest at the end.

A record is of the day in which a checkpoint first covered it, as in archives. Without a manifest a folder is not whole:
the next run writes its files anew.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from audit.archive.folder import Folder
from audit.archive.span import Span, read_span
from audit.errors import ArchiveUnusable, Invalid
from audit.ingest import trail
from audit.ingest.own_event import Where
from audit.ledger import purged
from audit.streams import leaves
from audit.streams.batches import batches
from audit.streams.days import columns, manifest
from audit.streams.days.manifest import Part

# A file ends at either; a group of rows is what is held in memory.
RECORDS_PER_FILE, BYTES_PER_FILE = 1_000_000, 256 * 2**20
RECORDS_PER_GROUP, BYTES_PER_GROUP = 20_000, 16 * 2**20
Progress = Callable[[int, int | None], None]
_WHERE = Where(category="streams", resource=("day", ""))


def make(text: str, root: Path, *, by: str, unredacted: bool = False, progress: Progress | None = None) -> Path:
    """Write the day, such as 2026-11-27, into `day=2026-11-27` below `root`; return that folder. Recorded first.

    Raises `Invalid` for a day that is not over or has no records, `ArchiveUnusable` where its folder is whole already,
    cannot be written, or is being written; `ParquetMissing`, `KeyMissing`, `LogDamaged`, `NothingKept`, and what the
    database raises.
    """
    columns.schema()  # before anything is recorded
    day, span = _day(text)
    folder = Folder(root / f"day={day.isoformat()}")
    folder.make()
    with folder.locked():
        if (folder.path / manifest.SIGNATURE).exists():
            raise ArchiveUnusable(f"{folder} is whole already: `manage.py stream check-day` looks at it.")
        facts = {"folder": str(folder), "first": span.first, "last": span.last}
        _record("begun", day, by, **facts, unredacted=unredacted)
        try:
            _write(folder, day, span, by, facts, unredacted, progress or (lambda done, total: None))
        except OSError as error:
            raise ArchiveUnusable(f"{folder} cannot be written: {error.strerror or error}.") from None
    return folder.path


def span_of(day: date) -> Span:
    """The leaves of a UTC day, and the checkpoint that they are under. Raises `Invalid`, `NotSealed`."""
    following = day + timedelta(days=1)
    span = read_span(day.isoformat(), following.isoformat())
    # Until then a head of the day itself may still become a checkpoint.
    if span.checkpoint.created_at.date() < following:
        raise Invalid({"day": f"nothing was sealed since {day} ended: wait for the sealer, which signs every hour"})
    return span


def _day(text: str) -> tuple[date, Span]:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Invalid({"day": f"{text} is no day such as 2026-11-27"}) from None
    return day, span_of(day)


def _write(
    folder: Folder, day: date, span: Span, by: str, facts: dict[str, Any], unredacted: bool, progress: Progress
) -> None:
    for left in folder.path.glob("part-*.parquet"):
        left.unlink()
    parts: list[Part] = []
    with closing(_Lines(day, span, unredacted)) as lines:
        while lines.place < span.last:
            parts.append(_part(folder, len(parts) + 1, lines, progress, span))
    gone = sum(min(each.last, span.last) - max(each.first, span.first) for each in purged.spans(span.first, span.last))
    text = manifest.text_of(day, span, parts, purged=gone, unredacted=unredacted)
    digest = hashlib.sha256(text.encode()).hexdigest()
    signature = manifest.sign(day, digest)
    _record("made", day, by, **facts, files=len(parts), digest=digest)
    for name, body in ((manifest.MANIFEST, text), (manifest.SIGNATURE, signature)):
        (folder.path / name).unlink(missing_ok=True)
        (folder.work / name).write_text(body, encoding="utf-8")
        folder.put(name, folder.work / name)
    for left in folder.work.iterdir():
        left.unlink()
    folder.work.rmdir()


class _Lines:
    """The groups of rows of a day, one after the other."""

    def __init__(self, day: date, span: Span, unredacted: bool):
        self._log = leaves.Log()
        redactor = None if unredacted else leaves.redactor_of(f"day {day.isoformat()}")
        self._groups = batches(
            self._log.read(span.first, span.last, redactor),
            most_records=RECORDS_PER_GROUP,
            most_bytes=BYTES_PER_GROUP,
        )
        self.place = span.first

    def groups(self) -> Iterator[Any]:
        """Tables, until a file is full."""
        records = size = 0
        while records < RECORDS_PER_FILE and size < BYTES_PER_FILE:
            if (group := next(self._groups, None)) is None:
                return
            records, size, self.place = records + len(group.lines), size + group.bytes, group.last
            yield columns.table(group.lines)

    def close(self) -> None:
        self._log.close()


def _part(folder: Folder, number: int, lines: _Lines, progress: Progress, span: Span) -> Part:
    parquet = columns.arrow("pyarrow.parquet")
    name, first = f"part-{number:05}.parquet", lines.place
    path = folder.work / name
    with parquet.ParquetWriter(path, columns.schema(), compression="zstd") as writer:
        for table in lines.groups():
            writer.write_table(table)
            progress(lines.place - span.first, span.last - span.first)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    folder.put(name, path)
    return Part(name, first, lines.place, size, digest)


def _record(act: str, day: date, by: str, **facts: Any) -> None:
    trail.add(f"audit.day.{act}", _WHERE, actor=by, correlation=f"day-{day.isoformat()}", day=day.isoformat(), **facts)
