"""The chart above the record list: how many records of the query happened when, by outcome."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db.models import Sum
from django.utils.safestring import SafeString

from audit import visibility
from audit.admin.charts import counts
from audit.admin.charts.counts import Bucket
from audit.admin.search import query_bar
from audit.formats import times
from audit.formats.grammar import Query
from audit.models import HourCount, RecordQuerySet
from audit.postgres import sql
from audit.search import cost, query

BARS = 60
# Where no table of counts has the answer, so many of the newest records are counted, and for no longer than this.
RECORDS, MS = 5_000, 40
STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 60, 300, 900, 3600, *(hours * 3600 for hours in (3, 6, 12, 24, 7 * 24, 28 * 24)))
)
HOUR = timedelta(hours=1)
_BUCKETS = """
SELECT floor(extract(epoch FROM event_timestamp) / %s)::bigint, event_outcome, count(*)
FROM ({}) AS matching GROUP BY 1, 2
"""


class Chart(NamedTuple):
    figure: SafeString
    # What the bars do not say by themselves.
    note: str


def chart(bar: query_bar.QueryBar, records: RecordQuerySet) -> Chart | None:
    """Return the chart of a query with a beginning; None where there is nothing to draw, or it takes too long."""
    first, end = _span(bar)
    if first is None or end <= first:
        return None
    step = _step(end - first)
    first = datetime.fromtimestamp(first.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
    found = _hourly(bar.query, first, end, step) if step >= HOUR else None
    note = ""
    if found is None:
        counted = _counted(bar, records, step)
        if counted is None:
            return None
        found, is_capped = counted
        note = f"The newest {RECORDS:,} records of the query are counted." if is_capped else ""
    else:
        note = "Counted each hour: the newest records may be missing."
    number = -int((first - end) // step)
    buckets = [Bucket(first + n * step, found.get(first + n * step, Counter())) for n in range(max(number, 1))]
    if not any(bucket.total for bucket in buckets):
        return None
    addresses = [_narrowed(bar, bucket.begins, bucket.begins + step) for bucket in buckets]
    return Chart(counts.bars(buckets, step, addresses, "Records over time (UTC), by outcome"), note)


def _span(bar: query_bar.QueryBar) -> tuple[datetime | None, datetime]:
    """Return from when to when the query looks; no beginning for one that looks at all of time."""
    first, end = None, bar.now
    for term in bar.query.terms:
        if not term.is_time:
            continue
        text = term.values[0].text
        if term.field == "on":
            return times.read_day(text)
        moment = times.read_time(text, bar.now)
        first, end = (moment, end) if term.field == "after" else (first, moment)
    return first, end


def _step(span: timedelta) -> timedelta:
    return next((step for step in STEPS if span / step <= BARS), STEPS[-1])


def _hourly(asked: Query, first: datetime, end: datetime, step: timedelta) -> dict[datetime, Counter[str]] | None:
    """Return the counts of the table of hours; None for a query that it does not answer."""
    rest = [term for term in asked.terms if not term.is_time]
    if visibility.scopes() or len(rest) > 1 or (rest and rest[0].field != "writer"):
        return None
    if rest and (rest[0].negated or any(value.prefix for value in rest[0].values)):
        return None
    hours = HourCount.objects.filter(hour__gte=first, hour__lt=end)
    if rest:
        hours = hours.filter(writer__in=[value.text for value in rest[0].values])
    found: dict[datetime, Counter[str]] = defaultdict(Counter)
    for hour, events, failures in hours.values_list("hour").annotate(Sum("events"), Sum("failures")):
        place = first + (hour - first) // step * step
        found[place].update(failure=failures, success=events - failures)
    return found


def _counted(
    bar: query_bar.QueryBar, records: RecordQuerySet, step: timedelta
) -> tuple[dict[datetime, Counter[str]], bool] | None:
    """Return the counts of the newest records that match, and whether there are more."""
    matching = query.matching(bar.search(1), records).values("event_timestamp", "event_outcome")[:RECORDS]
    text, parameters = matching.query.sql_with_params()
    try:
        with cost.reading(milliseconds=MS):
            rows = sql.rows(_BUCKETS.format(text), [int(step.total_seconds()), *parameters], using="reader")
    except cost.TookTooLong:
        return None
    found: dict[datetime, Counter[str]] = defaultdict(Counter)
    for place, outcome, number in rows:
        found[datetime.fromtimestamp(place * int(step.total_seconds()), UTC)][outcome] += number
    return found, sum(row[2] for row in rows) >= RECORDS


def _narrowed(bar: query_bar.QueryBar, first: datetime, end: datetime) -> str:
    timeless = bar.query.without(*query_bar.TIMES)
    within = timeless.with_term("after", f"{first:%Y-%m-%dT%H:%M:%SZ}").with_term("before", f"{end:%Y-%m-%dT%H:%M:%SZ}")
    return query_bar.address(within) + bar.suffix
