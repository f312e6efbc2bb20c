"""What this process answered 202, counted in its memory until PostgreSQL can be told.

The queue counts as well, but in Redis: what Redis loses before PostgreSQL is back would be lost unseen. A process that
ends before it could tell takes its count with it; then fewer events are known to be lost, never more.
"""

import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import psycopg

from audit.errors import AuditError
from audit.formats.event import Accepted
from audit.postgres.gateway import gateway

TIMEOUT_S = 0.5
DAYS_KEPT = timedelta(days=2)
_UPSERT = b"""
INSERT INTO audit_promise (process, day, writer, parked, handed_at)
SELECT %s, *, clock_timestamp() FROM unnest(%s::date[], %s::text[], %s::bigint[])
ON CONFLICT (process, day, writer) DO UPDATE SET handed_at = excluded.handed_at,
    parked = greatest(audit_promise.parked, excluded.parked)
"""


class ParkedCounts:
    """The counts of one process by day and writer: absolute, so that to hand them over twice does no harm."""

    def __init__(self) -> None:
        self._process = uuid.uuid4()
        self._counts: Counter[tuple[date, str]] = Counter()
        self._changed: set[tuple[date, str]] = set()
        self._lock = threading.Lock()
        self._handing_over = threading.Lock()

    def note(self, parked: Iterable[Accepted]) -> None:
        for event in parked:
            self.note_received(event.received_at, event.writer, 1)

    def note_received(self, at: datetime, writer: str, count: int) -> None:
        if not count:
            return
        line = (at.astimezone(UTC).date(), writer)
        with self._lock:
            self._counts[line] += count
            self._changed.add(line)

    def hand_over(self) -> bool:
        """Tell PostgreSQL what changed; return whether it knows all. Never raises.

        Called after a write that PostgreSQL took, so that it costs nothing but after events were parked.
        """
        if not self._changed or not self._handing_over.acquire(blocking=False):
            return not self._changed
        try:
            with self._lock:
                counts = {line: self._counts[line] for line in sorted(self._changed)}
            if counts:  # another thread may have handed over since the check above
                self._store(counts)
                self._settle(counts)
        except (psycopg.Error, AuditError):
            return False
        finally:
            self._handing_over.release()
        return True

    def _store(self, counts: dict[tuple[date, str], int]) -> None:
        days, writers = [day for day, _ in counts], [writer for _, writer in counts]
        with gateway().connection(TIMEOUT_S) as connection:
            connection.execute(_UPSERT, (self._process, days, writers, list(counts.values())))

    def _settle(self, stored: dict[tuple[date, str], int]) -> None:
        """Lines that rose meanwhile are told next time; those of days long over are forgotten."""
        oldest = max(day for day, _ in stored) - DAYS_KEPT
        with self._lock:
            self._changed -= {line for line, count in stored.items() if self._counts[line] == count}
            for line in [line for line in self._counts if line[0] < oldest and line not in self._changed]:
                del self._counts[line]


def of_process() -> ParkedCounts:
    """The counts of this process; a forked child makes its own."""
    return _counts


def _after_fork() -> None:
    global _counts
    _counts = ParkedCounts()


_counts = ParkedCounts()
os.register_at_fork(after_in_child=_after_fork)
