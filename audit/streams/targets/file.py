"""file: lines of JSON in a folder. A file ends once it is large or its UTC day is over, and the next one begins.

What was written is on the disk before the cursor moves. After a kill a torn line is cut off, and the target goes on
behind its last whole one.
"""

import errno
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from audit.evidence import resumable_zip
from audit.streams.config import Options
from audit.streams.faults import Misconfigured, TargetFault, Unavailable
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken

# The end of a file is read back so far at once, to look for its last line.
PIECE_BYTES = 64 * 1024
# No line is longer: a record's data has 1 MiB at most, and twice that once it is escaped.
MAX_LINE_BYTES = 16 * 1024 * 1024


class FileTarget:
    """A folder, written by one process. Files are named by day and by the log entry that they begin with."""

    def __init__(self, options: Options):
        folder = options.path("folder")
        if folder is None:
            raise options.fault("folder", "is missing")
        self.folder = folder.resolve()
        self._most_bytes = options.integer("max_mb", 100, least=1, most=100_000) * 1024 * 1024
        self._name = options.name
        self._file: IO[bytes] | None = None
        self._day, self._size = "", 0

    @property
    def place(self) -> str:
        return str(self.folder)

    def resume(self) -> Taken | None:
        """Cut a torn line off the newest file, and name the last whole line. Raises `TargetFault`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in sorted(self._files(), reverse=True):
                if last := _mend(path):
                    line = Line(0, last)
                    return Taken(int(line.document()["leaf_index"]), line.event_id)
        except (KeyError, ValueError) as error:
            raise self._foreign(error) from None
        except OSError as error:
            raise _fault(error, self.folder) from None
        return None

    def send(self, lines: Sequence[Line]) -> None:
        body = b"".join(line.body + b"\n" for line in lines)
        try:
            file = self._open(lines[0].leaf)
            try:
                # A disk that fills up takes what it has room for, and says no more than how much that was.
                if file.write(body) != len(body):
                    raise OSError(errno.ENOSPC, "a file took a part only: is the disk full?")
                os.fsync(file.fileno())
            except OSError:
                # A part of it may be there: it must not become the beginning of the next line.
                os.ftruncate(file.fileno(), self._size)
                raise
        except ValueError as error:
            raise self._foreign(error) from None
        except OSError as error:
            self.close()
            raise _fault(error, self.folder) from None
        self._size += len(body)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _foreign(self, error: Exception) -> Misconfigured:
        return Misconfigured(f"{self.folder}: its newest file is none of a stream: {error}")

    def _open(self, index: int) -> IO[bytes]:
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        if self._file is not None and self._day == day and self._size < self._most_bytes:
            return self._file
        self.close()
        self._day = day
        path = self._newest(day) or self.folder / f"{self._name}-{day}-{index:012}.jsonl"
        # It need not be the newest, which was mended: a target that was placed back is given older ones again.
        if path.exists():
            _mend(path)
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        resumable_zip.sync(self.folder)
        return self._file

    def _files(self, day: str = r"\d{4}-\d\d-\d\d") -> list[Path]:
        """The files of this target, and of none whose name begins like its own."""
        name = re.compile(rf"{re.escape(self._name)}-{day}-\d{{12,}}\.jsonl")
        return [path for path in self.folder.glob(f"{self._name}-*.jsonl") if name.fullmatch(path.name)]

    def _newest(self, day: str) -> Path | None:
        """The file of the day to go on in, if it has room."""
        path = max(self._files(day), default=None)
        return path if path is not None and path.stat().st_size < self._most_bytes else None


def _mend(path: Path) -> bytes:
    """Cut what follows the last line end off a file; return its last line, b"" where it has none."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        tail = b""
        while True:
            place = max(end - PIECE_BYTES, 0)
            file.seek(place)
            tail = file.read(end - place) + tail
            end = place
            whole = tail.rfind(b"\n") + 1
            begins = tail.rfind(b"\n", 0, whole - 1) + 1 if whole else 0
            if (whole and begins) or not place:
                break
            if len(tail) > MAX_LINE_BYTES:
                raise ValueError(f"{path.name} has a line of more than {MAX_LINE_BYTES} bytes")
        kept = end + whole
        if kept < size:
            file.truncate(kept)
            os.fsync(file.fileno())
        return tail[begins : whole - 1] if whole else b""


def _fault(error: OSError, folder: Path) -> TargetFault:
    text = f"{folder} cannot be written: {error.strerror}"
    return Misconfigured(text) if isinstance(error, (PermissionError, NotADirectoryError)) else Unavailable(text)
