"""What the queue was like, minute by minute for seven days: written by the watcher, never on the way of a request.

One sorted set in Redis, so that it survives restarts; one member a minute, whoever samples first.
"""

import time
from typing import NamedTuple

from dlq.scripts import refusing
from dlq.stream import Stream

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
    minute, stats = int(time.time()) // 60, queue.stats()
    figures = (minute, stats.depth, stats.enqueued, stats.gone, int(queue.oldest_age()))
    text = ":".join(map(str, figures))
    return bool(queue.run("sample", [f"{queue.stream}:history"], [minute, minute - KEPT_MINUTES, text]))


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
