"""Counters: what came through the queue and how it left, counted by the scripts themselves, per day and source.

A day is the UTC day on which a document was received. `first` is the stream id of the first that was counted: two
passages of one day and source with another `first` are two, be it that the first was kept elsewhere and forgotten
here, or that Redis lost it.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from dlq.message import EPOCH
from dlq.stream import Stream


class SourceDay(NamedTuple):
    """What came of one day and source, and what became of it."""

    label: str
    first: str
    came: int = 0
    again: int = 0
    """Of those: how many had been here before, and were released from the quarantine."""
    drained: int = 0
    duplicate: int = 0
    quarantined: int = 0
    discarded: int = 0
    lost: int = 0
    """Found missing by a rebuild."""
    dead: int = 0

    @property
    def day(self) -> date:
        """When these were received; 1970 where that is not known."""
        return EPOCH.date() + timedelta(days=int(self.label.partition("|")[0]))

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
    """All that are counted, at one moment."""

    all: list[SourceDay]
    depth: int
    dead: int

    @property
    def whole(self) -> bool:
        """Whether the counters agree with the stream."""
        there, dead = sum(one.here for one in self.all), sum(one.dead for one in self.all)
        return (there, dead) == (self.depth, self.dead) and all(0 <= one.dead <= one.here for one in self.all)


COUNTED = tuple(name for name in SourceDay._fields if name not in ("label", "first"))


def read(queue: Stream) -> Counters:
    """What is counted now. Raises `Refused`."""
    depth, dead, flat = queue.run("passages", [queue.stream, queue.dead, queue.passages], [])
    found: dict[str, dict[str, str]] = {}
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        counter, _, label = name.decode(errors="replace").partition("|")
        found.setdefault(label, {})[counter] = value.decode()
    return Counters([_source_day(label, counters) for label, counters in found.items()], depth, dead)


def settle(queue: Stream, before: Counters, there: dict[str, tuple[int, int, str]]) -> int:
    """Bring the counters to what is in the stream: per label how many, how many of them dead, and the first id.

    Returns how many labels were left alone, because something came or left while the stream was read. Raises `Refused`.
    """
    known = {one.label: one for one in before.all}
    arguments: list[str | int] = []
    for label in known.keys() | there.keys():
        counted = known.get(label, SourceDay(label, ""))
        count, dead, first = there.get(label, (0, 0, "0-0"))
        if (count, dead) != (counted.here, counted.dead):
            arguments += [label, counted.came, counted.gone, counted.dead, count, dead, first]
    return int(queue.run("settle", [queue.passages], arguments)) if arguments else 0


def forget(queue: Stream, kept: Iterable[SourceDay]) -> int:
    """Drop counters that are kept elsewhere and balance, unless they moved; return how many. Raises `Refused`."""
    arguments: list[str | int] = []
    for one in kept:
        arguments += [one.label, one.first, one.came]
    return int(queue.run("forget", [queue.passages], arguments)) if arguments else 0


def _source_day(label: str, counters: dict[str, str]) -> SourceDay:
    return SourceDay(label, counters.get("first", ""), *(int(counters.get(name, 0)) for name in COUNTED))
