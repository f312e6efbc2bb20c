"""read: read an archive back into the table of archived records, to search in it; `forget` takes that away again.

Each volume is proved before a line of it is read, and is in the table whole or not at all. Of what can be erased the
commitments are read back, and no values: so there is no copy of them that an erasure would have to reach.
"""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from audit.archive import check, index, volumes
from audit.archive.create import Progress
from audit.archive.folder import Target
from audit.archive.index import Index, IndexFault
from audit.archive.places import Place, target_of
from audit.errors import ArchiveUnusable
from audit.evidence.erasure import lines as erasable_lines
from audit.evidence.request import Requester, record_act
from audit.models import Archive, ArchiveVolume
from audit.postgres import sql
from audit.postgres.portions import portions

# What one statement inserts; the application's statements have little time.
INSERT_BYTES = 1 << 20
# A line has the members of a record; the table has them under the same names but for these.
_INSERT = """
INSERT INTO audit_archived_record
SELECT r.* FROM jsonb_array_elements(%(lines)s::jsonb) line, LATERAL jsonb_populate_record(
    NULL::audit_archived_record,
    line || jsonb_build_object(
        'archive_id', %(archive)s::text, 'id', line -> 'event_id', 'digest', '\\x' || (line ->> 'digest'))
) r
"""


def read(requester: Requester, place: Place, number: int | None = None, progress: Progress | None = None) -> Archive:
    """Read an archive back, all of it or the volume of this number; what was read before is left. Recorded first.

    It can be cut off anywhere, and called again. Raises `ArchiveUnusable` where the store does not know the archive, or
    a volume does not hold; `KeyMissing`, `NothingKept`, and what the database raises.
    """
    target = target_of(place)
    archive, signed = _open(target)
    wanted = [volume for volume in archive.volumes.all() if number in (None, volume.number)]
    if not wanted:
        raise ArchiveUnusable(f"The archive has no volume {number}: it has {archive.volumes.count()}.")
    record_act("read", archive, requester, folder=str(target), volume=number)
    sql.rows("SELECT audit_read_archive(%s)", [archive.pk])
    done, total = 0, sum(volume.last - volume.first for volume in wanted)
    tell = progress or (lambda done, total: None)
    for volume in wanted:
        tell(done, total)
        if volume.read_at is None:
            _read_volume(target, volume, signed)
        done += volume.last - volume.first
    tell(done, total)
    return archive


def forget(requester: Requester, archive: Archive) -> None:
    """Remove the archived records of an archive from the table; the archive itself stays. Recorded first.

    Raises `NothingKept`, and `OperationalError` where somebody searches in it for longer than five seconds.
    """
    record_act("forgotten", archive, requester)
    with transaction.atomic():
        sql.rows("SELECT audit_forget_archive(%s)", [archive.pk])
        archive.volumes.update(read_at=None)


def _open(target: Target) -> tuple[Archive, Index]:
    try:
        signed = index.read(target)
    except IndexFault as error:
        raise ArchiveUnusable(f"{target} holds no archive that can be read: {error}.") from None
    archive = Archive.objects.filter(pk=signed.id, state="ready", digest=signed.digest).first()
    if archive is None:
        raise ArchiveUnusable(f"This store does not know the archive in {target}: run `manage.py archive check` first.")
    return archive, signed


def _read_volume(target: Target, volume: ArchiveVolume, signed: Index) -> None:
    try:
        with target.get(volume.name) as path:
            if (fault := next(check.faults_of_file(path, volume, signed), None)) is not None:
                raise ArchiveUnusable(f"Nothing is read from a volume that does not hold. {fault}")
            _read_file(path, volume)
    except FileNotFoundError:
        raise ArchiveUnusable(f"Nothing is read: {check.missing(volume)}") from None


def _read_file(path: Path, volume: ArchiveVolume) -> None:
    with transaction.atomic():
        for batch in portions(_lines(path), len, most=INSERT_BYTES):
            lines = f"[{','.join(line.decode() for line in batch)}]"
            sql.run(_INSERT, {"lines": lines, "archive": volume.archive_id})
        if volumes.sha256(path) != volume.sha256:
            raise ArchiveUnusable(f"{volume.name} was changed while it was read: nothing of it is kept.")
        volume.read_at = datetime.now(UTC)
        volume.save(update_fields=["read_at"])


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of all records in the bundle of a volume, without what can be erased of them."""
    with zipfile.ZipFile(path) as bundle:
        manifest: dict[str, Any] = json.loads(bundle.read("manifest.json"))
        for part in manifest["volumes"]:
            with bundle.open(part["records"]) as file:
                yield from map(erasable_lines.closed, file)


def archive_of(text: str) -> Archive:
    """Return the archive of an id, or the one made in a place. Raises `ArchiveUnusable`."""
    try:
        found = Archive.objects.filter(pk=UUID(text)).first()
    except ValueError:
        found = Archive.objects.filter(folder=str(target_of(text))).first()
    if found is None:
        raise ArchiveUnusable(f"There is no archive {text}: `manage.py archive list` names them.")
    return found
