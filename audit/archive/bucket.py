"""bucket: an archive below a prefix of a bucket of S3-compatible storage, each file locked where the bucket locks.

Files lie on this machine only while they are made, sent or read, in a folder of their own for its owner alone.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

from audit.buckets import address
from audit.buckets.bucket import Bucket
from audit.buckets.faults import BucketFault
from audit.buckets.storage import Lock, Version
from audit.errors import ArchiveUnusable
from audit.postgres import session_lock
from audit.retention import policy


class BucketTarget:
    """A prefix of a bucket. Nothing in it is written over or removed."""

    def __init__(self, text: str):
        try:
            self._bucket = Bucket(address.read(text), settings.S3)
        except ValueError as error:
            raise ArchiveUnusable(f"This is no place to keep files in: {error}.") from None
        self._has_lock: bool | None = None

    def __str__(self) -> str:
        return str(self._bucket)

    @property
    def work(self) -> Path:
        """The folder on this machine for what is not whole yet: of this user, and of this archive."""
        name = hashlib.sha256(str(self).encode()).hexdigest()[:16]
        return _temporary() / f"auditsite-archive-{os.getuid()}-{name}"

    @property
    def has_lock(self) -> bool:
        """Whether the bucket locks. Raises `ArchiveUnusable`."""
        if self._has_lock is None:
            with _told():
                self._has_lock = self._bucket.has_lock()
        return self._has_lock

    def make(self) -> None:
        """See that files can be put here, locked as the settings ask. Raises `ArchiveUnusable`."""
        if settings.ARCHIVE_LOCK.is_required and not self.has_lock:
            raise ArchiveUnusable(
                f"{self}: the bucket has no object lock, and ARCHIVE_LOCK_REQUIRED asks for it: make a bucket with "
                "object lock, which most servers allow only when it is made."
            )
        if self.has_lock:
            _require_days()
        try:
            self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
            seen = self.work.lstat()
        except OSError as error:
            raise ArchiveUnusable(f"{self.work} cannot be written: {error.strerror}. See S3_WORK_DIR.") from None
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
            raise ArchiveUnusable(f"{self.work} is not a folder for its owner alone: take it away. See S3_WORK_DIR.")

    def put(self, name: str, file: Path) -> None:
        with _told():
            self._bucket.put(name, file, self._lock() if self.has_lock else None)
        file.unlink()

    def keep(self, name: str) -> None:
        with _told():
            if self.has_lock and self._bucket.lock_of(name) is None:
                self._bucket.lock(name, self._bucket.versions(name)[0].id, self._lock())

    @contextmanager
    def get(self, name: str, version: str = "") -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="auditsite-archive-", dir=_temporary()) as folder:
            path = Path(folder) / Path(name).name
            with _told():
                self._bucket.get(name, path, version)
            yield path

    def list(self) -> dict[str, int]:
        with _told():
            return self._bucket.list()

    def versions(self, name: str) -> Sequence[Version]:
        with _told():
            return self._bucket.versions(name)

    def lock_of(self, name: str) -> Lock | None:
        with _told():
            return self._bucket.lock_of(name) if self.has_lock else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from making an archive here, by a lock in PostgreSQL; take back what a killed process began.

        Raises `ArchiveUnusable` where another process is making one.
        """
        with session_lock.tried(f"auditsite archive {self}") as is_ours:
            if not is_ours:
                raise ArchiveUnusable(f"Another process is at work in {self}: wait for it.")
            with _told():
                self._bucket.take_back()
            yield

    def _lock(self) -> Lock:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=settings.ARCHIVE_LOCK.days, seconds=1)
        return Lock(settings.ARCHIVE_LOCK.mode, until)


def _require_days() -> None:
    """Files are locked for no shorter than records are kept at least. Raises `ArchiveUnusable`."""
    longest = max((floor.days for floor in policy.current()), default=0)
    if settings.ARCHIVE_LOCK.days < longest:
        raise ArchiveUnusable(
            f"ARCHIVE_LOCK_DAYS is {settings.ARCHIVE_LOCK.days}, and records are kept for {longest} days at least: "
            "files are locked for as long as that, or longer."
        )


def _temporary() -> Path:
    return Path(settings.S3.work_dir or tempfile.gettempdir())


@contextmanager
def _told() -> Iterator[None]:
    """What a bucket did not do, as a fault of archives."""
    try:
        yield
    except BucketFault as fault:
        raise ArchiveUnusable(str(fault)) from None
