"""Mend after a start of Redis what it left half done when it was killed.

A kill may cut the writes of a script in the append-only file. Redis leaves the cut transaction out when it starts, but
its beginning stays in the file; at the start after that, the half is carried out with what follows, or what follows is
cut off with it (valkey-io/valkey#4342, the same code in Redis). Writing the file anew drops the half.
"""

import structlog

from dlq import counters
from dlq.errors import RebuildRunning, Refused
from dlq.rebuild import Rebuilt, rebuild
from dlq.scripts import refusing
from dlq.stream import Stream

log = structlog.get_logger(__name__)

# The field of the alarm state that holds the run id of the Redis that was mended last.
SEEN_RUN = "run_id"


def mend(queue: Stream) -> Rebuilt | None:
    """Once for each start of Redis: rewrite its file, and rebuild the indexes if they do not add up.

    Returns the rebuild, if there was one. Raises `Refused`; then the next call does it.
    """
    with refusing():
        started = str(queue.redis.info("server")["run_id"])
    if queue.alarms.read().get(SEEN_RUN) == started:
        return None
    _rewrite_file(queue)
    rebuilt = None
    if not (before := queue.totals.stats()).balanced or not counters.read(queue).whole:
        try:
            rebuilt = rebuild(queue)
        except RebuildRunning:
            return None  # by another process; if it does not come to its end, the next call does it
        log.error("dlq_mended_after_restart", before=before._asdict(), messages=rebuilt.messages)
    queue.alarms.remember(SEEN_RUN, started)
    return rebuilt


def _rewrite_file(queue: Stream) -> None:
    """Have Redis rewrite its append-only file; log a warning where it refuses, or is at it already."""
    try:
        with refusing():
            if queue.redis.info("persistence")["aof_enabled"]:
                queue.redis.bgrewriteaof()
    except Refused as error:
        log.warning("dlq_file_not_rewritten", error=str(error.__cause__))
