"""Select messages by filters: for the list, for exports, and for acts on many at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from dlq.message import Message, State
from dlq.stream import Stream

PAGE_MESSAGES = 500
_COUNTERS: dict[State, str] = {"due": "ready", "leased": "leased", "dead": "dead"}


@dataclass(frozen=True)
class Selection:
    """Messages that pass every filter that is set."""

    state: State | None = None
    source: str = ""
    kind: str = ""
    # The kind of the last error, or the reason why it was parked where there was none.
    error: str = ""
    older_s: float = 0.0
    # Parked at this time or later: the list begins there.
    since: datetime | None = None
    # A text in the payload, as it stands there.
    text: str = ""
    # What else a message has to pass, such as that somebody may see it.
    where: Callable[[Message], bool] | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether more than the state is asked for: then each message has to be read."""
        asked = (self.source, self.kind, self.error, self.older_s, self.text, self.where, self.since and self.state)
        return any(asked)

    def passes(self, message: Message) -> bool:
        """Whether a message of the right state passes the filters."""
        wanted = (
            (self.source, message.source),
            (self.kind, message.kind),
            (self.error, message.last_error_class or message.reason),
        )
        in_state = self.state is None or self.since is None or message.state == self.state
        matches = all(not asked or asked == value for asked, value in wanted)
        has_text = self.text.encode(errors="replace") in message.body
        is_wanted = in_state and matches and has_text and message.age >= self.older_s
        return is_wanted and (self.where is None or self.where(message))

    def all(self, queue: Stream) -> Iterator[Message]:
        """Yield every selected message, oldest first. Raises `Refused`."""
        for _, selected in self.portions(queue):
            yield from selected

    def portions(self, queue: Stream) -> Iterator[tuple[int, list[Message]]]:
        """Yield page by page how many messages were read, and the selected ones among them. Raises `Refused`.

        An act on a page makes no message come up again: the order of the stream never changes, what was parked since
        the beginning is left out, and of an index, which moves while it is read, the ids are taken first.
        """
        of_index = self.state is not None and self.since is None
        for page in self._of_state(queue) if of_index else self._of_stream(queue):
            yield len(page), [*filter(self.passes, page)]

    def size(self, queue: Stream) -> int:
        """Return how many messages have to be read; all of them are selected unless `is_narrow`. Raises `Refused`."""
        totals = queue.totals.read()
        if self.state is None or self.since is not None:
            return totals["depth"]
        return totals["due"] - totals["ready"] if self.state == "waiting" else totals[_COUNTERS[self.state]]

    @property
    def _start(self) -> str | None:
        """The id before everything that was parked since."""
        return None if self.since is None else f"{max(int(self.since.timestamp() * 1000), 1) - 1}-{2**64 - 1}"

    def _of_stream(self, queue: Stream) -> Iterator[list[Message]]:
        after, newest = self._start, queue.pages.page(limit=1, newest_first=True)
        while newest and (page := queue.pages.page(limit=PAGE_MESSAGES, after=after, until=newest[0].id)):
            yield page
            after = page[-1].id

    def _of_state(self, queue: Stream) -> Iterator[list[Message]]:
        assert self.state is not None
        ids = queue.pages.ids_of(self.state)
        for first in range(0, len(ids), PAGE_MESSAGES):
            yield queue.pages.get_all(ids[first : first + PAGE_MESSAGES])

    def some(self, queue: Stream, *, limit: int, after: str | None, looks: int) -> tuple[list[Message], str | None]:
        """Return up to `limit` selected messages after an id, and the id to go on from; read at most `looks` messages.

        Fewer than `limit` with an id to go on from means that the rest was not read yet. Raises `Refused`.
        """
        selected: list[Message] = []
        # From a time on, all states are read in the order of parking, for the indexes are in another order.
        state, after = (self.state if self.since is None else None), after or self._start
        while looks > 0:
            size = min(PAGE_MESSAGES, looks) if self.is_narrow else limit + 1
            page = queue.pages.page(limit=size, after=after, state=state)
            for message in page:
                if len(selected) == limit:
                    return selected, after
                if self.passes(message):
                    selected.append(message)
                after = message.id
            looks -= len(page)
            if not page or not self.is_narrow:
                return selected, None
        return selected, after
