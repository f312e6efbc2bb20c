"""coverage: how many events of each writer happened in each hour.

Counted in the order of the log, in the transaction that moves the position in it: an event counts once, whatever was
killed. The counts are derived: `rebuild` makes them again from the records, and says what differed. What a purge has
removed counts on: an hour of which records may have been purged is never counted lower than it was.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction

from audit.formats.event import SealedEvent
from audit.models import Followed, HourCount
from audit.postgres import sql

DAY = timedelta(days=1)
BEGINNING = datetime.min.replace(tzinfo=UTC)
_ADD = """
INSERT INTO audit_hourcount (writer, hour, events, failures, parked)
SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (writer, hour) DO UPDATE SET events = audit_hourcount.events + excluded.events,
    failures = audit_hourcount.failures + excluded.failures, parked = audit_hourcount.parked + excluded.parked
"""
_COUNT = """
SELECT r.writer, date_trunc('hour', r.event_timestamp, 'UTC'), count(*),
       count(*) FILTER (WHERE r.event_outcome = 'failure'), count(r.parked_at)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.event_timestamp >= %s AND r.event_timestamp < %s AND l.index < %s GROUP BY 1, 2
"""
_NEXT = """
SELECT least((SELECT min(event_timestamp) FROM audit_record WHERE event_timestamp >= %(since)s),
             (SELECT min(hour) FROM audit_hourcount WHERE hour >= %(since)s))
"""
# No event is more than an hour ahead of its storage, so after this no hour has lost any to a purge.
_PURGED_UNTIL = """
SELECT (to_date(max(month), 'YYYY-MM') + interval '1 month 1 hour') AT TIME ZONE 'UTC' FROM audit_purgecount
"""
# The slot is a number, not a time: reading thousands of times would take longer than adding all of them up.
_SUMS = """
SELECT writer, (extract(epoch FROM slot - %(since)s) / extract(epoch FROM %(step)s))::int, events, failures, parked
FROM (
    SELECT writer, date_bin(%(step)s, hour, %(since)s) AS slot,
           sum(events)::bigint AS events, sum(failures)::bigint AS failures, sum(parked)::bigint AS parked
    FROM audit_hourcount WHERE writer = ANY(%(writers)s) AND hour >= %(since)s AND hour < %(until)s GROUP BY 1, 2
) AS sums
"""

# Called with the part of the days that is done, and how many hours differed so far.
Progress = Callable[[float, int], None]
Key = tuple[str, datetime]


class Count(NamedTuple):
    events: int
    failures: int
    parked: int


class HourDifference(NamedTuple):
    """An hour whose count was not what the records say."""

    writer: str
    hour: datetime
    was: Count
    is_now: Count


NONE = Count(0, 0, 0)


def apply(events: Iterable[SealedEvent]) -> None:
    """Count events of the log, each once, in any order."""
    counts: dict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
    for event in events:
        count = counts[event.writer, hour_of(event.at)]
        count[0] += 1
        count[1] += event.outcome == "failure"
        count[2] += event.parked_at is not None
    if not counts:
        return
    rows = [(*key, *counts[key]) for key in sorted(counts)]  # in one order, so that two at work do not lock each other
    sql.run(_ADD, [list(column) for column in zip(*rows, strict=True)])


def rebuild(*, since: datetime | None = None, progress: Progress | None = None) -> Iterator[HourDifference]:
    """Count anew from the records, day by day; yield each hour that differed, and is mended.

    Each day is a transaction that holds the position in the log: what is sealed meanwhile is counted after it, once.
    Safe to be killed anywhere, and to run again.
    """
    Followed.objects.get_or_create(name=Followed.COMPLETENESS)
    day, first, differed, now = since or BEGINNING, None, 0, datetime.now(UTC)
    while (moment := sql.rows(_NEXT, {"since": day})[0][0]) is not None:
        day = hour_of(moment).replace(hour=0)
        first = first or day
        for difference in _rebuild(day, day + DAY):
            differed += 1
            yield difference
        day += DAY
        if progress:
            progress(min((day - first) / max(now - first, DAY), 1.0), differed)


def sums(writers: Sequence[str], since: datetime, until: datetime, step: timedelta) -> dict[Key, Count]:
    """The counts of these writers, in steps from `since` on; a step without events is left out."""
    slots = [since + step * n for n in range(-(-(until - since) // step))]
    parameters: dict[str, Any] = {"writers": list(writers), "since": since, "until": until, "step": step}
    return {(writer, slots[slot]): Count(*count) for writer, slot, *count in sql.rows(_SUMS, parameters)}


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@transaction.atomic
def _rebuild(since: datetime, until: datetime) -> list[HourDifference]:
    position = Followed.objects.select_for_update().get(name=Followed.COMPLETENESS).position
    counted = {(writer, hour): Count(*count) for writer, hour, *count in sql.rows(_COUNT, [since, until, position])}
    stored = {
        (row.writer, row.hour): Count(row.events, row.failures, row.parked)
        for row in HourCount.objects.filter(hour__gte=since, hour__lt=until)
    }
    purged_until = sql.rows(_PURGED_UNTIL)[0][0] or BEGINNING
    differences = []
    for key in sorted({*counted, *stored}):
        was, is_now = stored.get(key, NONE), counted.get(key, NONE)
        if key[1] < purged_until:
            is_now = Count(*map(max, was, is_now))
        if was != is_now:
            _store(key, is_now)
            differences.append(HourDifference(*key, was, is_now))
    return differences


def _store(key: Key, count: Count) -> None:
    writer, hour = key
    if count == NONE:
        HourCount.objects.filter(writer=writer, hour=hour).delete()
        return
    values: dict[str, Any] = count._asdict()
    HourCount.objects.update_or_create(writer=writer, hour=hour, defaults=values)
