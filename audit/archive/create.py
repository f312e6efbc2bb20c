"""create: archive a range of the log, a volume at a time, and sign the index of the volumes at the end.

All is read under the one checkpoint that the request found. A volume gets its name when it is whole and on the disk, so
whatever kills the process leaves each volume whole or not there, and the next run goes on behind the last of them.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from audit.archive import index, volumes
from audit.archive.folder import Target
from audit.archive.places import Place, target_of
from audit.archive.span import Span
from audit.errors import ArchiveUnusable
from audit.evidence.record_lines import Readers
from audit.evidence.request import Requester, record_act
from audit.evidence.volumes import write_file
from audit.models import Archive, ArchiveVolume

log = structlog.get_logger(__name__)

# Called with the records that are written, and of how many.
Progress = Callable[[int, int | None], None]
# How often a volume that is being written says how far it is.
SAVE_INTERVAL_S = 1.0


def create(requester: Requester, place: Place, span: Span) -> Archive:
    """Begin an archive of the span in a place that is empty; no record is read yet. The act is recorded first.

    Where the place has an unfinished archive of this very span, that is returned. Raises `ArchiveUnusable`,
    `NothingKept`.
    """
    target = target_of(place)
    if (begun := unfinished(place)) is not None:
        if (begun.first, begun.last) != (span.first, span.last):
            leaves = f"{begun.first} to {begun.last - 1}"
            raise ArchiveUnusable(f"{target} has an unfinished archive of the leaves {leaves}: finish it first.")
        return begun
    target.make()
    if there := sorted(target.list()):
        raise ArchiveUnusable(f"{target} is not empty, {there[0]} is in it: an archive has a place of its own.")
    now = datetime.now(UTC)
    archive = Archive(folder=str(target), first=span.first, last=span.last, requested_by=requester.name)
    archive.checkpoint, archive.size = span.checkpoint.number, span.checkpoint.size
    archive.requested_at = archive.updated_at = now
    record_act("begun", archive, requester, **_facts(archive))
    try:
        archive.save(force_insert=True)
    except IntegrityError:
        raise ArchiveUnusable(f"Another process is making the archive in {target}: wait for it.") from None
    return archive


def unfinished(place: Place) -> Archive | None:
    """Return the archive that was begun in this place and is not whole. Raises `ArchiveUnusable`."""
    return Archive.objects.filter(folder=str(target_of(place)), state="running").first()


def resume(archive: Archive, requester: Requester, progress: Progress | None = None) -> Archive:
    """Write what is left of the archive, and the index. It can be cut off anywhere, and called again.

    Raises `ArchiveUnusable` where its place cannot be written, another process is writing it, or something else lies
    where a volume should; `LogDamaged`, `KeyMissing`, `NothingKept`, and what the database raises.
    """
    target = target_of(archive.folder)
    target.make()
    with target.locked():
        archive.refresh_from_db()
        try:
            _write_volumes(archive, target, progress or (lambda done, total: None))
            if archive.is_under_way:
                _finish(archive, target, requester)
        except OSError as error:
            raise ArchiveUnusable(f"{target} cannot be written: {error.strerror or error}.") from None
    archive.refresh_from_db()
    return archive


def _write_volumes(archive: Archive, target: Target, progress: Progress) -> None:
    progress(archive.done, archive.total)
    there = target.list()
    with Readers() as readers:
        maker = volumes.VolumeMaker(archive, readers, target.work)
        while archive.done < archive.total:
            number = archive.volumes.count() + 1
            volume = ArchiveVolume(archive=archive, number=number, first=archive.first + archive.done)
            if volume.name not in there:
                target.put(volume.name, maker.write(volume, _progress_of(archive, progress)))
            with target.get(volume.name) as path:
                volumes.describe(volume, path)
            target.keep(volume.name)
            _add(archive, volume)
            progress(archive.done, archive.total)


def _progress_of(archive: Archive, progress: Progress) -> Callable[[int], None]:
    """Tell the progress of a volume, and note now and then that the archive is being worked on."""
    before, saved_at = archive.done, time.monotonic()

    def on_progress(written: int) -> None:
        nonlocal saved_at
        progress(before + written, archive.total)
        if time.monotonic() - saved_at > SAVE_INTERVAL_S:
            archive.save_progress()
            saved_at = time.monotonic()

    return on_progress


@transaction.atomic
def _add(archive: Archive, volume: ArchiveVolume) -> None:
    volume.save(force_insert=True)
    archive.done, archive.bytes = volume.last - archive.first, archive.bytes + volume.bytes
    archive.save_progress(done=archive.done, bytes=archive.bytes)
    log.info("archive_volume", archive=str(archive.pk), volume=volume.name, records=volume.last - volume.first)


def _finish(archive: Archive, target: Target, requester: Requester) -> None:
    """Record the digest of the index, and only then let the index and its signature have their names."""
    text = index.text_of(archive)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if archive.digest != digest:
        facts = {"volumes": archive.volumes.count(), "bytes": archive.bytes, "digest": digest}
        record_act("created", archive, requester, **_facts(archive), **facts)
        archive.save_progress(digest=digest)
    target.make()
    for name, body in ((index.INDEX, text), (index.SIGNATURE, index.sign(archive, digest))):
        _put_text(target, name, body)
    archive.end("ready")
    shutil.rmtree(target.work, ignore_errors=True)


def _put_text(target: Target, name: str, text: str) -> None:
    """Put a file of text; a run that was cut off may have put it already."""
    if name not in target.list():
        write_file(target.work / name, [text.encode()])
        target.put(name, target.work / name)
        return
    with target.get(name) as path:
        if path.read_bytes() != text.encode():
            raise ArchiveUnusable(
                f"{target}/{name} is there and is another file: take it away, and run the command again."
            )
    target.keep(name)


def _facts(archive: Archive) -> dict[str, Any]:
    """What records of acts on the archive say of it."""
    facts = {"first": archive.first, "last": archive.last, "records": archive.total}
    return facts | {"checkpoint": archive.checkpoint, "size": archive.size, "folder": archive.folder}
