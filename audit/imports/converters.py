"""converters: processes that convert the portions of an import, while it reads on and records. Their order is kept.

They are forked before there is any connection or thread, and know the mapping by that. Each has one portion at a time,
so what is under way is bounded by their number, and neither side waits for the other to read what it writes.
"""

import gc
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.db import connections

from audit.errors import AuditError
from audit.formats.event import Accepted
from audit.imports import take
from audit.imports.convert import unmapped
from audit.imports.item import Item
from audit.imports.mapping import Mapping
from audit.imports.read import Piece
from audit.imports.reading.opening import FileUnreadable
from audit.imports.reading.window import Broken
from audit.postgres.gateway import gateway

# More than these PostgreSQL does not keep up with.
MOST = 4
# So many more objects are made than freed before some of them are looked through.
NEW_OBJECTS = 20_000
PlaceT = TypeVar("PlaceT")
_NOT_CONVERTED = b""


class ConverterEnded(AuditError):
    """A process that converts events has ended: it was killed, or found no memory. What was taken before is kept; run
    the import again to go on."""


class EventsMissing(AuditError):
    """A portion has another number of events than was made of it: what was taken before is kept, and nothing of it."""

    def __init__(self, count: int):
        super().__init__(
            f"Of a portion {count} events were made, which is not how many it has: nothing of it was taken. This is a "
            "fault of this program: keep the file, and import it with --processes 0."
        )


class Converted(NamedTuple):
    """What was made of a portion, by the places of its items: events, what is wrong with others, unmapped members."""

    events: dict[int, Accepted]
    faulty: dict[int, dict[str, str]]
    # Each with how many events have it.
    unmapped: dict[str, int]


# Python's own form of them costs eight times as much.
to_bytes = msgspec.msgpack.Encoder(uuid_format="bytes").encode
from_bytes = msgspec.msgpack.Decoder(Converted).decode


class _Sent(NamedTuple):
    """A portion on its way to a process: its originals, or what is to be parsed there."""

    originals: list[Any]
    piece: tuple[bytes, dict[str, Any], int] | None


_sent_from_bytes = msgspec.msgpack.Decoder(_Sent).decode


class _Under(NamedTuple):
    """A portion under way: in a process, or converted here."""

    items: Sequence[Item]
    place: Any
    process: "_Process | None"
    converted: Converted | None
    # What the process gave back, not read yet.
    answer: bytes = b""


