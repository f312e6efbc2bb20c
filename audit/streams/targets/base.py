"""base: what each kind of target does."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from audit.streams.leaves import Line


class Taken(NamedTuple):
    """The newest record that a target is known to have."""

    leaf: int
    event_id: UUID


class Target(Protocol):
    """Takes batches, one after the other. Used by one thread."""

    @property
    def place(self) -> str:
        """Where it is, for people; without secrets."""

    def resume(self) -> Taken | None:
        """The newest record that it has, where it can tell; None where it cannot. Raises `TargetFault`."""

    def send(self, lines: Sequence[Line]) -> None:
        """Return once the target has all of the lines durably, as far as it says so. Raises `TargetFault`."""

    def close(self) -> None:
        """Let go of files and connections; what was not taken is sent again."""
