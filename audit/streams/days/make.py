"""make: write the records of a UTC day as Parquet files, and its manifest at the end.

A record is of the day in which a checkpoint first covered it, as in archives. A file gets its name when it is whole,
after its digest was recorded: so whatever kills the process, the next goes on behind the last file, and signs none that
the store did not write. Nothing is written over: a bucket that locks would keep both.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from audit.archive.folder import Target
from audit.archive.places import Place, below, target_of
from audit.archive.span import Span, read_span
from audit.errors import ArchiveUnusable, Invalid
from audit.evidence.volumes import write_file
from audit.formats.redaction import Redactor
from audit.ledger import keys
from audit.streams import leaves
from audit.streams.batches import batches
from audit.streams.days import acts, columns, manifest, part
from audit.streams.days.manifest import MANIFEST, SIGNATURE
from audit.streams.days.part import Kind, Part

# A file ends at either; a group of rows is what is held in memory.
RECORDS_PER_FILE, BYTES_PER_FILE = 1_000_000, 256 * 2**20
RECORDS_PER_GROUP, BYTES_PER_GROUP = 20_000, 16 * 2**20
Progress = Callable[[int, int | None], None]
# What somebody can do about a file that is there and does not belong.
ELSEWHERE = "take it away where the storage lets you, or name another place"


def make(text: str, root: Place, *, by: str, unredacted: bool = False, progress: Progress | None = None) -> str:
    """Write the day, such as 2026-11-27, into `day=2026-11-27` below `root`; return that place. Recorded first.

    It can be cut off anywhere, and called again. Raises `Invalid` for a day that is not over or has no records,
    `ArchiveUnusable` where its place is whole already, cannot be written, is being written, or has something else in
    it; `ParquetMissing`, `KeyMissing`, `LogDamaged`, `NothingKept`, and what the database raises.
    """
    columns.schema()
    manifest.require_key()  # before anything is recorded, and locked
    day, span = _day(text)
    target = target_of(below(root, f"day={day.isoformat()}"))
    target.make()
    with target.locked():
        try:
            making = _Making(target, Kind(keys.load().origin, day, unredacted), span, by)
            making.make(progress or (lambda done, total: None))
        except OSError as error:
            raise ArchiveUnusable(f"{target} cannot be written: {error.strerror or error}.") from None
        finally:
            shutil.rmtree(target.work, ignore_errors=True)
    return str(target)


def span_of(day: date) -> Span:
    """The leaves of a UTC day, and the checkpoint that they are under. Raises `Invalid`, `NotSealed`."""
    if day >= datetime.now(UTC).date():
        raise Invalid({"day": f"{day} is not over yet, in UTC: write the days before it"})
    following = day + timedelta(days=1)
    try:
        span = read_span(day.isoformat(), following.isoformat())
    except Invalid:
        raise Invalid({"day": f"no record was sealed on {day}, in UTC: there is nothing to write"}) from None
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


class _Making:
    """The files of one day in one place; nobody else makes them there meanwhile."""

    def __init__(self, target: Target, kind: Kind, span: Span, by: str):
        self._target, self._kind, self._span, self._by = target, kind, span, by
        self._facts = {"folder": str(target), "first": span.first, "last": span.last, "unredacted": kind.unredacted}
        self._parts: list[Part] = []
        self._purged = 0

    def make(self, progress: Progress) -> None:
        there = self._target.list()
        if SIGNATURE in there:
            for name in there:
                self._target.keep(name)
            raise ArchiveUnusable(f"{self._target} is whole already: `manage.py stream check-day` looks at it.")
        if strange := sorted(there.keys() - {MANIFEST} - {part.name_of(number) for number in range(1, len(there) + 1)}):
            raise ArchiveUnusable(
                f"{self._target} has {strange[0]} in it, which does not follow on its files: {ELSEWHERE}."
            )
        self._record("begun")
        name = f"day {self._kind.day.isoformat()}"
        redactor = None if self._kind.unredacted else leaves.redactor_of(name)
        while (place := self._place) < self._span.last:
            self._add(there, place, redactor, progress)
            progress(self._place - self._span.first, self._span.last - self._span.first)
        if len(self._parts) < len(there.keys() - {MANIFEST}):
            self._refuse(part.name_of(len(self._parts) + 1), "and the day ends before it:")
        self._sign(MANIFEST in there)

    @property
    def _place(self) -> int:
        """The log entry that the next file begins with."""
        return self._parts[-1].last if self._parts else self._span.first

    def _add(self, there: dict[str, int], place: int, redactor: Redactor | None, progress: Progress) -> None:
        """Put the next file, or take the one that is there; it counts as it is read back."""
        name = part.name_of(len(self._parts) + 1)
        written = ""
        if name not in there:
            file, last = self._write(name, place, redactor, progress)
            written = part.digest_of(file)
            self._record("written", name=name, first=place, last=last, sha256=written)
            self._target.put(name, file)
        with self._target.get(name) as path:
            digest = part.digest_of(path)
            if not written:
                self._check_own(name, path, place, digest)
            elif digest != written:
                self._refuse(name, "and is not what was put, for somebody else writes there:")
            rows, purged = part.count(path)
            self._parts.append(Part(name, place, place + rows, path.stat().st_size, digest))
        self._target.keep(name)
        self._purged += purged

    def _check_own(self, name: str, path: Path, place: int, digest: str) -> None:
        """See that the store wrote this file from this log entry on, in the way that is asked for now, and of this log.

        Raises `ArchiveUnusable`.
        """
        if not acts.has("written", self._kind.day, sha256=digest, first=place):
            why = f"and no record says that this store wrote it to begin with log entry {place} (audit.day.written)."
            self._refuse(name, f"{why} Where events wait in the queue, drain them and try again; else")
        if part.is_unredacted(path) != self._kind.unredacted:
            how = "without --unredacted" if self._kind.unredacted else "with --unredacted"
            raise ArchiveUnusable(
                f"{self._target}/{name} was written {how}: run the command {how}, or name another place."
            )
        last = place + part.count(path)[0]
        if last > self._span.last or (wrong := part.differing(path, place, last)) is not None:
            wrong = self._span.last if last > self._span.last else wrong
            self._refuse(name, f"and its row of log entry {wrong} is not what the log has for the day:")

    def _write(self, name: str, place: int, redactor: Redactor | None, progress: Progress) -> tuple[Path, int]:
        """Write a file from this log entry on; return it, and the entry after its last."""
        shutil.rmtree(self._target.work, ignore_errors=True)
        self._target.make()
        path, span, last = self._target.work / name, self._span, place

        def tables(log: leaves.Log) -> Iterator[Any]:
            nonlocal last
            for group in _groups(log, place, span.last, redactor):
                yield columns.table(group.lines)
                last = group.last
                progress(last - span.first, span.last - span.first)

        with closing(leaves.Log()) as log:
            part.write(path, self._kind, place, tables(log))
        return path, last

    def _sign(self, is_there: bool) -> None:
        """Put the manifest, or take the one that is there, and at the very end its signature."""
        text = manifest.text_of(self._kind, self._span, self._parts, purged=self._purged)
        if is_there:
            text = self._text_there(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not is_there:
            self._record("made", files=len(self._parts), digest=digest)
            self._put(MANIFEST, text)
        self._target.keep(MANIFEST)
        self._put(SIGNATURE, manifest.sign(self._kind.day, digest))
        self._target.keep(SIGNATURE)

    def _text_there(self, ours: str) -> str:
        """The manifest that is there, where the store made it of these files, be it under a checkpoint of before."""
        text = manifest.text(self._target, MANIFEST)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not acts.has("made", self._kind.day, digest=digest) or manifest.files(text) != manifest.files(ours):
            self._refuse(MANIFEST, "and no record says that this store made it of these files (audit.day.made):")
        return text

    def _put(self, name: str, text: str) -> None:
        self._target.make()
        write_file(self._target.work / name, [text.encode()])
        self._target.put(name, self._target.work / name)

    def _record(self, act: str, **facts: Any) -> None:
        acts.add(act, self._kind.day, self._by, **(self._facts | facts))

    def _refuse(self, name: str, why: str) -> None:
        raise ArchiveUnusable(f"{self._target}/{name} is there, {why} {ELSEWHERE}.")


def _groups(log: leaves.Log, first: int, last: int, redactor: Redactor | None) -> Iterator[Any]:
    """The groups of rows of one file."""
    records = size = 0
    read = log.read(first, last, redactor)
    for group in batches(read, most_records=RECORDS_PER_GROUP, most_bytes=BYTES_PER_GROUP):
        yield group
        records, size = records + len(group.lines), size + group.bytes
        if records >= RECORDS_PER_FILE or size >= BYTES_PER_FILE:
            return
