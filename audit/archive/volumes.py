"""volumes: a volume of an archive, an evidence bundle of a part of its range, whole and not redacted."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.errors import ArchiveUnusable
from audit.evidence import manifest as bundle_manifest
from audit.evidence.record_lines import Readers
from audit.evidence.volumes import VolumeWriter
from audit.models import Archive, ArchiveVolume, Export

# Records of the first file of a volume while nobody knows yet how long records are.
FIRST_RECORDS = 500
# What damaged or foreign files raise where a bundle is expected.
UNREADABLE = (zipfile.BadZipFile, KeyError, TypeError, ValueError, NotImplementedError, OSError)


class VolumeMaker:
    """Makes the volumes of an archive. It remembers how long records are, so that no volume has many more bytes."""

    def __init__(self, archive: Archive, readers: Readers, work: Path):
        self._archive = archive
        self._readers = readers
        self._work = work
        self._record_bytes = 0.0

    def write(self, volume: ArchiveVolume, on_progress: Callable[[int], None]) -> Path:
        """Write the bundle that begins at `volume.first`; return its file. Sets `volume.last`.

        `on_progress` is called with the records that are written; what it raises passes through. Raises `LogDamaged`,
        `KeyMissing`, `OSError`.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(mode=0o700)
        path, bundle = self._work / volume.name, self._bundle(volume)
        writer = VolumeWriter(self._readers, path, size=bundle.size, with_csv=False)
        written, most = 0, settings.ARCHIVE_VOLUME_MB * 1_000_000
        while volume.first + bundle.done < self._archive.last and written < most:
            place = volume.first + bundle.done
            leaves = range(place, min(place + self._fitting(most - written), self._archive.last))
            facts = writer.write(len(bundle.volumes) + 1, leaves, partial(_tell, on_progress, bundle.done))
            bundle.volumes, bundle.done = [*bundle.volumes, facts], bundle.done + len(leaves)
            written = path.stat().st_size
            self._record_bytes = written / bundle.done
        bundle.last = volume.last = volume.first + bundle.done
        manifest, _ = bundle_manifest.write(bundle, self._work)
        bundle_manifest.pack(self._work, manifest, path)
        return path

    def _bundle(self, volume: ArchiveVolume) -> Export:
        """Return the bundle of a volume as if it had been asked for: it has no row of its own."""
        archive = self._archive
        bundle = Export(kind="range", first=volume.first, unredacted=True, requested_by=archive.requested_by)
        bundle.requested_at, bundle.checkpoint, bundle.size = archive.requested_at, archive.checkpoint, archive.size
        return bundle

    def _fitting(self, left: float) -> int:
        """How many records the next file takes: as many as fit, of the length of those before."""
        fitting = int(left / self._record_bytes) if self._record_bytes else FIRST_RECORDS
        return max(min(fitting, settings.EXPORT_VOLUME), 1)


def _tell(on_progress: Callable[[int], None], before: int, written: int) -> None:
    on_progress(before + written)


def describe(volume: ArchiveVolume, path: Path) -> None:
    """Fill in what the file of a volume says of itself. Raises `ArchiveUnusable` where it is another file."""
    archive = volume.archive
    try:
        manifest = read_manifest(path)
        is_ours = manifest["range"]["first"] == volume.first and manifest["log"]["size"] == archive.size
        volume.last = manifest["range"]["last"]
        volume.since, volume.until = manifest["first_event"], manifest["last_event"]
    except UNREADABLE:
        is_ours = False
    if not is_ours or not volume.first < volume.last <= archive.last:
        raise ArchiveUnusable(
            f"{path.name} is there and is not the volume of the leaves from {volume.first} of {archive}: take it away, "
            "and run the command again, or archive to another place."
        )
    volume.bytes, volume.sha256 = path.stat().st_size, sha256(path)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest in the bundle of a volume. Raises one of `UNREADABLE`."""
    with zipfile.ZipFile(path) as bundle:
        manifest: dict[str, Any] = json.loads(bundle.read("manifest.json"))
    return manifest


def damaged(path: Path) -> Iterator[str]:
    """Name the files in a bundle whose bytes are not those that the zip was closed with."""
    try:
        with zipfile.ZipFile(path) as bundle:
            for info in bundle.infolist():
                try:
                    with bundle.open(info) as file:
                        while file.read(1 << 20):
                            pass
                except UNREADABLE:
                    yield info.filename
    except UNREADABLE:
        yield "the directory of the zip"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
