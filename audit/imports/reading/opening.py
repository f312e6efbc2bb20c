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
# So much is unzipped at once: of what cannot be unzipped to its end all is lost.
UNZIPPED_BYTES = 16 * 1024
GZIP = b"\x1f\x8b"
STANDARD_INPUT = "-"


class FileUnreadable(AuditError):
    """A file cannot be read."""


class Source:
    """What comes out of a file, unzipped, never more than a part at a time."""

    def __init__(self, file: IO[bytes] | Any, name: str, size: int | None):
        # `size` is that of the file; None where it is not known.
        self._raw, self.name, self.size = file, name, size
        self._file: Any = file
        self._at_once = PART_BYTES
        self._out = 0
        self._fault: Exception | None = None

    def unzipped(self) -> "Source":
        self._file, self._at_once = gzip.GzipFile(fileobj=self._raw), UNZIPPED_BYTES
        return self

    def part(self, size: int = PART_BYTES) -> bytes:
        """Return at most `size` bytes of what comes next; b"" at the end.

        Raises `FileUnreadable`, once all that could be read before is returned.
        """
        pieces: list[bytes] = []
        left = size
        while left and self._fault is None:
            try:
                piece = self._file.read1(min(left, self._at_once))
            except (OSError, EOFError, zlib.error) as error:
                self._fault = error
                break
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        if self._fault is not None and not pieces:
            raise FileUnreadable(f"{self.name} cannot be read after {self._out:,} bytes: {self._fault}")
        self._out += size - left
        return b"".join(pieces)

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
