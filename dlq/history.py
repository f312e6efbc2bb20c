"""What the queue was like, minute by minute for seven days: written by the watcher, never on the way of a request.

One sorted set in Redis, so that it survives restarts; one member a minute, whoever samples first.
"""

import time
from typing import NamedTuple

from dlq.stream import Stream, refusing

KEPT_MINUTES = 7 * 24 * 60


class Sample(NamedTuple):
    """The queue at the end of a minute; `enqueued` and `gone` are totals since the queue began."""

    minute: int
    depth: int
    enqueued: int
    gone: int
    oldest_age: int


def sample(queue: Stream) -> bool:
    """Keep a sample of this minute, if nobody has; whether this call did. Raises `Refused`."""
    minute = int(time.time()) // 60
    key = f"{queue.stream}:history"
    with refusing():
        if queue.redis.zcount(key, minute, minute):
            return False
    stats = queue.stats()
    figures = (minute, stats.depth, stats.enqueued, stats.gone, int(queue.oldest_age()))
    with refusing(), queue.redis.pipeline(transaction=True) as pipe:
        # Removal first: it is allowed while Redis is full, and then so is what follows it.
        pipe.zremrangebyscore(key, "-inf", minute - KEPT_MINUTES)
        pipe.zadd(key, {":".join(map(str, figures)): minute})
        pipe.execute()
    return True


def samples(queue: Stream, minutes: int) -> list[Sample]:
    """The samples of the last minutes, oldest first; two of one minute count once. Raises `Refused`."""
    now = int(time.time()) // 60
    with refusing():
        rows = queue.redis.zrangebyscore(f"{queue.stream}:history", now - minutes, "+inf")
    found = {one.minute: one for one in (Sample(*map(int, row.split(b":"))) for row in rows)}
    return [found[minute] for minute in sorted(found)]


def arrivals_a_minute(queue: Stream, minutes: int = 60) -> float:
    """How many messages came each minute of late, on average."""
    found = samples(queue, minutes)
    if len(found) < 2:
        return 0.0
    return (found[-1].enqueued - found[0].enqueued) / (found[-1].minute - found[0].minute)
