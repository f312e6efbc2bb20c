"""The values of a few fields among the records of a query, with counts, each a link that narrows the query."""

from collections import defaultdict
from contextlib import suppress
from typing import Any, NamedTuple

from audit.admin.search import query_bar
from audit.admin.search.query_bar import Link
from audit.models import RecordQuerySet
from audit.postgres import sql
from audit.search import cost, query

# Field of the query: column.
FIELDS = {
    "outcome": "event_outcome",
    "actor": "actor_id",
    "severity": "severity",
    "category": "event_category",
    "writer": "writer",
}
VALUES_SHOWN = 8
# So many of the newest records are counted, each lies on a page of its own; and for no longer than this in all.
RECORDS, MS = 1_000, 50
_COUNTS = f"""
SELECT GROUPING({", ".join(FIELDS.values())}), COALESCE({", ".join(FIELDS.values())}),
    count(*) FILTER (WHERE place <= %s), count(*)
FROM (SELECT *, row_number() OVER () AS place FROM ({{}}) AS ordered) AS matching
GROUP BY GROUPING SETS ({", ".join(f"({column})" for column in FIELDS.values())})
ORDER BY 3 DESC, 2
"""


class Value(NamedTuple):
    link: Link
    records: int


class Facets(NamedTuple):
    # Each field that has several values, with the most frequent of them.
    fields: list[tuple[str, list[Value]]]
    # Of so many records, the newest of the query.
    records: int
    # Whether the query has more.
    is_capped: bool


def facets(bar: query_bar.QueryBar, records: RecordQuerySet) -> Facets | None:
    """Return the counts, of one field at least as many records as there are; None where it takes too long."""
    matching = query.matching(bar.search(1), records).values(*FIELDS.values())[: RECORDS + 1]
    text, parameters = matching.query.sql_with_params()
    ways = cost.ways(bar.query)
    for never in ways:
        with suppress(cost.TookTooLong), cost.reading(milliseconds=MS // len(ways), never=never):
            return _of(bar, sql.rows(_COUNTS.format(text), [RECORDS, *parameters], using="reader"))
    return None


def _of(bar: query_bar.QueryBar, rows: list[Any]) -> Facets:
    values: dict[str, list[Value]] = defaultdict(list)
    names, number = list(FIELDS), 0
    for grouping, value, counted, all_of_it in rows:
        # Of its bits, the last of which is the last column's, one is not set: that of the column that was grouped by.
        name = names[-(grouping ^ (2 ** len(names) - 1)).bit_length()]
        number += all_of_it if name == names[0] else 0
        if value and counted:
            address = query_bar.address(bar.query.with_term(name, value)) + bar.suffix
            values[name].append(Value(Link(value, address), counted))
    fields = [(name, values[name][:VALUES_SHOWN]) for name in names if len(values[name]) > 1]
    return Facets(fields, min(number, RECORDS), number > RECORDS)
