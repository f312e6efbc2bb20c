"""What came into the queue, what left it and how, and what is in it: value types. Pure."""

from typing import Literal, NamedTuple

ParkOutcome = Literal["parked", "duplicate", "conflict"]
# The ways out of the queue: stored, stored before, kept in the quarantine, given up by two people.
WayOut = Literal["drained", "duplicate", "quarantined", "discarded"]


class ParkResult(NamedTuple):
    """What became of documents: with a "conflict" among the outcomes, none of them was parked."""

    outcomes: list[ParkOutcome]
    depth: int
    alarm_raised: bool


class Stats(NamedTuple):
    """How many messages are in each place, and have come and gone since the queue began."""

    depth: int
    due: int
    leased: int
    dead: int
    enqueued: int
    drained: int
    duplicate: int
    quarantined: int
    discarded: int
    # Found missing by a rebuild: other hands removed them from Redis.
    lost: int

    @property
    def gone(self) -> int:
        """How many have left the queue, in whatever way."""
        return self.drained + self.duplicate + self.quarantined + self.discarded + self.lost

    @property
    def balanced(self) -> bool:
        """Whether enqueued = gone + depth, and every message in the queue is in exactly one place."""
        return self.enqueued == self.gone + self.depth and self.depth == self.due + self.leased + self.dead
