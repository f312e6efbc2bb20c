"""build: make the files of a bundle, a part at a time; cut off and gone on with as one pleases."""

import fcntl
import json
import shutil
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError

from audit.errors import ExportsOff, KeyMissing, LogDamaged
from audit.evidence import manifest as bundle_manifest
from audit.evidence import record_lines, redaction, request, resumable_zip, volumes
from audit.evidence.request import Asker
from audit.formats import grammar, sampling
from audit.models import OWN_WRITER, Export
from audit.search import cost

FOUND = "leaves"
"""The file in the folder of work that names the leaves of a query; it is no part of the bundle."""
log = structlog.get_logger(__name__)

SAVED_S = 0.5
"""How often one who makes a bundle says so, and hears that it is cancelled; at each whole volume besides."""


Progress = Callable[[int, int | None], None]
"""Told how many records are written, of how many."""


class Stopped(Exception):
    """The export is cancelled, or the time is up."""


def go_on(export: Export, *, seconds: float | None = None, progress: Progress | None = None) -> Export:
    """Make what can be made of the bundle in so many seconds. Another process that is at it is left alone.

    Raises what the database raises, and `NothingKept`; it can be gone on with then.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    work = work_folder(export)
    with _alone(work) as mine:
        export.refresh_from_db()
        if not mine or export.state not in Export.UNDER_WAY:
            return export
        try:
            _save(export, state="running")
            _make(export, work, ends, progress or (lambda done, total: None))
        except Stopped:
            pass
        except (OSError, LogDamaged, KeyMissing) as error:
            _fail(
                export, f"The folder cannot be written: {error.strerror}." if isinstance(error, OSError) else str(error)
            )
        except OperationalError as error:
            if not cost.was_stopped(error):
                raise
            _fail(export, f"Finding the records takes longer than {record_lines.FIND_S} s: narrow the query by time.")
    export.refresh_from_db()
    return export


def _make(export: Export, work: Path, ends: float | None, progress: Progress) -> None:
    if not export.is_whole and not (work / FOUND).exists():
        _find(export, work)
    if not resumable_zip.back(work / export.name, len(export.volumes)):
        _save(export, volumes=[], done=0, digest="", manifest=None)  # what was whole is lost: begun anew
        export.refresh_from_db()
        resumable_zip.back(work / export.name, 0)
    export.total = _total(export, work)
    with record_lines.Readers() as readers:
        writer = volumes.Writer(
            readers,
            work / export.name,
            size=export.size,
            with_csv=export.with_csv,
            redactor=redaction.redactor(export),
        )
        while export.done < export.total:
            _stop_if_late(ends)
            _write_volume(export, work, writer, progress)
    _stop_if_late(ends)
    _finish(export, work)


def _write_volume(export: Export, work: Path, writer: volumes.Writer, progress: Progress) -> None:
    indexes, before, saved_at = _indexes(export, work), export.done, time.monotonic()

    def tell(written: int) -> None:
        nonlocal saved_at
        progress(before + written, export.total)
        if time.monotonic() - saved_at > SAVED_S:
            _save(export)
            saved_at = time.monotonic()

    facts = writer.write(len(export.volumes) + 1, indexes, tell)
    export.volumes, export.done = [*export.volumes, facts], before + len(indexes)
    _save(export, volumes=export.volumes, done=export.done, total=export.total)


def _find(export: Export, work: Path) -> None:
    """Write down which leaves match, or are drawn, eight bytes each: so many may match, memory stays flat."""
    parts = _drawn(export) if export.sample else record_lines.find(export, grammar.parse(export.query))
    found = (array("q", part).tobytes() for part in parts)
    fresh = work / f"{FOUND}.new"
    volumes.write_file(fresh, found)
    fresh.rename(work / FOUND)
    _save(export)


def _drawn(export: Export) -> Iterator[list[int]]:
    """The sample; of how many it is drawn is known after that."""
    indexes: Iterable[int] = range(export.first, export.last)
    if export.kind == "query":
        indexes = chain.from_iterable(record_lines.find(export, grammar.parse(export.query)))
    export.population = 0

    def counted() -> Iterator[int]:
        for export.population, index in enumerate(indexes, start=1):
            yield index

    yield sampling.draw(counted(), export.sample or 0, export.seed)
    _save(export, population=export.population)


def _total(export: Export, work: Path) -> int:
    return export.last - export.first if export.is_whole else (work / FOUND).stat().st_size // 8


def _indexes(export: Export, work: Path) -> volumes.Indexes:
    first = export.done
    last = min(first + settings.EXPORT_VOLUME, export.total or 0)
    if export.is_whole:
        return range(export.first + first, export.first + last)
    found = array("q")
    with (work / FOUND).open("rb") as file:
        file.seek(first * 8)
        found.fromfile(file, last - first)
    return found.tolist()


def _finish(export: Export, work: Path) -> None:
    """Everything else, then the record with the digest, then the name, and then only the word that it is ready."""
    if not export.digest:
        export.manifest, export.digest = bundle_manifest.write(export, work)
        _save(export, manifest=export.manifest, digest=export.digest)
    manifest: dict[str, Any] = json.loads((work / "manifest.json").read_bytes())
    whole = work / export.name
    bundle_manifest.pack(work, manifest, whole)
    _save(export)
    facts = {"digest": export.digest, "size": export.size, "records": export.done, **export.range_facts()}
    facts |= {"population": export.population}
    request.record("made", export, Asker(OWN_WRITER, True), **facts)
    size = whole.stat().st_size
    whole.rename(folder() / export.name)
    resumable_zip.sync(folder())
    now = datetime.now(UTC)
    _save(export, state="ready", bytes=size, ended_at=now, expires_at=Export.expiry(now))
    shutil.rmtree(work, ignore_errors=True)


def _fail(export: Export, reason: str) -> None:
    log.error("export_failed", export=str(export.pk), reason=reason)
    now = datetime.now(UTC)
    export.while_under_way().update(
        state="failed", error=reason, updated_at=now, ended_at=now, expires_at=Export.expiry(now)
    )


def _save(export: Export, **facts: Any) -> None:
    """Note how far it is. Raises `Stopped` where somebody has cancelled it meanwhile."""
    if not export.while_under_way().update(updated_at=datetime.now(UTC), **facts):
        raise Stopped


def _stop_if_late(ends: float | None) -> None:
    if ends is not None and time.monotonic() > ends:
        raise Stopped


def folder() -> Path:
    if settings.EXPORT_DIR is None:
        raise ExportsOff
    return Path(settings.EXPORT_DIR)


def work_folder(export: Export) -> Path:
    return folder() / f"{export.pk}.partial"


def lock_file(work: Path) -> Path:
    return work.with_suffix(".lock")


@contextmanager
def _alone(work: Path) -> Iterator[bool]:
    """Whether this process alone works here; the kernel forgets it with the process."""
    with lock_file(work).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        work.mkdir(exist_ok=True)
        yield True
