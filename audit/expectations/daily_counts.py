"""daily_counts: the events of a writer on each day, for the rules that ask for so many."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from audit.expectations import unmet
from audit.formats import expectation
from audit.formats.event import SealedEvent
from audit.models import Expectation, Tally, Unmet

DAYS_AT_ONCE = 366


def apply(rows: Sequence[Expectation], events: Sequence[SealedEvent]) -> None:
    """Count events of the log, each once, in any order; what comes late closes what was unmet."""
    for row in rows:
        rule = row.rule
        days = Counter(
            expectation.day_of(event.at)
            for event in events
            if event.leaf_index >= row.first_leaf and expectation.counts(rule, event)
        )
        for day, more in sorted(days.items()):
            tally, _ = Tally.objects.get_or_create(expectation=row, day=day, defaults={"came": 0})
            tally.came += more
            tally.save(update_fields=["came"])
            _update_unmet(row, day, tally.came)


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


def _update_unmet(row: Expectation, day: date, came: int) -> None:
    finding = Unmet.objects.filter(expectation=row, subject=row.writer, key=day.isoformat()).first()
    if finding is None:
        return
    finding.came = came
    if came >= (finding.least or 0):
        finding.closed_at = finding.closed_at or datetime.now(UTC)
    finding.save(update_fields=["came", "closed_at"])


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
