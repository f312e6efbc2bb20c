"""recovery: what Redis left half done when it was killed, mended after its next start.

A kill may cut the writes of a script in the append-only file. Redis leaves the cut transaction out when it starts, but
its beginning stays in the file; at the start after that, the half is carried out with what follows, or what follows is
cut off with it (valkey-io/valkey#4342, the same code in Redis). Writing the file anew drops the half.
"""

import structlog

from dlq import counters
from dlq.errors import Refused
from dlq.rebuild import Rebuilt, rebuild
from dlq.scripts import refusing
from dlq.stream import Stream

log = structlog.get_logger(__name__)

SEEN = "run_id"


def mend(queue: Stream) -> Rebuilt | None:
    """Once for each start of Redis: have its file written anew, and the indexes made again if they do not add up.

    Returns what was made again, if anything was. Raises `Refused`; then the next look does it.
    """
    with refusing():
        started = str(queue.redis.info("server")["run_id"])
    if queue.alarm_state().get(SEEN) == started:
        return None
    _write_anew(queue)
    rebuilt = None
    if not (before := queue.stats()).balanced or not counters.read(queue).whole:
        rebuilt = rebuild(queue)
        log.error("dlq_mended_after_restart", before=before._asdict(), messages=rebuilt.messages)
    queue.alarm_told(SEEN, started)
    return rebuilt


def _write_anew(queue: Stream) -> None:
    """Where Redis does not let us, or is at it already, it stays with a warning."""
    try:
        with refusing():
            if queue.redis.info("persistence")["aof_enabled"]:
                queue.redis.bgrewriteaof()
    except Refused as error:
        log.warning("dlq_file_not_rewritten", error=str(error.__cause__))
