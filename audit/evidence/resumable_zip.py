"""resumable_zip: a zip that grows on the disk, a few files at a time, and can be resumed after a kill.

Nothing in it is compressed, so that a part of it can be fetched, and the same files in the same order are the same
bytes. A zip ends with its directory. `save` copies the directory whenever a volume is whole; `restore` writes the copy
back where the directory stood, over whatever came later. So each byte is written once.
"""

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# A file in a zip has a header of so many bytes before it; the lengths of its name and extra fields come last.
LOCAL_HEADER_BYTES = 30
# The copy of a directory starts with its offset in the zip, a number of so many bytes.
OFFSET_BYTES = 8


@contextmanager
def member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """A new file at the end of the zip, open for writing."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as file:
        yield file


def add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    with path.open("rb") as file, member(archive, name) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


def save(path: Path, number: int) -> None:
    """Sync the zip to the disk, so that `restore` to this number, or to the one before, finds it."""
    sync(path)
    with zipfile.ZipFile(path) as archive, path.open("rb") as file, _saved(path, number).open("wb") as copy:
        file.seek(archive.start_dir)
        copy.write(archive.start_dir.to_bytes(OFFSET_BYTES, "big") + file.read())
        copy.flush()
        os.fsync(copy.fileno())
    _saved(path, number - 2).unlink(missing_ok=True)


def restore(path: Path, number: int) -> bool:
    """Make the zip what it was at `save` of this number; at 0 there is none. False where that is lost."""
    if number == 0:
        path.unlink(missing_ok=True)
        return True
    try:
        saved = _saved(path, number).read_bytes()
        with path.open("r+b") as file:
            offset = int.from_bytes(saved[:OFFSET_BYTES], "big")
            if file.seek(0, os.SEEK_END) < offset:
                return False
            file.truncate(offset)
            file.seek(offset)
            file.write(saved[OFFSET_BYTES:])
    except FileNotFoundError:
        return False
    return True


def locate(path: Path, name: str) -> tuple[int, int]:
    """The offset and the length of the bytes of a file in the zip. Raises `KeyError`."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER_BYTES)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + LOCAL_HEADER_BYTES + lengths, info.file_size


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _saved(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
