"""A file, plain or in gzip, read in parts."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from audit.errors import AuditError

PART_BYTES = 1024 * 1024
GZIP = b"\x1f\x8b"
STANDARD_INPUT = "-"


class FileUnreadable(AuditError):
    """A file cannot be read."""


class Source:
    """What comes out of a file, unzipped, never more than a part at a time."""

    def __init__(self, file: IO[bytes] | Any, name: str, size: int | None):
        # `size` is that of the file; None where it is not known.
        self._file, self._raw, self.name, self.size = file, file, name, size
        self._out = 0

    def unzipped(self) -> "Source":
        self._file = gzip.GzipFile(fileobj=self._raw)
        return self

    def part(self, size: int = PART_BYTES) -> bytes:
        """Return at most `size` bytes of what comes next; b"" at the end. Raises `FileUnreadable`."""
        try:
            part: bytes = self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise FileUnreadable(f"{self.name} cannot be read after {self._out:,} bytes: {error}") from None
        self._out += len(part)
        return part

    def passed(self) -> int | None:
        """How many bytes of the file itself were read, of its `size`; None where that is not known."""
        return None if self.size is None else self._raw.tell()


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """Open a file by its path, or standard input by `-`. Raises `FileUnreadable`."""
    with ExitStack() as stack:
        yield _open(name, stack)


def _open(name: str, stack: ExitStack) -> Source:
    if name == STANDARD_INPUT:
        return Source(sys.stdin.buffer, "standard input", None)
    path = Path(name)
    try:
        file = stack.enter_context(path.open("rb"))
        begin = file.read(len(GZIP))
        file.seek(0)
        source = Source(file, name, path.stat().st_size)
    except IsADirectoryError:
        raise FileUnreadable(f"{name} is a folder: name the files in it") from None
    except OSError as error:
        raise FileUnreadable(f"{name} cannot be opened: {error.strerror}") from None
    return source.unzipped() if begin == GZIP else source
