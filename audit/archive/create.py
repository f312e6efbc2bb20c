"""create: archive a range of the log, a volume at a time, and sign the index of the volumes at the end.

All is read under the one checkpoint that the request found. A volume gets its name when it is whole and on the disk, so
whatever kills the process leaves each volume whole or not there, and the next run goes on behind the last of them.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from audit.archive import index, volumes
from audit.archive.folder import Folder
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


def create(requester: Requester, path: Path, span: Span) -> Archive:
    """Begin an archive of the span in a folder that is empty; no record is read yet. The act is recorded first.

    Where the folder has an unfinished archive of this very span, that is returned. Raises `ArchiveUnusable`,
    `NothingKept`.
    """
    folder = Folder(path)
    if (begun := unfinished(path)) is not None:
        if (begun.first, begun.last) != (span.first, span.last):
            leaves = f"{begun.first} to {begun.last - 1}"
            raise ArchiveUnusable(f"{folder} has an unfinished archive of the leaves {leaves}: finish it first.")
        return begun
    folder.make()
    if there := sorted(folder.list()):
        raise ArchiveUnusable(f"{folder} is not empty, {there[0]} is in it: an archive has a folder of its own.")
    now = datetime.now(UTC)
    archive = Archive(folder=str(folder), first=span.first, last=span.last, requested_by=requester.name)
    archive.checkpoint, archive.size = span.checkpoint.number, span.checkpoint.size
    archive.requested_at = archive.updated_at = now
    record_act("begun", archive, requester, **_facts(archive))
    try:
        archive.save(force_insert=True)
    except IntegrityError:
        raise ArchiveUnusable(f"Another process is making the archive in {folder}: wait for it.") from None
    return archive


def unfinished(path: Path) -> Archive | None:
    """Return the archive that was begun in this folder and is not whole."""
    return Archive.objects.filter(folder=str(Folder(path)), state="running").first()


def resume(archive: Archive, requester: Requester, progress: Progress | None = None) -> Archive:
    """Write what is left of the archive, and the index. It can be cut off anywhere, and called again.

    Raises `ArchiveUnusable` where the folder cannot be written, another process is writing it, or something else lies
    where a volume should; `LogDamaged`, `KeyMissing`, `NothingKept`, and what the database raises.
    """
    folder = Folder(Path(archive.folder))
    folder.make()
    with folder.locked():
        archive.refresh_from_db()
        try:
            _write_volumes(archive, folder, progress or (lambda done, total: None))
            if archive.is_under_way:
                _finish(archive, folder, requester)
        except OSError as error:
            raise ArchiveUnusable(f"{folder} cannot be written: {error.strerror or error}.") from None
    archive.refresh_from_db()
    return archive


def _write_volumes(archive: Archive, folder: Folder, progress: Progress) -> None:
    progress(archive.done, archive.total)
    with Readers() as readers:
        maker = volumes.VolumeMaker(archive, readers, folder.work)
        while archive.done < archive.total:
            number = archive.volumes.count() + 1
            volume = ArchiveVolume(archive=archive, number=number, first=archive.first + archive.done)
            if volume.name not in folder.list():
                folder.put(volume.name, maker.write(volume, _progress_of(archive, progress)))
            with folder.get(volume.name) as path:
                volumes.describe(volume, path)
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


def _finish(archive: Archive, folder: Folder, requester: Requester) -> None:
    """Record the digest of the index, and only then let the index and its signature have their names."""
    text = index.text_of(archive)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if archive.digest != digest:
        facts = {"volumes": archive.volumes.count(), "bytes": archive.bytes, "digest": digest}
        record_act("created", archive, requester, **_facts(archive), **facts)
        archive.save_progress(digest=digest)
    folder.make()
    for name, body in ((index.INDEX, text), (index.SIGNATURE, index.sign(archive, digest))):
        _put_text(folder, name, body)
    archive.end("ready")
    shutil.rmtree(folder.work, ignore_errors=True)


def _put_text(folder: Folder, name: str, text: str) -> None:
    """Put a file of text; a run that was cut off may have put it already."""
    if name not in folder.list():
        write_file(folder.work / name, [text.encode()])
        folder.put(name, folder.work / name)
        return
    with folder.get(name) as path:
        if path.read_bytes() != text.encode():
            raise ArchiveUnusable(f"{path} is there and is another file: take it away, and run the command again.")


def _facts(archive: Archive) -> dict[str, Any]:
    """What records of acts on the archive say of it."""
    facts = {"first": archive.first, "last": archive.last, "records": archive.total}
    return facts | {"checkpoint": archive.checkpoint, "size": archive.size, "folder": archive.folder}
