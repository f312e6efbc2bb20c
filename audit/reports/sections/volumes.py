"""volumes: how many events happened on each day, of each writer."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connections

from audit import visibility
from audit.models import Followed
from audit.reports.figures import Drawing, Figure, Row, Section, Table, counted, needed
from audit.reports.snapshot import Basis

KEYS = ("events", "failures", "queued", "writers", "sealed", "empty_days")
WRITERS_NAMED, DAYS_DRAWN = 100, 100
# The rollup is as far as the log was followed, and a report is as far as its checkpoint: what lies between is added or
# taken away. All in one statement, so that both are of one moment.
_DAYS = """
WITH place AS (SELECT coalesce((SELECT position FROM audit_followed WHERE name = %(name)s), 0) AS at)
SELECT writer, day, sum(events)::bigint, sum(failures)::bigint, sum(parked)::bigint FROM (
    SELECT writer, (hour AT TIME ZONE 'UTC')::date AS day, events, failures, parked
    FROM audit_hourcount WHERE hour >= %(begins)s AND hour < %(ends)s
    UNION ALL
    SELECT r.writer, (r.event_timestamp AT TIME ZONE 'UTC')::date,
           CASE WHEN l.index < %(size)s THEN 1 ELSE -1 END,
           CASE WHEN r.event_outcome <> 'failure' THEN 0 WHEN l.index < %(size)s THEN 1 ELSE -1 END,
           CASE WHEN r.parked_at IS NULL THEN 0 WHEN l.index < %(size)s THEN 1 ELSE -1 END
    FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
    WHERE l.index >= (SELECT least(at, %(size)s) FROM place) AND l.index < (SELECT greatest(at, %(size)s) FROM place)
      AND r.event_timestamp >= %(begins)s AND r.event_timestamp < %(ends)s
) AS parts GROUP BY 1, 2 HAVING sum(events) <> 0
"""


class Line(NamedTuple):
    """The events of one writer on one day."""

    writer: str
    day: date
    events: int
    failures: int
    queued: int


def section(basis: Basis) -> Section:
    """Events by the day on which they happened."""
    lines = lines_of(basis, basis.begins, basis.ends)
    per_day = Counter[date]()
    for one in lines:
        per_day[one.day] += one.events
    return Section(
        key="volumes",
        title="Volumes",
        says="Counted hour by hour while the log was followed, by the time at which the writer says the event "
        "happened; what is in the log after the checkpoint is left out.",
        figures=_figures(basis, lines, per_day),
        tables=(_writers(basis, lines),),
        drawings=(_drawing(basis, per_day),),
    )


def lines_of(basis: Basis, begins: datetime, ends: datetime) -> list[Line]:
    """What happened between two beginnings of days, of the writers of whom figures may be told."""
    asked: dict[str, Any] = {"name": Followed.COMPLETENESS, "begins": begins, "ends": ends, "size": basis.size}
    with connections["default"].cursor() as cursor:
        cursor.execute(_DAYS, asked)
        found = [Line(*row) for row in cursor.fetchall()]
    return sorted(one for one in found if visibility.may_see_totals(one.writer))


def _figures(basis: Basis, lines: list[Line], per_day: Counter[date]) -> tuple[Figure, ...]:
    events, failures, queued = (sum(getattr(one, name) for one in lines) for name in ("events", "failures", "queued"))
    writers = len({one.writer for one in lines})
    empty = sum(day not in per_day for day in basis.days if day <= basis.at.date())
    return (
        needed("events", "Events that happened", events, "No event happened in this period.", query=basis.query()),
        counted("failures", "of those, failures", failures, query=basis.query("outcome:failure")),
        counted("queued", "of those, by way of the dead letter queue", queued, page="audit/episode/"),
        needed("writers", "Services that sent them", writers, "No service sent anything.", page="audit/writer/"),
        needed(
            "sealed",
            "Records sealed in the period",
            len(basis.leaves),
            "Nothing was sealed in this period.",
            page="audit/checkpoint/",
        ),
        counted("empty_days", "Days without any event", empty, page="audit/hourcount/"),
    )


def _writers(basis: Basis, lines: Iterable[Line]) -> Table:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one in lines:
        for place, more in enumerate((one.events, one.failures, one.queued, 1)):
            sums[one.writer][place] += more
    ranked = sorted(sums, key=lambda name: (-sums[name][0], name))
    rows = [Row((name, *sums[name]), basis.query(f'writer:"{name}"')) for name in ranked[:WRITERS_NAMED]]
    return Table(
        caption="Each writer",
        columns=("writer", "events", "failures", "by the queue", "days with events"),
        rows=tuple(rows),
        left_off=max(len(ranked) - WRITERS_NAMED, 0),
    )


def _drawing(basis: Basis, per_day: Counter[date]) -> Drawing:
    """A column for each day; of a long period, for each month."""
    if len(basis.days) <= DAYS_DRAWN:
        names = [day.isoformat() for day in basis.days]
        return Drawing(title="Events a day", names=tuple(names), numbers=tuple(per_day[day] for day in basis.days))
    months = Counter[str]({f"{day:%Y-%m}": 0 for day in basis.days})
    for day, count in per_day.items():
        months[f"{day:%Y-%m}"] += count
    return Drawing(title="Events a month", names=tuple(months), numbers=tuple(months.values()))
