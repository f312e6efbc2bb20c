"""rebuild: make every index of the queue again from its stream."""

from typing import NamedTuple

import structlog

from dlq import counters
from dlq.message import read
from dlq.scripts import refusing
from dlq.stream import Stream

log = structlog.get_logger(__name__)

Rows = list[tuple[str, dict[bytes, bytes]]]


class Rebuilt(NamedTuple):
    """What a rebuild found."""

    messages: int
    """In the stream."""
    missing: list[str]
    """Keys of documents that were parked, and whose entries are gone from the stream."""


def rebuild(queue: Stream) -> Rebuilt:
    """Bring all indexes to what the stream holds.

    Places are kept where they are known; what is in none is due at once. Histories are kept. What came and is
    nowhere is counted as lost, for good. Safe beside writers and drainers. Raises `Refused`.
    """
    count, before, there = 0, counters.read(queue), _There(queue)
    for rows in queue.entries():
        _place(queue, rows)
        there.add(rows)
        count += len(rows)
    for index in (queue.due, queue.leased, queue.dead):
        _drop_ghosts(queue, index)
    missing = _forget_missing(queue)
    _settle(queue)
    if moved := counters.settle(queue, before, there.found):
        log.warning("dlq_passages_moved", labels=moved)
    return Rebuilt(count, missing)


class _There:
    """What the stream holds, by label: how many, how many of them dead, and the first of them."""

    def __init__(self, queue: Stream):
        self._dead = set(queue.ids_of("dead"))
        self.found: dict[str, tuple[int, int, str]] = {}

    def add(self, rows: Rows) -> None:
        """Count these entries."""
        for message_id, fields in rows:
            label = read(message_id, fields, "due", None, (None, None)).label
            count, dead, first = self.found.get(label, (0, 0, message_id))
            self.found[label] = (count + 1, dead + (message_id in self._dead), first)


def _place(queue: Stream, rows: Rows) -> None:
    indexes = (queue.due, queue.leased, queue.dead)
    with refusing(), queue.redis.pipeline(transaction=True) as pipe:
        for message_id, _ in rows:
            for index in indexes:
                pipe.zscore(index, message_id)
        places = pipe.execute()
        for n, (message_id, fields) in enumerate(rows):
            if all(place is None for place in places[n * 3 : n * 3 + 3]):
                pipe.zadd(queue.due, {message_id: 0}, nx=True)
            if b"key" in fields:
                pipe.hset(queue.ids, fields[b"key"], message_id)
        pipe.execute()


def _drop_ghosts(queue: Stream, index: str) -> None:
    """Forget places of messages that are not in the stream."""
    with refusing():
        ids = [found.decode() for found, _ in queue.redis.zscan_iter(index, count=1000)]
    for first in range(0, len(ids), 1000):
        if ghosts := queue.missing(ids[first : first + 1000]):
            with refusing():
                queue.redis.zrem(index, *ghosts)


def _forget_missing(queue: Stream) -> list[str]:
    """Drop look-ups that lead nowhere; return their keys, for they are all that is left of those documents."""
    with refusing():
        known = {key.decode(errors="replace"): found.decode() for key, found in queue.redis.hscan_iter(queue.ids)}
    keys = list(known)
    gone: list[str] = []
    for first in range(0, len(keys), 1000):
        part = {known[key]: key for key in keys[first : first + 1000]}
        gone += [part[one] for one in queue.missing(list(part))]
    for key in gone:
        log.error("dlq_message_missing", key=key, message_id=known[key])
        with refusing():
            queue.redis.hdel(queue.ids, key)
    return gone


def _settle(queue: Stream) -> None:
    """What came and is nowhere is counted as lost, for good; counters that are too small were lost themselves."""
    stats = queue.stats()
    missing = stats.enqueued - stats.gone - stats.depth
    with refusing():
        if missing > 0:
            queue.redis.hincrby(queue.stats_key, "lost", missing)
        elif missing < 0:
            queue.redis.hincrby(queue.stats_key, "enqueued", -missing)
