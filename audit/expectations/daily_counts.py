"""daily_counts: the events of a writer on each day, for the rules that ask for so many."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from audit.expectations import unmet
from audit.formats import expectation
from audit.formats.event import SealedEvent
from audit.models import Expectation, Unmet
from audit.postgres import sql

DAYS_AT_ONCE = 366
# One statement for all days of a rule: a writer's times decide how many those are.
_COUNT = """
WITH now AS (
    INSERT INTO audit_tally (expectation_id, day, came)
    SELECT %(rule)s, day, more FROM unnest(%(days)s::date[], %(more)s::bigint[]) AS counted (day, more) ORDER BY day
    ON CONFLICT (expectation_id, day) DO UPDATE SET came = audit_tally.came + excluded.came
    RETURNING day, came
)
UPDATE audit_unmet unmet SET came = now.came, closed_at = CASE
    WHEN now.came >= coalesce(unmet.least, 0) THEN coalesce(unmet.closed_at, clock_timestamp()) ELSE unmet.closed_at
END
FROM now WHERE unmet.expectation_id = %(rule)s AND unmet.subject = %(subject)s
    AND unmet.key = to_char(now.day, 'YYYY-MM-DD')
"""


def apply(rows: Sequence[Expectation], events: Sequence[SealedEvent]) -> None:
    """Count events of the log, each once, in any order; what comes late closes what was unmet."""
    for row in rows:
        rule = row.rule
        days = Counter(
            expectation.day_of(event.at)
            for event in events
            if event.leaf_index >= row.first_leaf and expectation.counts(rule, event)
        )
        if days:
            sql.run(_COUNT, {"rule": row.pk, "subject": row.writer, "days": list(days), "more": list(days.values())})


def settle(before: datetime) -> None:
    """Judge the days that ended before then, whether anything came on them or not."""
    for row in Expectation.objects.filter(active=True, kind="rate", next_day__isnull=False):
        days = list(_ended(row, before))
        if not days:
            continue
        came = dict(row.tallies.filter(day__gte=days[0], day__lte=days[-1]).values_list("day", "came"))
        few = [day for day in days if came.get(day, 0) < (row.least or 0)]
        unmet.store([_unmet(row, day, came.get(day, 0)) for day in few])
        row.next_day = days[-1] + timedelta(days=1)
        row.met += len(days) - len(few)
        row.save(update_fields=["next_day", "met"])


def _ended(row: Expectation, before: datetime) -> Iterator[date]:
    assert row.next_day is not None
    for n in range(DAYS_AT_ONCE):
        day = row.next_day + timedelta(days=n)
        if expectation.day_bounds(day)[1] > before:
            return
        yield day


def _unmet(row: Expectation, day: date, came: int) -> Unmet:
    since, due_at = expectation.day_bounds(day)
    return Unmet(
        **unmet.facts_of(row),
        subject=row.writer,
        key=day.isoformat(),
        writer=row.writer,
        since=since,
        due_at=due_at,
        came=came,
        found_at=datetime.now(UTC),
    )
