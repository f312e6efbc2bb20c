"""Which messages are meant: the filters of the list, of exports and of acts on many at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dlq.message import Message, State
from dlq.stream import Stream

PAGE = 500
_COUNTERS: dict[State, str] = {"due": "ready", "leased": "leased", "dead": "dead"}


@dataclass(frozen=True)
class Selection:
    """Messages that pass every filter that is set."""

    state: State | None = None
    source: str = ""
    kind: str = ""
    error: str = ""
    """The kind of the last error, or the reason why it was parked where there was none."""
    older_s: float = 0.0
    since: datetime | None = None
    """Parked at this time or later: the list begins there."""

    @property
    def is_narrow(self) -> bool:
        """Whether more than the state is asked for: such messages are found by looking at each."""
        return bool(self.source or self.kind or self.error or self.older_s or (self.since and self.state))

    def passes(self, message: Message) -> bool:
        """Whether a message of the right state is meant."""
        wanted = (
            (self.source, message.source),
            (self.kind, message.kind),
            (self.error, message.last_error_class or message.reason),
        )
        in_state = self.state is None or self.since is None or message.state == self.state
        return in_state and all(not asked or asked == found for asked, found in wanted) and message.age >= self.older_s

    def all(self, queue: Stream) -> Iterator[Message]:
        """Every one of them, oldest first. Raises `Refused`."""
        for _, found in self.portions(queue):
            yield from found

    def portions(self, queue: Stream) -> Iterator[tuple[int, list[Message]]]:
        """All of them, page by page: how many were looked at, and those of them that are meant. Raises `Refused`.

        An act on a page makes none come up again: the stream's order never changes, what was parked since the
        beginning is left out, and of an index, which moves while it is read, the ids are taken first.
        """
        of_index = self.state is not None and self.since is None
        for page in self._of_state(queue) if of_index else self._of_stream(queue):
            yield len(page), [*filter(self.passes, page)]

    def size(self, queue: Stream) -> int:
        """How many messages have to be looked at; how many there are, unless `is_narrow`. Raises `Refused`."""
        totals = queue.totals()
        if self.state is None or self.since is not None:
            return totals["depth"]
        return totals["due"] - totals["ready"] if self.state == "waiting" else totals[_COUNTERS[self.state]]

    @property
    def _start(self) -> str | None:
        """The place in the stream before everything that was parked since."""
        return None if self.since is None else f"{max(int(self.since.timestamp() * 1000), 1) - 1}-{2**64 - 1}"

    def _of_stream(self, queue: Stream) -> Iterator[list[Message]]:
        after, newest = self._start, queue.page(limit=1, newest_first=True)
        while newest and (page := queue.page(limit=PAGE, after=after, until=newest[0].id)):
            yield page
            after = page[-1].id

    def _of_state(self, queue: Stream) -> Iterator[list[Message]]:
        assert self.state is not None
        ids = queue.ids_of(self.state)
        for first in range(0, len(ids), PAGE):
            yield queue.all_of(ids[first : first + PAGE])

    def some(self, queue: Stream, *, limit: int, after: str | None, looks: int) -> tuple[list[Message], str | None]:
        """Up to `limit` of them after an id, and where to go on; at most `looks` messages are looked at.

        Less than `limit` with a place to go on means that the rest was not looked at yet. Raises `Refused`.
        """
        found: list[Message] = []
        # From a time on, all states are read in the order of parking, for the indexes are in another order.
        state, after = (self.state if self.since is None else None), after or self._start
        while looks > 0:
            page = queue.page(limit=min(PAGE, looks) if self.is_narrow else limit + 1, after=after, state=state)
            for message in page:
                if len(found) == limit:
                    return found, after
                if self.passes(message):
                    found.append(message)
                after = message.id
            looks -= len(page)
            if not page or not self.is_narrow:
                return found, None
        return found, after
