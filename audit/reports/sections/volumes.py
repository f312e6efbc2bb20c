"""volumes: how many events happened on each day, of each writer."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from audit import visibility
from audit.models import Followed
from audit.postgres import sql
from audit.reports.figures import Drawing, Figure, Section, Table, TableRow, counted, listing, needed
from audit.reports.snapshot import Snapshot

KEYS = ("events", "failures", "queued", "writers", "sealed", "empty_days")
MAX_WRITERS, MAX_DAYS_DRAWN = 100, 100
# The hourly counts reach as far as the log was followed, a report as far as its checkpoint: the leaves in between are
# added or taken away. One statement, so that both are of one moment.
_DAYS = f"""
WITH place AS (SELECT coalesce((SELECT position FROM audit_followed WHERE name = %(name)s), 0) AS at)
SELECT writer, day, sum(events)::bigint, sum(failures)::bigint, sum(parked)::bigint FROM (
    SELECT writer, (hour AT TIME ZONE 'UTC')::date AS day, events, failures, parked
    FROM audit_hourcount WHERE hour >= %(begins)s AND hour < %(ends)s
    UNION ALL
    SELECT r.writer, (r.event_timestamp AT TIME ZONE 'UTC')::date,
           CASE WHEN l.index < %(size)s THEN 1 ELSE -1 END,
           CASE WHEN r.event_outcome <> 'failure' THEN 0 WHEN l.index < %(size)s THEN 1 ELSE -1 END,
           CASE WHEN r.parked_at IS NULL THEN 0 WHEN l.index < %(size)s THEN 1 ELSE -1 END
    FROM audit_leaf l JOIN {sql.RECORD_OF_LEAF}
    WHERE l.index >= (SELECT least(at, %(size)s) FROM place) AND l.index < (SELECT greatest(at, %(size)s) FROM place)
      AND r.event_timestamp >= %(begins)s AND r.event_timestamp < %(ends)s
) AS parts GROUP BY 1, 2 HAVING sum(events) <> 0
"""


class DayCount(NamedTuple):
    writer: str
    day: date
    events: int
    failures: int
    queued: int


def section(snapshot: Snapshot) -> Section:
    counts = day_counts(snapshot, snapshot.begins, snapshot.ends)
    per_day = Counter[date]()
    for count in counts:
        per_day[count.day] += count.events
    return Section(
        key="volumes",
        title="Volumes",
        says="Counted hour by hour while the log was followed, by the time at which the writer says the event "
        "happened; what is in the log after the checkpoint is left out.",
        figures=_figures(snapshot, counts, per_day),
        tables=(_writers(snapshot, counts),),
        drawings=(_drawing(snapshot, per_day),),
    )


def day_counts(snapshot: Snapshot, begins: datetime, ends: datetime) -> list[DayCount]:
    """The events between two midnights, of the writers whose figures the viewer may see."""
    parameters: dict[str, Any] = {"name": Followed.COMPLETENESS, "begins": begins, "ends": ends, "size": snapshot.size}
    counts = [DayCount(*row) for row in sql.rows(_DAYS, parameters)]
    return sorted(count for count in counts if visibility.may_see_totals(count.writer))


def _figures(snapshot: Snapshot, counts: list[DayCount], per_day: Counter[date]) -> tuple[Figure, ...]:
    events = sum(count.events for count in counts)
    failures = sum(count.failures for count in counts)
    queued = sum(count.queued for count in counts)
    writers = len({count.writer for count in counts})
    sealed = len(snapshot.leaves)
    empty = sum(day not in per_day for day in snapshot.days if day <= snapshot.at.date())
    none_sealed, log_page = "Nothing was sealed in this period.", "audit/checkpoint/"
    return (
        needed("events", "Events that happened", events, "No event happened in this period.", query=snapshot.query()),
        counted("failures", "Failed events", failures, query=snapshot.query("outcome:failure")),
        counted("queued", "Events stored by way of the dead letter queue", queued, page="audit/episode/"),
        needed("writers", "Services that sent them", writers, "No service sent anything.", page="audit/writer/"),
        needed("sealed", "Records sealed in the period", sealed, none_sealed, page=log_page),
        counted("empty_days", "Days without any event", empty, page="audit/hourcount/"),
    )


def _writers(snapshot: Snapshot, counts: Iterable[DayCount]) -> Table:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for count in counts:
        for column, number in enumerate((count.events, count.failures, count.queued, 1)):
            sums[count.writer][column] += number
    rows = [
        TableRow((name, *sums[name]), snapshot.query(f'writer:"{name}"'))
        for name in sorted(sums, key=lambda name: (-sums[name][0], name))
    ]
    return listing(
        "Each writer", ("writer", "events", "failures", "by the queue", "days with events"), rows, MAX_WRITERS
    )


def _drawing(snapshot: Snapshot, per_day: Counter[date]) -> Drawing:
    """A column for each day; of a long period, for each month."""
    if len(snapshot.days) <= MAX_DAYS_DRAWN:
        names = tuple(day.isoformat() for day in snapshot.days)
        return Drawing(title="Events a day", names=names, numbers=tuple(per_day[day] for day in snapshot.days))
    months = Counter[str]({f"{day:%Y-%m}": 0 for day in snapshot.days})
    for day, count in per_day.items():
        months[f"{day:%Y-%m}"] += count
    return Drawing(title="Events a month", names=tuple(months), numbers=tuple(months.values()))
