"""The local tier: files that are only appended to, and on the disk before anything is promised.

Each process writes a file of its own, `NAME.spool`, which it keeps locked while it lives. A line is the CRC-32 of an
event in eight hexadecimal digits, a space, and the event as JSON. A last line without its end was never promised. What
another process left behind, killed or ended, is taken over by whoever gets its lock first.
"""

import contextlib
import fcntl
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from auditclient.errors import Closed
from auditclient.ids import epoch

SEGMENT_BYTES = 1 << 20
SUFFIX = ".spool"
READ_BYTES = 1 << 16


class Line(NamedTuple):
    """One line of a segment: its event, None where it is damaged, the raw bytes, and where the next line begins."""

    body: bytes | None
    raw: bytes
    end: int


class Segment:
    """One file of the spool, locked until it is closed. Positions only grow, also where the file was emptied."""

    def __init__(self, path: Path, descriptor: int):
        self.path = path
        self._descriptor = descriptor
        self._sync_lock = threading.Lock()
        # The position of the first byte of the file.
        self._base = 0
        # The position after the last line that was promised; of a file taken over, all that is there.
        self.written = os.fstat(descriptor).st_size
        self._synced = 0
        # Everything before it is kept elsewhere.
        self.shipped = 0
        # The file may hold more than was promised, a line in hand or one that could not be cut off: nothing may follow.
        self.is_broken = False

    @classmethod
    def create(cls, folder: Path) -> "Segment":
        """Make a new file that is on the disk itself. Raises `OSError`."""
        while True:
            name = f"{time.time_ns():020}-{socket.gethostname()[:40]}-{os.getpid()}{SUFFIX}"
            descriptor = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
            # Until it is locked it looks as if its process were gone: another may have taken it over, and removed it.
            if (created := cls._locked(folder / name, descriptor)) is not None:
                try:
                    sync_folder(folder)
                except BaseException:
                    created.close(remove=False)
                    raise
                return created

    @classmethod
    def take_over(cls, path: Path) -> "Segment | None":
        """Return what another process left; None where that lives, or somebody else has it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        return cls._locked(path, descriptor)

    @classmethod
    def _locked(cls, path: Path, descriptor: int) -> "Segment | None":
        """Lock an open file; None, and it is closed, where somebody else has it or removed it before."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self.written - self._base

    def append(self, line: bytes) -> int:
        """Append a line whole or not at all; return the position after it. One thread at a time. Raises `OSError`.

        A signal's handler may raise after any call here, also when the whole line is in the file: it is cut off again,
        for the next event gets its number. After the last write nothing is called: CPython runs no handler between the
        promise of the line and the caller's use of its number.
        """
        length = len(line)
        end = self.written + length
        self.is_broken = True
        try:
            done = os.write(self._descriptor, line)
            while done < length:
                done += os.write(self._descriptor, line[done:])
            self.written = end
        except BaseException:
            self._cut_off()
            raise
        self.is_broken = False
        return end

    def sync(self, position: int) -> None:
        """Return when the disk has everything before this position. Threads that wait share one flush."""
        with self._sync_lock:
            if self._synced < position:
                reached = self.written
                os.fdatasync(self._descriptor)
                self._synced = reached

    def is_synced(self) -> bool:
        """Whether the disk has everything."""
        return self._synced >= self.written

    def lines(self) -> Iterator[Line]:
        """Yield the whole lines after what was shipped, as far as they were promised: a line in hand may yet go."""
        position, pending = self.shipped, b""
        while data := self._read(position + len(pending)):
            *whole, pending = (pending + data).split(b"\n")
            for raw in whole:
                position += len(raw) + 1
                yield Line(_body(raw), raw, position)

    def empty(self) -> None:
        """Begin the file anew, once everything in it was shipped: a restart then repeats nothing. Nobody may append."""
        os.ftruncate(self._descriptor, 0)
        self._base = self.written

    def close(self, *, remove: bool) -> None:
        """Let it go; without `remove` it waits for whoever takes it over."""
        if remove:
            self.path.unlink(missing_ok=True)
        elif self.is_broken:
            self._cut_off()  # who takes it over reads to the end, and another event has the number
        os.close(self._descriptor)

    def forget(self) -> None:
        """In the child of a fork: close the descriptor that it inherited. The lock stays with the parent."""
        os.close(self._descriptor)

    def _read(self, position: int) -> bytes:
        """Read on from here; nothing where that is the end of what was promised, or of the file."""
        left = self.written - position
        return os.pread(self._descriptor, min(left, READ_BYTES), position - self._base) if left > 0 else b""

    def _cut_off(self) -> None:
        """Cut off what was not promised. Where that fails the segment stays broken; what was raised before matters."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self.size)
            self.is_broken = False


class Appended(msgspec.Struct, frozen=True):
    """An event in a file: which, the position after it, and its number."""

    segment: Segment
    end: int
    number: int


class Writer:
    """Numbers events and appends them: one for each depth at which a thread can be interrupted while it records.

    A signal handler that records while its thread is recording would wait for itself: it gets the writer of the next
    depth, with a file and an epoch of its own.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self.lock = threading.Lock()
        self.epoch = epoch()
        self._end = b',"source_seq":%%d,"source_epoch":"%b"}' % self.epoch.encode()
        # The last number; of those given out how many went into files, and how many past them, to the end of their way.
        self.sequence = 0
        self.spooled = 0
        self.past = 0
        # How many events have left the files.
        self.delivered = 0
        # A number was given out to go past the files, and not all is out since: order says nothing of what is.
        self._is_mixed = False
        self.is_closed = False
        # All files of this writer, the newest last; only the newest grows.
        self.segments: list[Segment] = []

    def out(self) -> int:
        """Return a number up to which none is on its way any more: each is elsewhere, or was refused to its caller."""
        with self.lock:
            reached = self.delivered + self.past
            self._is_mixed = self._is_mixed and reached != self.sequence
            return 0 if self._is_mixed else reached

    def append(self, body: bytes, number: int | None = None) -> "Appended":
        """Append an event with the next number, or the one that it was given to go past the files.

        Raises `OSError`, `Closed`: no number is used then.
        """
        with self.lock:
            segment = self._open()
            at = self.sequence + 1 if number is None else number
            numbered = self.numbered(body, at)
            end = segment.append(b"%08x %b\n" % (zlib.crc32(numbered), numbered))
            self.sequence = max(self.sequence, at)
            self.spooled += 1
            return Appended(segment, end, at)

    def take_number(self) -> int:
        """Return the next number, for an event that is to go past the files, where they did not take it before.

        It stays that event's: a tier that did not answer may have it under that number.
        """
        with self.lock:
            self.sequence += 1
            self._is_mixed = True
            return self.sequence

    def end_past(self) -> None:
        """Note that an event with such a number is elsewhere, or was refused to its caller, and is in no file."""
        with self.lock:
            self.past += 1

    def numbered(self, body: bytes, number: int) -> bytes:
        """Return the event with its number: the same bytes each time."""
        return body[:-1] + self._end % number

    def let_go(self, segment: Segment) -> None:
        """Of a file of which everything was shipped: remove it, or empty it where it may still grow."""
        with self.lock:
            if segment.shipped < segment.written:
                return
            if segment is self.segments[-1]:
                if segment.size:
                    segment.empty()
            else:
                self.segments.remove(segment)
                segment.close(remove=True)

    def close(self) -> int:
        """Let go of all files; return how many still hold events."""
        with self.lock:
            self.is_closed = True
            left = 0
            for segment in self.segments:
                is_shipped = segment.shipped >= segment.written
                segment.close(remove=is_shipped)
                left += not is_shipped
            self.segments.clear()
            return left

    def forget(self) -> None:
        """In the child of a fork: let go of the files of the parent."""
        for segment in self.segments:
            segment.forget()

    def _open(self) -> Segment:
        if self.is_closed:
            raise Closed
        if not self.segments or self.segments[-1].is_broken or self.segments[-1].size >= SEGMENT_BYTES:
            self.segments.append(Segment.create(self._folder))
        return self.segments[-1]


def abandoned(folder: Path, own: set[Path]) -> Iterator[Segment]:
    """Take over the files of processes that are gone, the oldest first; one that cannot be opened keeps none back.

    Raises its `OSError`, after all others.
    """
    fault: OSError | None = None
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path in own:
            continue
        try:
            segment = Segment.take_over(path)
        except OSError as error:
            fault = fault or error
            continue
        if segment is not None:
            yield segment
    if fault is not None:
        raise fault


def size(folder: Path) -> int:
    """Return how many bytes wait in the folder."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size if entry.name.endswith(SUFFIX) else 0
            except FileNotFoundError:
                continue  # shipped meanwhile
    return total


def waiting(path: Path) -> int:
    """Return how many events a file holds, whoever has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        segment = Segment(path, descriptor)
        return sum(1 for _ in segment.lines())
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder: a new or removed file is on the disk only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _body(raw: bytes) -> bytes | None:
    checksum, _, body = raw.partition(b" ")
    try:
        return body if int(checksum, 16) == zlib.crc32(body) else None
    except ValueError:
        return None
