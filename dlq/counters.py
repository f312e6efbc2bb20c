"""Counters per day and source: what came through the queue and how it left, counted by the scripts themselves.

A day is the UTC day on which a document was received. `first` is the stream id of the first document counted. Two
counters of one day and source with another `first` are two: the first was kept elsewhere and forgotten here, or Redis
lost it.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from dlq.message import EPOCH
from dlq.stream import Stream


class SourceDay(NamedTuple):
    """What came from one source on one day, and what became of it."""

    label: str
    first: str
    came: int = 0
    # Of those: how many had been here before, and were released from the quarantine.
    again: int = 0
    drained: int = 0
    duplicate: int = 0
    quarantined: int = 0
    discarded: int = 0
    # Found missing by a rebuild.
    lost: int = 0
    dead: int = 0

    @property
    def day(self) -> date:
        """The day on which these were received; 1970 where that is not known."""
        try:
            return EPOCH.date() + timedelta(days=int(self.label.partition("|")[0]))
        except (ValueError, OverflowError):
            return EPOCH.date()

    @property
    def source(self) -> str:
        """Who sent them."""
        return self.label.partition("|")[2]

    @property
    def gone(self) -> int:
        """How many have left, in whatever way."""
        return self.drained + self.duplicate + self.quarantined + self.discarded + self.lost

    @property
    def here(self) -> int:
        """How many are in the queue."""
        return self.came - self.gone


class Counters(NamedTuple):
    """All counters at one moment, beside what the stream and its index of dead messages hold."""

    all: list[SourceDay]
    depth: int
    dead: int

    @property
    def whole(self) -> bool:
        """Whether the counters agree with the stream."""
        here, dead = sum(line.here for line in self.all), sum(line.dead for line in self.all)
        return (here, dead) == (self.depth, self.dead) and all(0 <= line.dead <= line.here for line in self.all)


COUNTED = tuple(name for name in SourceDay._fields if name not in ("label", "first"))


def read(queue: Stream) -> Counters:
    """Read all counters. Raises `Refused`."""
    depth, dead, flat = queue.run("passages", [queue.keys.stream, queue.keys.dead, queue.keys.counters], [])
    by_label: dict[str, dict[str, str]] = {}
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        counter, _, label = name.decode(errors="replace").partition("|")
        by_label.setdefault(label, {})[counter] = value.decode()
    return Counters([_source_day(label, values) for label, values in by_label.items()], depth, dead)


def settle(queue: Stream, before: Counters, in_stream: dict[str, tuple[int, int, str]]) -> int:
    """Bring the counters to what the stream holds: per label how many, how many of them dead, and the first id.

    Returns how many labels were left alone, because something came or left while the stream was read. Raises `Refused`.
    """
    counted = {line.label: line for line in before.all}
    arguments: list[str | int] = []
    for label in counted.keys() | in_stream.keys():
        line = counted.get(label, SourceDay(label, ""))
        count, dead, first = in_stream.get(label, (0, 0, "0-0"))
        if (count, dead) != (line.here, line.dead):
            arguments += [label, line.came, line.gone, line.dead, count, dead, first]
    return int(queue.run("settle", [queue.keys.counters], arguments)) if arguments else 0


def forget(queue: Stream, kept: Iterable[SourceDay]) -> int:
    """Drop counters that are kept elsewhere and balance, unless they moved; return how many. Raises `Refused`."""
    arguments: list[str | int] = []
    for line in kept:
        arguments += [line.label, line.first, line.came]
    return int(queue.run("forget", [queue.keys.counters], arguments)) if arguments else 0


def _source_day(label: str, values: dict[str, str]) -> SourceDay:
    return SourceDay(label, values.get("first", ""), *(int(values.get(name, 0)) for name in COUNTED))
