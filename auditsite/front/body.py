"""A request's body as it comes: in memory while it is small, in a file when it is not."""

import io
import tempfile
from typing import IO

from auditsite.front import bounds


class Body:
    """Bytes that are added until all have come."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self._file is None and self.size <= bounds.MEMORY_BYTES:
            self._parts.append(part)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the request)
            self._file.write(b"".join(self._parts))
            self._parts.clear()
        self._file.write(part)

    def open(self) -> IO[bytes]:
        """Return a file to read all of it from."""
        if self._file is None:
            return io.BytesIO(b"".join(self._parts))
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Unread(io.RawIOBase):
    """The body of a request that is refused before it is read: whoever reads it all the same gets an error."""

    def read(self, size: int = -1) -> bytes:
        raise OSError("The body was not read: the request was to be refused without it.")

    def readline(self, size: int | None = -1) -> bytes:
        raise OSError("The body was not read: the request was to be refused without it.")
