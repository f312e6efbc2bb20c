"""Make every index of the queue again from its stream."""

from typing import NamedTuple

import structlog

from dlq import counters
from dlq.message import label_of
from dlq.pages import Entry
from dlq.scripts import refusing
from dlq.stream import Stream

log = structlog.get_logger(__name__)

CHUNK_IDS = 1000


class Rebuilt(NamedTuple):
    """What a rebuild found: how many messages the stream holds, and the keys of documents that it does not hold."""

    messages: int
    # Keys of documents that were parked, and whose entries are gone from the stream.
    missing: list[str]


def rebuild(queue: Stream) -> Rebuilt:
    """Bring all indexes to what the stream holds.

    Places are kept where they are known; what is in none is due at once. Histories are kept. What came and is
    nowhere is counted as lost, for good. Safe beside writers and drainers. Raises `Refused`.
    """
    count, before, tally = 0, counters.read(queue), _StreamTally(queue)
    for entries in queue.pages.entries():
        _place(queue, entries)
        tally.add(entries)
        count += len(entries)
    for index in (queue.keys.due, queue.keys.leased, queue.keys.dead):
        _drop_ghosts(queue, index)
    missing = _forget_missing(queue)
    _settle(queue)
    if moved := counters.settle(queue, before, tally.labels):
        log.warning("dlq_passages_moved", labels=moved)
    return Rebuilt(count, missing)


class _StreamTally:
    """What the stream holds, by label: how many entries, how many of them dead, and the first id."""

    def __init__(self, queue: Stream):
        self._dead = set(queue.pages.ids_of("dead"))
        self.labels: dict[str, tuple[int, int, str]] = {}

    def add(self, entries: list[Entry]) -> None:
        """Count these entries."""
        for message_id, fields in entries:
            label = label_of(fields)
            count, dead, first = self.labels.get(label, (0, 0, message_id))
            self.labels[label] = (count + 1, dead + (message_id in self._dead), first)


def _place(queue: Stream, entries: list[Entry]) -> None:
    """Make due what is in no index, and look-ups of keys for all."""
    indexes = (queue.keys.due, queue.keys.leased, queue.keys.dead)
    with refusing(), queue.redis.pipeline(transaction=True) as pipe:
        for message_id, _ in entries:
            for index in indexes:
                pipe.zscore(index, message_id)
        scores = pipe.execute()
        for n, (message_id, fields) in enumerate(entries):
            if all(score is None for score in scores[n * 3 : n * 3 + 3]):
                pipe.zadd(queue.keys.due, {message_id: 0}, nx=True)
            if b"key" in fields:
                pipe.hset(queue.keys.ids, fields[b"key"], message_id)
        pipe.execute()


def _drop_ghosts(queue: Stream, index: str) -> None:
    """Remove from an index the messages that are not in the stream."""
    with refusing():
        ids = [message_id.decode() for message_id, _ in queue.redis.zscan_iter(index, count=CHUNK_IDS)]
    for first in range(0, len(ids), CHUNK_IDS):
        if ghosts := queue.pages.missing(ids[first : first + CHUNK_IDS]):
            with refusing():
                queue.redis.zrem(index, *ghosts)


def _forget_missing(queue: Stream) -> list[str]:
    """Drop look-ups that lead nowhere; return their keys, for they are all that is left of those documents."""
    with refusing():
        rows = queue.redis.hscan_iter(queue.keys.ids)
        ids = {key.decode(errors="replace"): message_id.decode() for key, message_id in rows}
    keys = list(ids)
    gone: list[str] = []
    for first in range(0, len(keys), CHUNK_IDS):
        key_of = {ids[key]: key for key in keys[first : first + CHUNK_IDS]}
        gone += [key_of[message_id] for message_id in queue.pages.missing(list(key_of))]
    for key in gone:
        log.error("dlq_message_missing", key=key, message_id=ids[key])
        with refusing():
            queue.redis.hdel(queue.keys.ids, key)
    return gone


def _settle(queue: Stream) -> None:
    """Count as lost, for good, what came and is nowhere. Counters that are too small were lost themselves."""
    stats = queue.totals.stats()
    missing = stats.enqueued - stats.gone - stats.depth
    with refusing():
        if missing > 0:
            queue.redis.hincrby(queue.keys.stats, "lost", missing)
        elif missing < 0:
            queue.redis.hincrby(queue.keys.stats, "enqueued", -missing)
