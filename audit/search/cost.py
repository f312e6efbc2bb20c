"""Estimate how many records a query would read, and refuse one that reads too many with cheaper alternatives.

Decision 10. PostgreSQL's estimate is asked for, which costs less than a millisecond; rows are not read.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import OperationalError, connections, transaction
from django.db.models import Q, QuerySet

from audit.formats.fields import ANY, DATA, FIELDS
from audit.formats.grammar import Query, Term
from audit.models import Record
from audit.search import filters

# A query is refused that would read more records than this for one page, in the order they lie in.
MOST_READ = 200_000
# A record found by an index other than that of time lies anywhere, and costs as much as so many in a row.
SCATTERED = 10
PAGE = 50
WINDOWS = ("30d", "7d", "24h", "6h", "1h")
QUERY_CANCELED = "57014"
IN_ORDER = ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan")
# What the planner goes by when it reads in the order of an index, and when it collects first and sorts then.
GATHERING = ("enable_seqscan", "enable_bitmapscan")


class TooExpensive(ValueError):
    """The query would read too much of the store. `offers` are cheaper versions of it."""

    def __init__(self, message: str, offers: list[Query]):
        super().__init__(message)
        self.offers = offers


class TookTooLong(OperationalError):
    """PostgreSQL stopped a statement at its time limit."""


def check(query: Query, now: datetime | None = None, among: QuerySet[Any] | None = None) -> None:
    """Raise `TooExpensive` unless an index serves the query, or it reads little.

    `among` are rows with the columns and the indexes of records, where it is not about records.
    """
    now = now or datetime.now(UTC)
    if is_in_order(query) or looks_into_data(query):
        return
    if (reads := estimate(query, now, among)) <= MOST_READ:
        return
    offers = narrower(query, now, among)
    raise TooExpensive(_reason(query, reads, offers), offers)


def estimate(query: Query, now: datetime, among: QuerySet[Any] | None = None) -> int:
    """Return how many consecutive records the page costs: by walking back in time, or by the cheapest index."""
    window = filters.window(query, now)
    share = PAGE / max(_rows(filters.where(query, now), among), 1)
    ways = [_rows(window, among) * min(share, 1)]
    for term in query.terms:
        if _finds(term):
            rows = _rows(window & filters.condition(term, now), among)
            ways.append(SCATTERED * rows * (min(share, 1) if _in_order(term) else 1))
    return int(min(ways))


def narrower(query: Query, now: datetime, among: QuerySet[Any] | None = None) -> list[Query]:
    """Return the query in the two widest windows that are not too expensive."""
    if any(query.has(field) for field in ("before", "until", "on")):
        return []
    tries = [query.without("after").with_term("after", span) for span in WINDOWS]
    return [candidate for candidate in tries if candidate != query and estimate(candidate, now, among) <= MOST_READ][:2]


@contextmanager
def reading(*, milliseconds: int | None = None, never: tuple[str, ...] = ()) -> Iterator[None]:
    """Read records within a time limit and without these plan types. Raises `TookTooLong`."""
    chosen = dict.fromkeys(never, "off") | ({"statement_timeout": f"{milliseconds}ms"} if milliseconds else {})
    try:
        with transaction.atomic(using="reader"), connections["reader"].cursor() as cursor:
            for name, value in chosen.items():
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            yield
    except OperationalError as error:
        if not was_stopped(error):
            raise
        raise TookTooLong(*error.args) from error.__cause__


def was_stopped(error: Exception) -> bool:
    """Return whether PostgreSQL ended the statement because its time was up."""
    return getattr(error.__cause__, "sqlstate", None) == QUERY_CANCELED


def is_in_order(query: Query) -> bool:
    """Return whether one index yields the rows in the order of the list, so that nothing else is read."""
    rest = [term for term in query.terms if not term.is_time]
    return not rest or (len(rest) == 1 and _finds(rest[0]) and _in_order(rest[0]))


def looks_into_data(query: Query) -> bool:
    """Return whether the index over the data finds the rows."""
    return any(term.field == DATA and not term.negated for term in query.terms)


def _finds(term: Term) -> bool:
    indexed = term.field == ANY or (term.field in FIELDS and FIELDS[term.field].indexed)
    return indexed and not term.is_time and not term.negated


def _in_order(term: Term) -> bool:
    return term.field != ANY and len(term.values) == 1 and not term.values[0].prefix


def _rows(where: Q, among: QuerySet[Any] | None) -> int:
    rows = Record.objects.all() if among is None else among
    plan = json.loads(rows.filter(where).order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


def _reason(query: Query, reads: int, offers: list[Query]) -> str:
    unserved = (term for term in query.terms if not term.is_time and not _finds(term))
    names = dict.fromkeys(f"`{'-' if term.negated else ''}{term.field}:`" for term in unserved)
    what = f"no index finds {', '.join(names)} alone" if names else "no index finds this alone"
    advice = "name an actor, type, category, resource or correlation"
    if offers:
        span = next(term.values[0].text for term in offers[0].terms if term.field == "after")
        advice = f"add a time window of at most {span} (after:{span}), or {advice}"
    return (
        f"this would cost as much as reading about {intcomma(reads)} records in a row, "
        f"{intcomma(MOST_READ)} are the most: {what}; {advice}"
    )
