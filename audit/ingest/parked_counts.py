"""parked_counts: what this process answered 202, counted in its memory until PostgreSQL can be told.

The queue counts what came as well, but in Redis: what Redis loses before PostgreSQL is back would be lost unseen. A
process that ends before that takes its count with it; then less is known to be lost, never more.
"""

import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, timedelta

import psycopg

from audit.errors import AuditError
from audit.formats.event import Accepted
from audit.postgres.gateway import gateway

TIMEOUT_S = 0.5
_HAND = b"""
INSERT INTO audit_promise (process, day, writer, parked, handed_at)
SELECT %s, *, clock_timestamp() FROM unnest(%s::date[], %s::text[], %s::bigint[])
ON CONFLICT (process, day, writer) DO UPDATE SET handed_at = excluded.handed_at,
    parked = greatest(audit_promise.parked, excluded.parked)
"""


class Promises:
    """The counts of one process: absolute, so that to hand them over twice does no harm."""

    def __init__(self) -> None:
        self._process = uuid.uuid4()
        self._counts: Counter[tuple[date, str]] = Counter()
        self._waiting: set[tuple[date, str]] = set()
        self._lock = threading.Lock()
        self._handing = threading.Lock()

    def note(self, parked: Iterable[Accepted]) -> None:
        """Count events that were parked."""
        with self._lock:
            for one in parked:
                line = (one.received_at.astimezone(UTC).date(), one.writer)
                self._counts[line] += 1
                self._waiting.add(line)

    def hand_over(self) -> bool:
        """Tell PostgreSQL what it does not know yet; return whether it knows all. Never raises.

        Called after a write that PostgreSQL took, so that it costs nothing but after events were parked.
        """
        if not self._waiting or not self._handing.acquire(blocking=False):
            return not self._waiting
        try:
            with self._lock:
                told = {line: self._counts[line] for line in sorted(self._waiting)}
            if told:  # another thread may have told it all since we looked
                self._tell(told)
                self._settle(told)
        except (psycopg.Error, AuditError):
            return False
        finally:
            self._handing.release()
        return True

    def _tell(self, told: dict[tuple[date, str], int]) -> None:
        days, writers = [day for day, _ in told], [writer for _, writer in told]
        with gateway().connection(TIMEOUT_S) as connection:
            connection.execute(_HAND, (self._process, days, writers, list(told.values())))

    def _settle(self, told: dict[tuple[date, str], int]) -> None:
        """What rose meanwhile is told next time; the counts of days that are over are not needed any more."""
        newest = max(day for day, _ in told)
        with self._lock:
            self._waiting -= {line for line, count in told.items() if self._counts[line] == count}
            for line in [
                one for one in self._counts if one[0] < newest - timedelta(days=2) and one not in self._waiting
            ]:
                del self._counts[line]


def of_process() -> Promises:
    """This process's promises; a forked child makes its own."""
    return _promises


def _after_fork() -> None:
    global _promises
    _promises = Promises()


_promises = Promises()
os.register_at_fork(after_in_child=_after_fork)
