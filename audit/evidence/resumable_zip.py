"""resumable_zip: a zip that grows on the disk, a few files at a time, and is gone on with after a kill.

Nothing in it is compressed, so that a part of it can be fetched, and the same files in the same order are the same
bytes. What makes a zip of them is the list at its end: a copy of that is kept whenever something is whole, and is put
back where it stood then, over what came later. So each byte is written once.
"""

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCAL_HEADER = 30
"""The bytes of what stands before each file in a zip; the lengths of its name and of more come last."""
PLACE = 8
"""The bytes of a number before the copy of a list: where in the zip it stands."""


@contextmanager
def member(whole: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """A file at the end of the zip, to be written."""
    facts = zipfile.ZipInfo(name)
    facts.external_attr = 0o644 << 16
    with whole.open(facts, "w", force_zip64=True) as file:
        yield file


def add(whole: zipfile.ZipFile, name: str, path: Path) -> None:
    """Put a file of the disk at the end of the zip."""
    with path.open("rb") as file, member(whole, name) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


def keep(path: Path, number: int) -> None:
    """What is in the zip now is on the disk, and `back` to this number finds it, or to the one before."""
    sync(path)
    with zipfile.ZipFile(path) as whole, path.open("rb") as file, _list(path, number).open("wb") as copy:
        file.seek(whole.start_dir)
        copy.write(whole.start_dir.to_bytes(PLACE, "big") + file.read())
        copy.flush()
        os.fsync(copy.fileno())
    _list(path, number - 2).unlink(missing_ok=True)


def back(path: Path, number: int) -> bool:
    """Make the zip again what it was when this number was kept, at 0 nothing; False where that is there no more."""
    if number == 0:
        path.unlink(missing_ok=True)
        return True
    try:
        kept = _list(path, number).read_bytes()
        with path.open("r+b") as file:
            place = int.from_bytes(kept[:PLACE], "big")
            if file.seek(0, os.SEEK_END) < place:
                return False
            file.truncate(place)
            file.seek(place)
            file.write(kept[PLACE:])
    except FileNotFoundError:
        return False
    return True


def place(path: Path, name: str) -> tuple[int, int]:
    """Where in the zip the bytes of one of its files are: its offset and length. Raises `KeyError`."""
    with zipfile.ZipFile(path) as whole:
        facts = whole.getinfo(name)
    with path.open("rb") as file:
        file.seek(facts.header_offset)
        header = file.read(LOCAL_HEADER)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return facts.header_offset + LOCAL_HEADER + lengths, facts.file_size


def sync(path: Path) -> None:
    """A file, or the names in a folder, are on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _list(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
