"""state: how far each target is behind, whether that is well, and the alarm where it is not."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings

from audit.ingest.notify import notify
from audit.models import Stream
from audit.postgres import sql

# A streamer that lives says so every ten seconds.
STREAMER_GONE = timedelta(seconds=60)
NAMES_TOLD = 5
# A record is sealed and streamed within some seconds.
BEHIND_S = 60.0
# All targets in one question, for a scrape asks it: the newest signed head, and the record of the next leaf that each
# lacks.
_NEXT = """
WITH head AS (
    SELECT size FROM (
        SELECT number, size FROM audit_head WHERE NOT kept
        UNION ALL (SELECT number, size FROM audit_checkpoint ORDER BY number DESC LIMIT 1)
    ) heads ORDER BY number DESC LIMIT 1
), sizes AS (SELECT coalesce((SELECT size FROM head), 0) AS size)
SELECT s.*, sizes.size AS log_size, clock_timestamp() AS asked_at, (
    SELECT l.record_id FROM audit_leaf l WHERE l.index = s.position AND l.index < sizes.size
) AS next_id
FROM audit_stream s, sizes WHERE %s::text IS NULL OR s.name = %s ORDER BY s.name
"""
# By ids that the statement itself names, so it is planned for their months alone.
_WAITED = """
SELECT id, extract(epoch FROM clock_timestamp() - stored_at)::float8 FROM audit_record WHERE id = ANY(%s::uuid[])
"""
# Of a record that was purged meanwhile the next that is there, among so many.
_PAST_PURGED = 1_000
_LEAVES = "SELECT record_id FROM audit_leaf WHERE index > %s AND index < %s ORDER BY index"


class Lag(NamedTuple):
    """How far a target is behind the newest signed head, in records and in seconds, and what state that is."""

    stream: Stream
    size: int
    records: int
    seconds: float
    state: str

    @property
    def is_overdue(self) -> bool:
        return self.stream.ended_at is None and self.seconds > settings.STREAM_ALARM_S


def lags(name: str | None = None) -> list[Lag]:
    """All targets by name, or that of this name, in two questions. Raises database errors."""
    rows: list[Any] = list(Stream.objects.raw(_NEXT, [name, name]))
    waited = _waited({row.next_id for row in rows} - {None})
    return [_lag(row, waited) for row in rows]


def lag_of(row: Stream) -> Lag:
    """How far a target is behind now."""
    [lag] = lags(row.name)
    return lag


def alarm() -> int:
    """Tell of targets that are overdue, each once until it has caught up; return how many were told.

    Raises `NothingKept`, database errors.
    """
    all_of_them = lags()
    well = [lag.stream.name for lag in all_of_them if not lag.is_overdue]
    Stream.objects.filter(name__in=well, told_at__isnull=False).update(told_at=None)
    late = [lag for lag in all_of_them if lag.is_overdue and lag.stream.told_at is None]
    if not late:
        return 0
    worst = max(late, key=lambda lag: lag.seconds)
    names = ", ".join(lag.stream.name for lag in late[:NAMES_TOLD])
    why = worst.stream.problem or ("no streamer is at work" if worst.state == "no streamer" else "it is slow")
    waiting = Stream.objects.filter(name__in=[lag.stream.name for lag in late])
    notify(
        "audit.stream",
        f"{len(late)} targets of streams are behind ({names}). {worst.stream.name} lacks {worst.records} records, the "
        f"oldest for {worst.seconds:.0f} s: {why}. Nothing is lost: see the admin, Streams.",
        told=lambda: waiting.update(told_at=sql.now()),
        targets=len(late),
    )
    return len(late)


def _waited(ids: Collection[UUID]) -> dict[UUID, float]:
    """For how many seconds the records that are there have been stored."""
    return dict(sql.rows(_WAITED, [list(ids)])) if ids else {}


def _lag(row: Any, waited: Mapping[UUID, float]) -> Lag:
    records = max(row.log_size - row.position, 0)
    seconds = 0.0
    if row.next_id is not None:
        seconds = waited[row.next_id] if row.next_id in waited else _past_purged(row)
    return Lag(row, row.log_size, records, max(seconds, 0.0), _state(row, seconds, row.asked_at))


def _past_purged(row: Any) -> float:
    end = min(row.position + _PAST_PURGED, row.log_size)
    ids = [record_id for (record_id,) in sql.rows(_LEAVES, [row.position, end])]
    waited = _waited(ids)
    return next((waited[record_id] for record_id in ids if record_id in waited), 0.0)


def _state(row: Stream, seconds: float, now: datetime) -> str:
    if row.ended_at is not None:
        return "ended"
    if row.seen_at is None or now - row.seen_at > STREAMER_GONE:
        return "no streamer"
    if row.problem:
        return "failing"
    return "behind" if seconds > BEHIND_S else "up to date"
