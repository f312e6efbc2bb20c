"""Make every index of the queue again from its stream."""

import secrets
from contextlib import suppress
from typing import NamedTuple, Self

import structlog

from dlq import counters
from dlq.errors import RebuildRunning, Refused
from dlq.message import label_of
from dlq.pages import Entry
from dlq.scripts import refusing
from dlq.stream import Stream

log = structlog.get_logger(__name__)

CHUNK_IDS = 1000
LOCK_MS = 60_000


class Rebuilt(NamedTuple):
    """What a rebuild found: how many messages the stream holds, and the keys of documents that it does not hold."""

    messages: int
    # Keys of documents that were parked, and whose entries are gone from the stream.
    missing: list[str]


def rebuild(queue: Stream) -> Rebuilt:
    """Bring all indexes to what the stream holds.

    Places are kept where they are known; what is in none is due at once. Histories are kept. What came and is nowhere
    is counted as lost, for good. Safe beside writers and drainers: each step looks and acts in one script. Raises
    `RebuildRunning` while another process is at it, and `Refused`.
    """
    with _Lock(queue) as lock:
        count, before, tally = 0, counters.read(queue), _StreamTally(queue)
        for entries in queue.pages.entries():
            lock.hold()
            _place(queue, entries)
            tally.add(entries)
            count += len(entries)
        for index in (queue.keys.due, queue.keys.leased, queue.keys.dead):
            lock.hold()
            _drop_ghosts(queue, index)
        missing = _forget_missing(queue, lock)
        queue.run("balance", [queue.keys.stream, queue.keys.stats], [])
        if moved := counters.settle(queue, before, tally.labels):
            log.warning("dlq_passages_moved", labels=moved)
        return Rebuilt(count, missing)


class _Lock:
    """Keeps a second process from rebuilding at the same time. It ends by itself where its holder died."""

    def __init__(self, queue: Stream):
        self._queue = queue
        self._token = secrets.token_hex(16)

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(Refused):  # a Redis that went away gives it back by itself
            self._queue.run("unlock", [self._queue.keys.rebuild], [self._token])

    def hold(self) -> None:
        """Take the lock, or hold it for longer. Raises `RebuildRunning` where it is another's."""
        if not self._queue.run("lock", [self._queue.keys.rebuild], [self._token, LOCK_MS]):
            raise RebuildRunning


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
    keys = queue.keys
    arguments: list[str | bytes] = []
    for message_id, fields in entries:
        arguments += [message_id, fields.get(b"key", b"")]
    queue.run("place", [keys.stream, keys.due, keys.leased, keys.dead, keys.ids], arguments)


def _drop_ghosts(queue: Stream, index: str) -> None:
    """Remove from an index the messages that are not in the stream."""
    with refusing():
        ids = [message_id.decode() for message_id, _ in queue.redis.zscan_iter(index, count=CHUNK_IDS)]
    for first in range(0, len(ids), CHUNK_IDS):
        if ghosts := queue.pages.missing(ids[first : first + CHUNK_IDS]):
            with refusing():
                queue.redis.zrem(index, *ghosts)


def _forget_missing(queue: Stream, lock: _Lock) -> list[str]:
    """Drop look-ups that lead nowhere; return their keys, for they are all that is left of those documents."""
    with refusing():
        ids = {key: message_id.decode() for key, message_id in queue.redis.hscan_iter(queue.keys.ids)}
    keys = list(ids)
    gone: list[str] = []
    for first in range(0, len(keys), CHUNK_IDS):
        lock.hold()
        key_of = {ids[key]: key for key in keys[first : first + CHUNK_IDS]}
        arguments: list[str | bytes] = []
        for message_id in queue.pages.missing(list(key_of)):
            arguments += [key_of[message_id], message_id]
        dropped = queue.run("missing", [queue.keys.stream, queue.keys.ids], arguments) if arguments else []
        for key in dropped:
            gone.append(key.decode(errors="replace"))
            log.error("dlq_message_missing", key=gone[-1], message_id=ids[key])
    return gone
