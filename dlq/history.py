"""Sample the queue each minute, and keep seven days of it: done by the watcher, never on the way of a request.

The samples are one sorted set in Redis, so that they survive restarts; one member a minute, of whoever samples first.
"""

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
    """Keep a sample of this minute, if nobody has; return whether this call did. Raises `Refused`."""
    minute, stats = queue.now_ms() // 60_000, queue.totals.stats()
    figures = (minute, stats.depth, stats.enqueued, stats.gone, int(queue.pages.oldest_age()))
    text = ":".join(map(str, figures))
    return bool(queue.run("sample", [queue.keys.minutes], [minute, minute - KEPT_MINUTES, text]))


def samples(queue: Stream, minutes: int) -> list[Sample]:
    """Return the samples of the last minutes, oldest first; two of one minute count once. Raises `Refused`."""
    now = queue.now_ms() // 60_000
    with refusing():
        rows = queue.redis.zrangebyscore(queue.keys.minutes, now - minutes, "+inf")
    by_minute = {sample.minute: sample for sample in (Sample(*map(int, row.split(b":"))) for row in rows)}
    return [by_minute[minute] for minute in sorted(by_minute)]


def arrivals_a_minute(queue: Stream, minutes: int = 60) -> float:
    """Return how many messages came in a minute, on average of the last ones. Raises `Refused`."""
    kept = samples(queue, minutes)
    if len(kept) < 2:
        return 0.0
    return (kept[-1].enqueued - kept[0].enqueued) / (kept[-1].minute - kept[0].minute)
