"""The third tier: local files that take what neither the database nor Redis could.

Each process that writes has a file, only appended to, and flushed to the disk before anything is acknowledged. Each
line names the SHA-256 of the line before it, so that a change or a hole shows. A drain closes a file by renaming it,
brings its documents to the store or the queue, and only then removes it: a crash in between brings them twice, which is
harmless. Each line is signed as an entry of the queue is (`dlq.authenticity`).

    NAME.spool    open: its process may add to it
    NAME.closed   being drained
    NAME.damaged  drained as far as it could be read, and left for a person
    NAME.kept     copies of what waits in Redis for more than seven days; nothing removes them
"""

import base64
import errno
import fcntl
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import structlog
from django.conf import settings

from dlq import metrics, policy
from dlq.authenticity import sign
from dlq.errors import Refused
from dlq.message import MOST_ATTEMPTS, Document, Message, are_attempts, is_text, microseconds, readable_moment
from dlq.scripts import refusing
from dlq.stream import Stream

log = structlog.get_logger(__name__)

# What the first line of a file names as the hash of the line before it.
FIRST_HASH = bytes(32).hex()
# The folder is counted again after a second, and the later the longer that takes: 5 % of the time at most.
RECOUNT_S = 1.0
RECOUNT_COSTS = 20.0
WAITING_SUFFIXES = (".spool", ".closed", ".damaged")
# Keeps documents elsewhere, durably when it returns; raises what stands against it.
Bring = Callable[[list[Message]], None]


class Reader:
    """The documents of a file, in order. A last line without its end was never acknowledged, and is left out."""

    def __init__(self, path: Path):
        self._path = path
        # What could not be read so far, or does not follow the line before it, by the number of the line.
        self.damage: list[str] = []

    def __iter__(self) -> Iterator[Message]:
        last = FIRST_HASH
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return
                yield from self._read(number, line[:-1], last)
                last = hashlib.sha256(line[:-1]).hexdigest()

    def _read(self, number: int, line: bytes, last: str) -> Iterator[Message]:
        try:
            row = json.loads(line)
            message = _message(row, number)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            self.damage.append(f"line {number} cannot be read ({type(error).__name__})")
            return
        if row.get("previous") != last:
            self.damage.append(f"line {number} does not follow the line before it")
        yield message


def append(documents: Sequence[Document], *, reason: str) -> None:
    """Append the documents to this process's file: on the disk when it returns. Raises `Refused`."""
    now = int(time.time() * 1000)
    rows = [_row(document, {"at": now, "reason": reason}) for document in documents]
    with _refusing():
        _of_process().append(rows)
    metrics.spooled.inc(len(documents))


def keep(messages: Sequence[Message]) -> None:
    """Write copies of messages that are still in Redis, with their history, for good. Raises `Refused`."""
    rows = []
    for message in messages:
        history = {"reason": message.reason, "attempts": message.attempts, "errors": message.errors}
        rows.append(_row(message, {"at": int(message.id.partition("-")[0]), **history}))
    with _refusing():
        _Writer(_folder(), "kept").append(rows)


def keep_old(queue: Stream) -> int:
    """Copy what waits for more than seven days, each message once; return how many. All of it stays in Redis.

    Raises `Refused`, also where there is no spool.
    """
    count, place = 0, queue.keys.copied
    with refusing():
        reached = (queue.redis.hget(place, "id") or b"0-0").decode()
    for page in queue.pages.older_than(policy.LONGEST_WAIT_S, chunk=settings.DLQ_BATCH, after=reached):
        keep(page)
        count += len(page)
        queue.put(place, "id", page[-1].id)
    return count


def empty(bring: Bring, *, answers: Callable[[], bool]) -> int:
    """Hand the documents of all open and closed files to `bring`, oldest file first; return how many.

    Where files wait, `answers` is asked first whether anybody could take them: while nobody does, the files stay open,
    so that a long outage leaves one large file a process, and not one at each attempt. Raises what `bring` raises: then
    the file stays. A file that another process is emptying is left to it.
    """
    if settings.DLQ_SPOOL_DIR is None or not _anything_waits() or not answers():
        return 0
    _close_open_files()
    return sum(_empty(path, bring) for path in sorted(_folder().glob("*.closed")))


def size() -> tuple[int, int]:
    """Return how many files wait for a drain or a person, and their bytes; not those with copies. Raises `Refused`."""
    lengths = []
    with _refusing():
        for path in _folder().iterdir():
            # A drain may remove it while we look.
            with suppress(FileNotFoundError):
                if path.suffix in WAITING_SUFFIXES and (length := path.stat().st_size):
                    lengths.append(length)
    return len(lengths), sum(lengths)


def has_room() -> bool:
    """Whether the folder can be written to, and is below its bound."""
    try:
        return os.access(_folder(), os.W_OK | os.X_OK) and size()[1] < settings.DLQ_SPOOL_MAX_MB * 2**20
    except Refused:
        return False


