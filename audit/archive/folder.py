"""folder: where the files of an archive lie. They are put, read and listed, and never written over or removed."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from audit.buckets.storage import Lock, Version
from audit.errors import ArchiveUnusable
from audit.evidence import resumable_zip

# What is not whole yet lies in here, and is no part of the archive.
WORK = ".making"


class Target(Protocol):
    """Some storage that keeps the files of one archive. All but `put` and `get` raise `ArchiveUnusable`."""

    @property
    def work(self) -> Path:
        """The folder for what is not whole yet."""

    @property
    def has_lock(self) -> bool | None:
        """Whether files are locked here, so that nobody removes them; None where there is no such thing."""

    def make(self) -> None:
        """See that files can be put here."""

    def put(self, name: str, file: Path) -> None:
        """Take over a file that is on the disk, whole or not at all. Raises `FileExistsError`, `ArchiveUnusable`."""

    def keep(self, name: str) -> None:
        """See that a file that was put is locked, also where a process was killed after it had put it."""

    @contextmanager
    def get(self, name: str, version: str = "") -> Iterator[Path]:
        """Give a file to be read, or a version of it. Raises `FileNotFoundError`, `ArchiveUnusable`."""

    def list(self) -> dict[str, int]:
        """Name each file, with its bytes."""

    def versions(self, name: str) -> Sequence[Version]:
        """What is kept under a name, newest first; nothing where the storage keeps no versions."""

    def lock_of(self, name: str) -> Lock | None:
        """The lock of a file. Raises `FileNotFoundError`, `ArchiveUnusable`."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from making an archive here, for as long as this process lives."""


class Folder:
    """A folder on a disk, made for its owner alone: what lies in it is not redacted."""

    has_lock = None

    def __init__(self, path: Path):
        self.path = path.resolve()

    def __str__(self) -> str:
        return str(self.path)

    @property
    def work(self) -> Path:
        """The folder for what is not whole yet, on the same disk, so that `put` is a change of name."""
        return self.path / WORK

    def make(self) -> None:
        """Make the folder, where there is none. Raises `ArchiveUnusable`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.work.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ArchiveUnusable(f"{self.path} cannot be written: {error.strerror}.") from None

    def put(self, name: str, file: Path) -> None:
        if (self.path / name).exists():
            raise FileExistsError(f"{self.path / name} is there already, and nothing here is written over")
        resumable_zip.sync(file)
        file.rename(self.path / name)
        resumable_zip.sync(self.path)

    def keep(self, name: str) -> None:
        pass

    @contextmanager
    def get(self, name: str, version: str = "") -> Iterator[Path]:
        if not (self.path / name).is_file():
            raise FileNotFoundError(name)
        yield self.path / name

    def list(self) -> dict[str, int]:
        files = {path.relative_to(self.path): path for path in self.path.rglob("*") if path.is_file()}
        return {name.as_posix(): path.stat().st_size for name, path in files.items() if name.parts[0] != WORK}

    def versions(self, name: str) -> Sequence[Version]:
        return []

    def lock_of(self, name: str) -> Lock | None:
        return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from making an archive here. The kernel gives way when the process ends.

        Raises `ArchiveUnusable` where another process is making one.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveUnusable(f"Another process is at work in {self.path}: wait for it.") from None
            yield
        finally:
            os.close(descriptor)
