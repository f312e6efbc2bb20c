"""daily: how many events of a writer came on each day, for the rules that ask for so many."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from audit.expectations import unmet
from audit.formats import expectation
from audit.formats.expectation import ObservedEvent
from audit.models import Expectation, Tally, Unmet

DAYS_AT_ONCE = 366


def take(rules: Sequence[Expectation], seen: Sequence[ObservedEvent]) -> None:
    """Count records of the log, each once, in any order; what comes late closes what was found."""
    for known in rules:
        rule = known.rule
        days = Counter(
            expectation.day_of(one.at)
            for one in seen
            if one.place >= known.first_leaf and expectation.counts(rule, one)
        )
        for day, more in sorted(days.items()):
            tally, _ = Tally.objects.get_or_create(expectation=known, day=day, defaults={"came": 0})
            tally.came += more
            tally.save(update_fields=["came"])
            _late(known, day, tally.came)


def settle(before: datetime) -> None:
    """Judge the days that ended before then, whether anything came on them or not."""
    for known in Expectation.objects.filter(active=True, kind="rate", next_day__isnull=False):
        days = list(_ended(known, before))
        if not days:
            continue
        came = dict(known.tallies.filter(day__gte=days[0], day__lte=days[-1]).values_list("day", "came"))
        few = [day for day in days if came.get(day, 0) < (known.least or 0)]
        unmet.keep([_unmet(known, day, came.get(day, 0)) for day in few])
        known.next_day = days[-1] + timedelta(days=1)
        known.met += len(days) - len(few)
        known.save(update_fields=["next_day", "met"])


def _ended(known: Expectation, before: datetime) -> Iterator[date]:
    assert known.next_day is not None
    for n in range(DAYS_AT_ONCE):
        day = known.next_day + timedelta(days=n)
        if expectation.day_bounds(day)[1] > before:
            return
        yield day


def _late(known: Expectation, day: date, came: int) -> None:
    unmet = Unmet.objects.filter(expectation=known, subject=known.writer, key=day.isoformat()).first()
    if unmet is None:
        return
    unmet.came = came
    if came >= (unmet.least or 0):
        unmet.closed_at = unmet.closed_at or datetime.now(UTC)
    unmet.save(update_fields=["came", "closed_at"])


def _unmet(known: Expectation, day: date, came: int) -> Unmet:
    since, due_at = expectation.day_bounds(day)
    return Unmet(
        **unmet.asked(known),
        subject=known.writer,
        key=day.isoformat(),
        writer=known.writer,
        since=since,
        due_at=due_at,
        came=came,
        found_at=datetime.now(UTC),
    )
