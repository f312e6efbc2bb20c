"""Read messages of the queue: one by id or key, or page by page, each with its state and history."""

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from dlq.authenticity import is_authentic
from dlq.message import BESIDE, Message, State, decoded, read, state_of, stream_order
from dlq.scripts import Connection, refusing

FIND_BATCH = 100
SCAN_BATCH = 2_000
# How large entries are is known only when they are read: few at first, then as many as take about so many bytes.
READ_FIRST, READ_MOST, READ_BYTES = 8, 64, 2**20
# Below one wanted in so many, a range costs more than to ask for each.
SPARSE = 4

Entry = tuple[str, dict[bytes, bytes]]


class Pages:
    """The messages of a queue, to be read. Every method raises `Refused` when Redis does not answer."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._redis = connection.redis
        self._keys = connection.keys

    def get(self, message_id: str) -> Message | None:
        """Return the message with this stream id."""
        with refusing():
            rows = self._redis.xrange(self._keys.stream, message_id, message_id)
        return next(iter(self._placed(decoded(rows))), None)

    def get_all(self, ids: Sequence[str]) -> list[Message]:
        """Return those of the messages that are still in the queue."""
        return self._placed(self._each_of(ids))

    def find(self, key: str) -> Message | None:
        """Return the message of the document with this key, at the cost of two look-ups."""
        with refusing():
            message_id = self._redis.hget(self._keys.ids, key)
        return self.get(message_id.decode()) if message_id else None

    def how_many(self, keys: Sequence[str]) -> int:
        """Return how many of the documents are in the queue, by an index alone. Raises `Refused`."""
        with refusing():
            return sum(message_id is not None for message_id in self._redis.hmget(self._keys.ids, keys)) if keys else 0

    def how_many_beside(self, keys: Sequence[str], *, seconds: float) -> int | None:
        """Return how many documents were parked beside others that had these keys (`dlq.restore`).

        No index has them: all keys of the queue are gone through, for so many seconds. None where that was too short.
        Raises `Refused`.
        """
        wanted, ends_at, cursor, found = set(keys), time.monotonic() + seconds, 0, set()
        with refusing():
            while True:
                # A scan may give the same key twice, and any number of them at a time.
                cursor, some = self._redis.hscan(self._keys.ids, cursor, match=f"*{BESIDE}*", count=SCAN_BATCH)
                found |= {key for key in map(bytes.decode, some) if key.partition(BESIDE)[0] in wanted}
                if cursor == 0:
                    return len(found)
                if time.monotonic() > ends_at:
                    return None

    def find_all(self, keys: Sequence[str]) -> dict[str, Message]:
        """Return those of the documents that are in the queue, by key; read in parts, for each comes with its body."""
        with refusing():
            ids = [message_id.decode() for message_id in self._redis.hmget(self._keys.ids, keys) if message_id]
        parts = (ids[first : first + FIND_BATCH] for first in range(0, len(ids), FIND_BATCH))
        return {message.key: message for part in parts for message in self.get_all(part)}

    def digests(self, keys: Sequence[str]) -> dict[str, bytes] | None:
        """Return the digests of those documents that are in the queue, by key; None where the queue is empty.

        What is forged is left out: it has no claim to its key.
        """
        with refusing():
            if not self._redis.xlen(self._keys.stream):
                return None
        return {key: message.digest for key, message in self.find_all(keys).items() if is_authentic(message)}

    def page(
        self,
        *,
        limit: int,
        after: str | None = None,
        until: str = "+",
        state: State | None = None,
        newest_first: bool = False,
    ) -> list[Message]:
        """Return messages after the id `after`, at the same cost for every page; of one state if `state` is given."""
        if state is not None:
            return self._page_of(state, limit, after)
        with refusing():
            if newest_first:
                start = f"({after}" if after else "+"
                rows = self._redis.xrevrange(self._keys.stream, start, "-", count=limit)
            else:
                start = f"({after}" if after else "-"
                rows = self._redis.xrange(self._keys.stream, start, until, count=limit)
        return self._placed(decoded(rows))

    def older_than(self, seconds: float, *, chunk: int, after: str | None = None) -> Iterator[list[Message]]:
        """Yield messages that were parked longer ago than that, oldest first, page by page."""
        while page := self.page(limit=chunk, after=after):
            old = [message for message in page if message.age > seconds]
            if old:
                yield old
            if len(old) < len(page):
                return
            after = page[-1].id

    def oldest_age(self) -> float:
        """Return the seconds since the oldest message was parked; 0 when there is none."""
        oldest = self.page(limit=1)
        return oldest[0].age if oldest else 0.0

    def entries(self, *, chunk: int = 1000, after: str | None = None) -> Iterator[list[Entry]]:
        """Yield all entries of the stream after an id, oldest first, in chunks of ids and raw fields."""
        start = f"({after}" if after else "-"
        while True:
            with refusing():
                rows = decoded(self._redis.xrange(self._keys.stream, start, "+", count=chunk))
            if not rows:
                return
            yield rows
            start = f"({rows[-1][0]}"

    def entries_of(self, ids: Iterable[str]) -> Iterator[Entry]:
        """Yield id and fields of those messages that the stream has, in its order, read in portions.

        What is due mostly follows each other in the stream: it is read by ranges. Where most of a range is of others,
        the rest is read entry by entry.
        """
        left = sorted(ids, key=stream_order)
        wanted, count, is_sparse = set(left), READ_FIRST, False
        while left:
            if is_sparse:
                rows, left = self._each_of(left[:count]), left[count:]
            else:
                rows, left = self._range_from(left, count)
            portion = [entry for entry in rows if entry[0] in wanted]
            yield from portion
            is_sparse = is_sparse or len(portion) < count // SPARSE
            count = count_of([len(fields.get(b"body", b"")) for _, fields in rows], count)

    def _range_from(self, ids: list[str], count: int) -> tuple[list[Entry], list[str]]:
        """Return so many entries between the first and the last of the ids, and which ids stand behind them."""
        with refusing():
            rows = decoded(self._redis.xrange(self._keys.stream, ids[0], ids[-1], count=count))
        if len(rows) < count:
            return rows, []
        return rows, ids[bisect_right(ids, stream_order(rows[-1][0]), key=stream_order) :]

    def _each_of(self, ids: Sequence[str]) -> list[Entry]:
        with refusing(), self._redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.xrange(self._keys.stream, message_id, message_id)
            return decoded(row for rows_of_id in pipe.execute() for row in rows_of_id)

    def leased(self, ids: Sequence[str]) -> list[str]:
        """Return those of the messages that a drainer has in hand."""
        with refusing(), self._redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.zscore(self._keys.leased, message_id)
            return [message_id for message_id, end in zip(ids, pipe.execute(), strict=True) if end is not None]

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Return those of the ids that are not in the stream."""
        here = {message_id for message_id, _ in self._each_of(ids)}
        return [message_id for message_id in ids if message_id not in here]

    def ids_of(self, state: State) -> list[str]:
        """Return the ids of all messages in a state, in the order of its index."""
        index, low, high = self._range_of(state)
        with refusing():
            return [message_id.decode() for message_id in self._redis.zrangebyscore(index, low, high)]

    def histories(self, ids: Sequence[str]) -> list[list[bytes | None]]:
        """Return attempts and errors of each message, as Redis holds them."""
        with refusing(), self._redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.hmget(self._keys.history(message_id), "attempts", "errors")
            histories: list[list[bytes | None]] = pipe.execute()
            return histories

    def _page_of(self, state: State, limit: int, after: str | None) -> list[Message]:
        index, low, high = self._range_of(state)
        with refusing():
            rank = self._redis.zrank(index, after) if after else None
            first = self._redis.zcount(index, "-inf", f"({low}") if rank is None else rank + 1
            ids = self._redis.zrange(index, first, first + limit - 1, withscores=True)
        return self.get_all([message_id.decode() for message_id, score in ids if low <= score <= high])

    def _range_of(self, state: State) -> tuple[str, float, float]:
        """Return the index of a state, and the scores between which it stands there.

        Due and waiting messages share an index, in which the due ones come first.
        """
        now = self._connection.now_ms()
        if state == "due":
            return self._keys.due, 0.0, now
        if state == "waiting":
            return self._keys.due, now + 1, inf
        return (self._keys.leased if state == "leased" else self._keys.dead), 0.0, inf

    def _placed(self, rows: list[Entry]) -> list[Message]:
        """Make messages of entries, with state and history, in three round trips."""
        with refusing(), self._redis.pipeline(transaction=False) as pipe:
            for message_id, _ in rows:
                for index in (self._keys.due, self._keys.leased, self._keys.dead):
                    pipe.zscore(index, message_id)
            scores = pipe.execute()
        histories = self.histories([message_id for message_id, _ in rows])
        now = self._connection.now_ms() if rows else 0
        messages = []
        for n, ((message_id, fields), history) in enumerate(zip(rows, histories, strict=True)):
            due, leased, dead = scores[n * 3 : n * 3 + 3]
            score = next((score for score in (due, leased, dead) if score is not None), None)
            messages.append(read(message_id, fields, state_of(due, leased, dead, now), score, history, now))
        return messages


def count_of(sizes: Sequence[int], count: int) -> int:
    """Return how many entries to read next where `count` before had these sizes in bytes; at most twice as many."""
    if not sizes:
        return count
    mean = sum(sizes) // len(sizes)
    return max(1, min(2 * count, READ_MOST, READ_BYTES // max(mean, 1)))
