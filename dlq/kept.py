"""What left the queue for the store, kept in Redis for some hours: should PostgreSQL be restored from a backup, it has
what was drained since (`manage.py refill`).

A stream of portions, each with the messages that left together, as they were: id, document, signature. It is bounded by
time (DLQ_KEEP_DRAINED_S) and by bytes (DLQ_KEEP_DRAINED_BYTES), the oldest go first, and all of it gives way to
parking. Its form has a version, as the inbox has: a reader takes every 1.x, ignores fields that it does not know, and
leaves other versions alone.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

import structlog
from django.conf import settings

from dlq import metrics
from dlq.errors import Refused
from dlq.message import EPOCH, Message, from_microseconds, microseconds, moment
from dlq.scripts import Connection, refusing

log = structlog.get_logger(__name__)

VERSION = "1.1"
# Fields of a message in a portion, in their order. More may follow in a later 1.x. What stands beside it came with 1.1:
# its signature covers that, so a reader of 1.0 brings back no event without it.
FIELDS = ("id", "key", "digest", "body", "source", "kind", "received_at", "reason", "mac", "beside")
LEAST_FIELDS = 9
# The length of what is not there.
ABSENT = 2**32 - 1
PORTION_BYTES = 128 * 1024
# Redis is short of memory above so many thousandths of its maxmemory: the rest is for parking.
SHORT_ABOVE = 900
LEAST_ROOM = 4 * 2**20


class Size(NamedTuple):
    """How much is kept."""

    messages: int
    bytes: int
    # When the oldest of it left the queue; None where nothing is kept.
    since: datetime | None


class Portion(NamedTuple):
    """Messages that left the queue together, and when; none that can be read where it is of another version."""

    left_at: datetime
    messages: list[Message]
    unreadable: int


class Kept:
    """What one queue keeps of what left it."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def keep(self, messages: Sequence[Message]) -> int:
        """Keep messages that are about to leave for the store; return how many were. Never raises: they are stored."""
        if not settings.DLQ_KEEP_DRAINED_S or not messages:
            return 0
        arguments: list[str | bytes | int] = []
        for portion in _portions(messages):
            arguments += [len(portion), *_packed(portion)]
        try:
            return self._run(0, arguments)[0]
        except Refused as error:
            metrics.not_kept.inc(len(messages))
            log.warning("dlq_drained_not_kept", messages=len(messages), error=str(error.__cause__))
            return 0

    def trim(self) -> int:
        """Let go of what is over its bounds, or stands in the way of parking; return how many. Raises `Refused`."""
        return self._run(0, [])[3]

    def make_room(self, wanted: int) -> int:
        """Let go of so many bytes, the oldest first; return how many messages that were. Raises `Refused`."""
        return self._run(max(wanted, LEAST_ROOM), [])[3]

    def size(self) -> Size:
        """Return how much is kept. Raises `Refused`."""
        redis, keys = self._connection.redis, self._connection.keys
        with refusing():
            messages, size = redis.hmget(keys.stats, "kept", "kept_bytes")
            oldest = redis.xrange(keys.kept, count=1)
        return Size(int(messages or 0), int(size or 0), _left_at(oldest[0][0]) if oldest else None)

    def portions(self) -> Iterator[Portion]:
        """Yield all that is kept, the oldest first; one portion is in memory at a time. Raises `Refused`."""
        after = "-"
        while True:
            with refusing():
                rows = self._connection.redis.xrange(self._connection.keys.kept, after, "+", count=1)
            if not rows:
                return
            ((portion_id, fields),) = rows
            after = f"({portion_id.decode()}"
            yield _portion(_left_at(portion_id), fields)

    def _run(self, wanted: int, portions: list[str | bytes | int]) -> list[int]:
        bounds = [int(settings.DLQ_KEEP_DRAINED_S * 1000), settings.DLQ_KEEP_DRAINED_BYTES, SHORT_ABOVE, wanted]
        keys = self._connection.keys
        return [int(n) for n in self._connection.run("keep", [keys.kept, keys.stats], [*bounds, VERSION, *portions])]


def _portions(messages: Sequence[Message]) -> Iterator[list[Message]]:
    portion: list[Message] = []
    size = 0
    for message in messages:
        portion.append(message)
        size += len(message.body) + len(message.beside)
        if size >= PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _packed(messages: Sequence[Message]) -> tuple[bytes, bytes]:
    """The lengths and the values of all fields, 4 bytes a length, and one after the other."""
    values: list[bytes] = []
    for message in messages:
        received = b"" if message.received_at == EPOCH else b"%d" % microseconds(message.received_at)
        values += [
            message.id.encode(),
            message.key.encode(errors="replace"),
            message.digest,
            message.body,
            message.source.encode(errors="replace"),
            message.kind.encode(errors="replace"),
            received,
            message.reason.encode(errors="replace"),
            message.mac,
            message.beside,
        ]
    return struct.pack(f">{len(values)}I", *map(len, values)), b"".join(values)


def _portion(left_at: datetime, fields: dict[bytes, bytes]) -> Portion:
    count = int(fields.get(b"messages", b"0") or 0)
    lengths, values = fields.get(b"lengths", b""), fields.get(b"values", b"")
    width, rest = divmod(len(lengths) // 4, count) if count else (0, 0)
    if (
        fields.get(b"version", b"").partition(b".")[0] != b"1"
        or rest
        or width < LEAST_FIELDS
        or not _fits(lengths, values)
    ):
        return Portion(left_at, [], max(count, 1))
    return Portion(left_at, [_message(row[: len(FIELDS)]) for row in _unpacked(lengths, values, width)], 0)


def _unpacked(lengths: bytes, values: bytes, count: int) -> Iterator[tuple[bytes | None, ...]]:
    """The values that `_packed` put one after the other, in groups of `count`; None for what is absent."""
    sizes = struct.unpack(f">{len(lengths) // 4}I", lengths)
    ends = accumulate(0 if size == ABSENT else size for size in sizes)
    cells = [None if size == ABSENT else values[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return zip(*[iter(cells)] * count, strict=True)


def _fits(lengths: bytes, values: bytes) -> bool:
    """Whether the lengths are those of the values: who can write to Redis may have changed them."""
    if len(lengths) % 4:
        return False
    total: int = sum(size for (size,) in struct.iter_unpack(">I", lengths) if size != ABSENT)
    return total == len(values)


def _message(row: Sequence[bytes | None]) -> Message:
    filled = (value or b"" for value in (*row, *[b""] * (len(FIELDS) - len(row))))
    message_id, key, digest, body, source, kind, received_at, reason, mac, beside = filled
    return Message(
        id=message_id.decode("ascii", "replace"),
        key=key.decode(errors="replace"),
        digest=digest,
        body=body,
        source=source.decode(errors="replace"),
        kind=kind.decode(errors="replace"),
        received_at=from_microseconds(received_at),
        reason=reason.decode(errors="replace"),
        mac=mac,
        beside=beside,
    )


def _left_at(portion_id: bytes) -> datetime:
    return moment(int(portion_id.partition(b"-")[0]))