class _Writer:
    """The open file of one process. Threads take turns."""

    def __init__(self, folder: Path, suffix: str = "spool"):
        self._folder = folder
        self._suffix = suffix
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._last = FIRST_HASH
        self._length = 0
        # What the folder held when it was last counted, with what was written since, and when to count it again.
        self._held = 0
        self._recount_at = 0.0

    def append(self, rows: list[dict[str, Any]]) -> None:
        with self._lock, self._open() as file:
            lines, last = [], self._last
            for row in rows:
                line = json.dumps({"previous": last, **row}, separators=(",", ":")).encode()
                last = hashlib.sha256(line).hexdigest()
                lines.append(line + b"\n")
            data = b"".join(lines)
            if self._suffix == "spool" and self._size() + len(data) > settings.DLQ_SPOOL_MAX_MB * 2**20:
                raise Refused(f"The spool is full (DLQ_SPOOL_MAX_MB is {settings.DLQ_SPOOL_MAX_MB}).")
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, "the file took a part only")
                os.fsync(file.fileno())
            except OSError:
                self._undo(file)
                raise
            self._last, self._length, self._held = last, self._length + len(data), self._held + len(data)

    def _size(self) -> int:
        """Return the bytes in the folder: counted a moment ago, for to count at each append costs more each time."""
        started = time.monotonic()
        if started >= self._recount_at:
            self._held = size()[1]
            ended = time.monotonic()
            self._recount_at = ended + max(RECOUNT_S, RECOUNT_COSTS * (ended - started))
        return self._held

    def _undo(self, file: BinaryIO) -> None:
        """Cut off half a line, so that none stands before the next one; where that fails, go on in a new file."""
        try:
            os.ftruncate(file.fileno(), self._length)
        except OSError:
            self._path = None

    def _open(self) -> BinaryIO:
        """Return this process's file, locked until it is closed; a new one where a drain has closed the last."""
        if self._path is not None and (file := _locked(self._path, "r+b")):
            file.seek(0, os.SEEK_END)
            return file
        while True:
            name = f"{time.time_ns():020}-{socket.gethostname()}-{os.getpid()}.{self._suffix}"
            self._path, self._last, self._length = self._folder / name, FIRST_HASH, 0
            self._path.touch(exist_ok=False)
            if file := _locked(self._path, "r+b"):
                _sync_folder(self._folder)
                return file


def _of_process() -> _Writer:
    place = (os.getpid(), _folder())
    if (writer := _writers.get(place)) is None:
        writer = _writers.setdefault(place, _Writer(place[1]))
    return writer


_writers: dict[tuple[int, Path], _Writer] = {}


def _folder() -> Path:
    if settings.DLQ_SPOOL_DIR is None:
        raise Refused("There is no spool: DLQ_SPOOL_DIR is not set.")
    return Path(settings.DLQ_SPOOL_DIR)


def _locked(path: Path, mode: str, *, wait: bool = True) -> BinaryIO | None:
    """Return the file, locked until it is closed; None where it is gone, or another has it and we do not wait."""
    try:
        file: Any = path.open(mode, buffering=0)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    if path.exists():
        locked: BinaryIO = file
        return locked
    file.close()  # a drain renamed or removed it before we had the lock
    return None


def _anything_waits() -> bool:
    return any(path for pattern in ("*.spool", "*.closed") for path in _folder().glob(pattern))


def _close_open_files() -> None:
    """Rename all open files, so that their processes go on in new ones."""
    for path in _folder().glob("*.spool"):
        if file := _locked(path, "rb"):
            with file:
                path.rename(path.with_suffix(".closed"))


def _empty(path: Path, bring: Bring) -> int:
    if (file := _locked(path, "rb", wait=False)) is None:
        return 0
    with file:
        reader, count = Reader(path), 0
        documents = iter(reader)
        while batch := list(islice(documents, settings.DLQ_BATCH)):
            bring(batch)
            count += len(batch)
        if reader.damage:
            log.error("spool_damaged", file=path.name, damage=reader.damage[:10])
            path.rename(path.with_suffix(".damaged"))
        else:
            path.unlink()
        _sync_folder(path.parent)
    metrics.unspooled.inc(count)
    log.warning("spool_emptied", file=path.name, documents=count)
    return count


def _row(document: Document | Message, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        **facts,
        "key": document.key,
        "digest": document.digest.hex(),
        "source": document.source,
        "kind": document.kind,
        "received_at": microseconds(document.received_at),
        "mac": (sign(document) if document.mac is None else document.mac).hex(),
        "body": base64.b64encode(document.body).decode(),
        **({"beside": base64.b64encode(document.beside).decode()} if document.beside else {}),
        **({"trace": document.trace.decode("ascii", "replace")} if document.trace else {}),
    }


def _message(row: dict[str, Any], number: int) -> Message:
    if (received_at := readable_moment(str(row["received_at"]).encode())) is None:
        raise ValueError("received_at is no time")
    if not are_attempts(errors := row.get("errors", [])):
        raise ValueError("errors is no list of failures")
    return Message(
        id=f"{_number(row['at'], most=2**64)}-{number}",
        key=_text(row["key"]),
        digest=bytes.fromhex(row["digest"]),
        body=base64.b64decode(row["body"], validate=True),
        source=_text(row["source"]),
        kind=_text(row["kind"]),
        received_at=received_at,
        reason=_text(row["reason"]),
        mac=bytes.fromhex(row.get("mac", "")),
        beside=base64.b64decode(row.get("beside", ""), validate=True),
        trace=str(row.get("trace", "")).encode(),
        attempts=_number(row.get("attempts", 0), most=MOST_ATTEMPTS),
        errors=errors,
    )


def _text(value: Any) -> str:
    if not is_text(value):
        raise TypeError("is no text")
    return str(value)


def _number(value: Any, *, most: int) -> int:
    if type(value) is not int or not 0 <= value < most:
        raise ValueError("is no such number")
    return value


def _sync_folder(folder: Path) -> None:
    """Flush a folder: a new, renamed or removed file is on the disk only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        metrics.refused.labels(error=type(error).__name__).inc()
        raise Refused(f"The spool did not take it ({type(error).__name__}).") from error