def sound_number() -> int:
    """How many serve best: half as many as this process may use cores, for PostgreSQL needs the others."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores // 2, MOST)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for unreachable objects more seldom, and not at all among those that are here already.

    Events hold no cycles; of what a portion costs the search for some was a tenth.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def convert(items: Sequence[Item], mapping: Mapping, writer: str) -> Converted:
    """Convert and validate a portion here. Raises `EventsMissing`."""
    originals = items.originals() if isinstance(items, Piece) else _originals(items)
    return _of_all(items, _converted(originals, mapping, writer))


def _of_all(items: Sequence[Item], converted: Converted) -> Converted:
    """Return what was made of each of the items. Raises `EventsMissing`."""
    count = len(converted.events) + len(converted.faulty)
    if not (items.has(count) if isinstance(items, Piece) else count == len(items)):
        raise EventsMissing(count)
    return converted


class Converters:
    """The processes of an import of one mapping and writer; without any all is converted here."""

    def __init__(self, count: int, mapping: Mapping, writer: str):
        """Begin at most `count`; none in a process that has connections or threads, which no fork survives whole."""
        self._mapping, self._writer = mapping, writer
        self._processes: list[_Process] = []
        for _ in range(min(count, MOST) if _may_fork() else 0):
            self._processes.append(_Process(mapping, writer, [each.end for each in self._processes]))

    def __len__(self) -> int:
        return len(self._processes)

    def close(self) -> None:
        """End them. They end by themselves where this process is killed."""
        for process in self._processes:
            process.close()
        self._processes = []

    def convert(
        self, portions: Iterable[tuple[Sequence[Item], PlaceT]]
    ) -> Iterator[tuple[Sequence[Item], PlaceT, Converted]]:
        """Yield each portion with what was made of it, in their order; also those that were read before a fault.

        Raises what reading them raises; `ConverterEnded`, `EventsMissing`.
        """
        if not self._processes:
            yield from ((items, place, convert(items, self._mapping, self._writer)) for items, place in portions)
            return
        waiting: deque[_Under] = deque()
        source, fault = iter(portions), None
        try:
            while fault is None:
                try:
                    portion = next(source, None)
                except (Broken, FileUnreadable) as error:
                    fault = error
                    break
                if portion is None:
                    break
                # The next one is sent before the last one is read and recorded, so that no process waits for that.
                ready = self._answered(waiting.popleft()) if len(waiting) == len(self) else None
                waiting.append(self._sent(*portion, {each.process for each in waiting}))
                if ready is not None:
                    yield self._received(ready)
            while waiting:
                yield self._received(self._answered(waiting.popleft()))
        finally:
            # Of an import that was stopped nothing is left in the pipes.
            with suppress(ConverterEnded):
                for each in waiting:
                    self._answered(each)
        if fault is not None:
            raise fault

    def _sent(self, items: Sequence[Item], place: Any, busy: set["_Process | None"]) -> _Under:
        if (body := _encoded(items)) is None:
            return _Under(items, place, None, convert(items, self._mapping, self._writer))
        process = next(each for each in self._processes if each not in busy)
        process.send(body)
        return _Under(items, place, process, None)

    def _answered(self, under: _Under) -> _Under:
        """Wait until its process has converted it."""
        return under if under.process is None else under._replace(answer=under.process.receive())

    def _received(self, under: _Under) -> tuple[Sequence[Item], Any, Converted]:
        items, place, _, converted, answer = under
        if answer and answer != _NOT_CONVERTED:
            converted = from_bytes(answer)
        # What a process could not convert is converted here, and what is wrong comes out here.
        made = convert(items, self._mapping, self._writer) if converted is None else _of_all(items, converted)
        return items, place, made


class _Process:
    """One of them, and this end of the pipe to it."""

    def __init__(self, mapping: Mapping, writer: str, others: list[Connection]):
        context = get_context("fork")
        self.end, far = context.Pipe()
        arguments = (far, [*others, self.end], mapping, writer)
        self._process = context.Process(target=_serve, args=arguments, name="import-converter", daemon=True)
        self._process.start()
        far.close()

    def send(self, body: bytes) -> None:
        """Give it a portion. Raises `ConverterEnded`."""
        try:
            self.end.send_bytes(body)
        except OSError:
            raise ConverterEnded from None

    def receive(self) -> bytes:
        """Return what it made of its portion, or `_NOT_CONVERTED`. Raises `ConverterEnded`."""
        try:
            return self.end.recv_bytes()
        except (EOFError, OSError):
            raise ConverterEnded from None

    def close(self) -> None:
        self.end.close()
        self._process.join()
        self._process.close()


def _may_fork() -> bool:
    """Whether a fork of this process is whole: on macOS none is, and elsewhere none of threads and connections."""
    opened = [each for each in connections.all(initialized_only=True) if each.connection is not None]
    return sys.platform == "linux" and threading.active_count() == 1 and not opened


def _encoded(items: Sequence[Item]) -> bytes | None:
    """The originals as a process takes them; None for what is no object, or holds what is no text of Unicode."""
    if isinstance(items, Piece):
        return msgspec.msgpack.encode(_Sent([], items.text))
    originals = _originals(items)
    if any(type(original) is not dict for original in originals):
        return None
    try:
        # Numbers that stand as text with the same digits are of a class of their own.
        return msgspec.msgpack.encode(_Sent(originals, None), enc_hook=str)
    except (UnicodeEncodeError, RecursionError, OverflowError):
        return None


def _originals(items: Sequence[Item]) -> list[Any]:
    return [item.original for item in items]


def _converted(originals: Sequence[Any], mapping: Mapping, writer: str) -> Converted:
    accepted, faulty = take.accept_all(originals, mapping, writer=writer)
    names: Counter[str] = Counter()
    for original in originals:
        if isinstance(original, dict):
            names.update(unmapped(original, mapping))
    return Converted(accepted, faulty, names)


def _serve(far: Connection, others: list[Connection], mapping: Mapping, writer: str) -> None:
    """Convert what comes, until whoever sent it is gone: the import ends, or was killed."""
    # They may reach the whole group: the import finishes what is under way, and ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for end in others:
        end.close()
    with closing(gateway()), collecting_seldom(), suppress(EOFError, OSError):
        while True:
            originals, piece = _sent_from_bytes(far.recv_bytes())
            try:
                originals = originals if piece is None else Piece(*piece, mapping).originals()
                body = to_bytes(_converted(originals, mapping, writer))
            except Exception:
                body = _NOT_CONVERTED
            far.send_bytes(body)
