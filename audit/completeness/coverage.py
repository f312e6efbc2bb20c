"""coverage: how many events of each writer happened in each hour.

Followed in the order of the log, in the transaction that moves the place in it: an event counts once, whatever was
killed. It is a computation and no source: `rebuild` makes it again from the records, and says what differed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections, transaction

from audit.models import Followed, HourCount

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
_SUMS = """
SELECT writer, (extract(epoch FROM slot - %(since)s) / extract(epoch FROM %(step)s))::int, events, failures, parked
FROM (
    SELECT writer, date_bin(%(step)s, hour, %(since)s) AS slot,
           sum(events)::bigint AS events, sum(failures)::bigint AS failures, sum(parked)::bigint AS parked
    FROM audit_hourcount WHERE writer = ANY(%(writers)s) AND hour >= %(since)s AND hour < %(until)s GROUP BY 1, 2
) AS sums
"""
# Places in a list are numbers: thousands of times to read would take longer than to add them all up.

Progress = Callable[[float, int], None]
"""Told which part of the days is done, and how many hours differed so far."""


class Seen(NamedTuple):
    """What counts of one event."""

    writer: str
    at: datetime
    failed: bool
    parked: bool


class Count(NamedTuple):
    """The events of one writer in one span."""

    events: int
    failures: int
    parked: int


class Difference(NamedTuple):
    """An hour that was not what the records say."""

    writer: str
    hour: datetime
    was: Count
    is_now: Count


NONE = Count(0, 0, 0)
Key = tuple[str, datetime]


def take(events: Iterable[Seen]) -> None:
    """Count events that are in the log, each once, in any order."""
    found: dict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in events:
        count = found[one.writer, hour_of(one.at)]
        count[0] += 1
        count[1] += one.failed
        count[2] += one.parked
    if not found:
        return
    rows = [(*key, *found[key]) for key in sorted(found)]  # in one order, so that two at work do not lock each other
    with connections["default"].cursor() as cursor:
        cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def rebuild(*, since: datetime | None = None, progress: Progress | None = None) -> Iterator[Difference]:
    """Count anew from the records, day by day; yield each hour that was different, and is mended.

    Each day is a transaction that holds the place in the log: what is sealed meanwhile is counted after it, once.
    Safe to be killed anywhere, and to run again.
    """
    Followed.objects.get_or_create(name=Followed.COMPLETENESS)
    day, first, differed, now = since or BEGINNING, None, 0, datetime.now(UTC)
    while (found := _next(day)) is not None:
        day = hour_of(found).replace(hour=0)
        first = first or day
        for difference in _rebuild(day, day + DAY):
            differed += 1
            yield difference
        day += DAY
        if progress:
            progress(min((day - first) / max(now - first, DAY), 1.0), differed)


def sums(writers: Sequence[str], since: datetime, until: datetime, step: timedelta) -> dict[Key, Count]:
    """What is counted of these writers, in steps from `since` on; what is not there is none."""
    slots = [since + step * n for n in range(-(-(until - since) // step))]
    parameters: dict[str, Any] = {"writers": list(writers), "since": since, "until": until, "step": step}
    with connections["default"].cursor() as cursor:
        cursor.execute(_SUMS, parameters)
        return {(writer, slots[place]): Count(*count) for writer, place, *count in cursor.fetchall()}


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour, UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _next(since: datetime) -> datetime | None:
    with connections["default"].cursor() as cursor:
        cursor.execute(_NEXT, {"since": since})
        found: datetime | None = cursor.fetchone()[0]
        return found


@transaction.atomic
def _rebuild(since: datetime, until: datetime) -> list[Difference]:
    place = Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)
    with connections["default"].cursor() as cursor:
        cursor.execute(_COUNT, [since, until, place.position])
        counted = {(row[0], row[1]): Count(*row[2:]) for row in cursor.fetchall()}
    kept = {(one.writer, one.hour): one for one in HourCount.objects.filter(hour__gte=since, hour__lt=until)}
    differences = []
    for key in sorted({*counted, *kept}):
        was, is_now = _kept(kept.get(key)), counted.get(key, NONE)
        if was != is_now:
            _keep(key, is_now)
            differences.append(Difference(*key, was, is_now))
    return differences


def _kept(one: HourCount | None) -> Count:
    return NONE if one is None else Count(one.events, one.failures, one.parked)


def _keep(key: Key, count: Count) -> None:
    writer, hour = key
    if count == NONE:
        HourCount.objects.filter(writer=writer, hour=hour).delete()
        return
    values: dict[str, Any] = count._asdict()
    HourCount.objects.update_or_create(writer=writer, hour=hour, defaults=values)
