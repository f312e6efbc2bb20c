"""build: make the files of an evidence bundle in resumable steps.

Whatever kills a step, the next one resumes after the last whole volume. The bundle gets its name only when all of it is
on the disk and its digest is in a record.
"""

import fcntl
import json
import shutil
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError

from audit.errors import ExportsOff, KeyMissing, LogDamaged, PurgeUnsettled
from audit.evidence import manifest as bundle_manifest
from audit.evidence import record_lines, redaction, resumable_zip, room, volumes
from audit.evidence.request import THE_STORE, count_received, record_act
from audit.formats import grammar, sampling
from audit.models import Export
from audit.models.base import JobEnded
from audit.postgres import replica
from audit.search import cost

log = structlog.get_logger(__name__)

# In the work folder: the leaves of a query or a sample, eight bytes each. It is no part of the bundle.
LEAF_INDEXES = "leaves"
# How often a build notes its progress, and learns of a cancel, within a volume.
SAVE_INTERVAL_S = 0.5
# How often it looks between two volumes how much of the disk is taken.
ROOM_INTERVAL_S = 1.0

# Called with the records that are written, and of how many.
Progress = Callable[[int, int | None], None]


def resume(export: Export, *, seconds: float | None = None, progress: Progress | None = None) -> Export:
    """Build until the bundle is ready or the seconds are over. A bundle that another process builds is left alone.

    Raises what the database raises, and `NothingKept`; the bundle can be resumed afterwards.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    work = work_folder(export)
    with _locked(work) as is_ours:
        export.refresh_from_db()
        if not is_ours or not export.is_under_way:
            return export
        source = replica.Source(False)
        try:
            export.save_progress(state="running")
            with replica.whole() as source:
                log.info("export_read", export=str(export.pk), source=str(source))
                _build(export, work, deadline, progress or (lambda done, total: None))
        except JobEnded:
            pass
        except OSError as error:
            _fail(export, f"The folder cannot be written: {error.strerror}.")
        except (LogDamaged, KeyMissing, PurgeUnsettled) as error:
            _fail(export, str(error))
        except OperationalError as error:
            if not cost.was_stopped(error):
                if source.is_replica:
                    replica.leave_out(error)  # the next step reads the primary
                raise
            _fail(
                export,
                f"Finding the records takes longer than {record_lines.FIND_TIMEOUT_S} s: narrow the query by time.",
            )
    export.refresh_from_db()
    return export


def _build(export: Export, work: Path, deadline: float | None, progress: Progress) -> None:
    if not export.is_whole and not (work / LEAF_INDEXES).exists():
        _find_leaves(export, work)
    if not resumable_zip.restore(work / export.name, len(export.volumes)):
        # The volumes that were whole are lost: start over.
        export.save_progress(volumes=[], done=0, digest="", manifest=None)
        export.refresh_from_db()
        resumable_zip.restore(work / export.name, 0)
    indexes = work / LEAF_INDEXES
    export.total = export.last - export.first if export.is_whole else indexes.stat().st_size // 8
    with record_lines.Readers() as readers:
        writer = volumes.VolumeWriter(
            readers,
            work / export.name,
            size=export.size,
            with_csv=export.with_csv,
            redactor=redaction.redactor(export),
        )
        looked_at = float("-inf")
        while export.done < export.total:
            _stop_if_late(deadline)
            if time.monotonic() - looked_at > ROOM_INTERVAL_S:
                looked_at = time.monotonic()
                _stop_if_full(export)
            _write_volume(export, work, writer, progress)
    _stop_if_late(deadline)
    _finish(export, work)


def _write_volume(export: Export, work: Path, writer: volumes.VolumeWriter, progress: Progress) -> None:
    indexes, before, saved_at = _next_leaves(export, work), export.done, time.monotonic()

    def on_progress(written: int) -> None:
        nonlocal saved_at
        progress(before + written, export.total)
        if time.monotonic() - saved_at > SAVE_INTERVAL_S:
            export.save_progress()
            saved_at = time.monotonic()

    facts = writer.write(len(export.volumes) + 1, indexes, on_progress)
    if "purged" in facts and export.kind == "query":
        raise PurgeUnsettled("A purge removed records that matched since this bundle was asked for: ask for it anew.")
    export.volumes, export.done = [*export.volumes, facts], before + len(indexes)
    export.save_progress(volumes=export.volumes, done=export.done, total=export.total)


def _find_leaves(export: Export, work: Path) -> None:
    """Write the leaves that match, or are drawn, to a file: there may be more of them than fit in memory."""
    batches: Iterable[list[int]] = record_lines.find(export, grammar.parse(export.query))
    if export.sample:
        indexes = range(export.first, export.last) if export.kind == "range" else chain.from_iterable(batches)
        drawn, export.population = _draw(export, indexes)
        batches = [drawn]
    fresh = work / f"{LEAF_INDEXES}.new"
    volumes.write_file(fresh, (array("q", batch).tobytes() for batch in batches))
    export.save_progress(population=export.population)
    fresh.rename(work / LEAF_INDEXES)


def _draw(export: Export, indexes: Iterable[int]) -> tuple[list[int], int]:
    """The sample, and of how many leaves it was drawn."""
    population = 0

    def counted() -> Iterator[int]:
        nonlocal population
        for population, index in enumerate(indexes, start=1):  # noqa: B007
            yield index

    return sampling.draw(counted(), export.sample or 0, export.seed), population


def _next_leaves(export: Export, work: Path) -> volumes.Indexes:
    first = export.done
    last = min(first + settings.EXPORT_VOLUME, export.total or 0)
    if export.is_whole:
        return range(export.first + first, export.first + last)
    indexes = array("q")
    with (work / LEAF_INDEXES).open("rb") as file:
        file.seek(first * 8)
        indexes.fromfile(file, last - first)
    return indexes.tolist()


def _finish(export: Export, work: Path) -> None:
    """Write the other files, record the digest, give the bundle its name, and only then call it ready."""
    if not export.digest:
        if export.purged and export.received and count_received(export) != export.received["records"]:
            raise PurgeUnsettled("A purge removed records of that time since this bundle was asked for: ask anew.")
        export.manifest, export.digest = bundle_manifest.write(export, work)
        export.save_progress(manifest=export.manifest, digest=export.digest)
    manifest: dict[str, Any] = json.loads((work / "manifest.json").read_bytes())
    bundle = work / export.name
    bundle_manifest.pack(work, manifest, bundle)
    export.save_progress()
    facts = {"digest": export.digest, "size": export.size, "records": export.records, **export.range_facts()}
    facts |= {"purged": export.purged or None}
    record_act("made", export, THE_STORE, **facts, population=export.population)
    size = bundle.stat().st_size
    bundle.rename(folder() / export.name)
    resumable_zip.sync(folder())
    if not export.end("ready", bytes=size):
        raise JobEnded
    shutil.rmtree(work, ignore_errors=True)


def _fail(export: Export, reason: str) -> None:
    log.error("export_failed", export=str(export.pk), reason=reason)
    export.end("failed", error=reason)


def _stop_if_late(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() > deadline:
        raise JobEnded


def _stop_if_full(export: Export) -> None:
    if lacking := room.lacking(folder()):
        _fail(export, f"There is no room: {lacking}.")
        raise JobEnded


def remove(export: Export) -> None:
    work = work_folder(export)
    (folder() / export.name).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    _lock_file(work).unlink(missing_ok=True)


def folder() -> Path:
    if settings.EXPORT_DIR is None:
        raise ExportsOff
    return Path(settings.EXPORT_DIR)


def work_folder(export: Export) -> Path:
    return folder() / f"{export.pk}.partial"


def _lock_file(work: Path) -> Path:
    return work.with_suffix(".lock")


@contextmanager
def _locked(work: Path) -> Iterator[bool]:
    """Whether this process holds the lock of the work folder. The kernel releases it when the process ends."""
    with _lock_file(work).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        work.mkdir(exist_ok=True)
        yield True
