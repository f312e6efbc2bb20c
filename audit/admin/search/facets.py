"""The values of a few fields among the records of a query, with counts, each a link that narrows the query."""

from collections import defaultdict
from typing import NamedTuple

from audit.admin.search import query_bar
from audit.admin.search.histogram import MS, RECORDS
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
_COUNTS = f"""
SELECT GROUPING({", ".join(FIELDS.values())}), COALESCE({", ".join(FIELDS.values())}), count(*)
FROM ({{}}) AS matching GROUP BY GROUPING SETS ({", ".join(f"({column})" for column in FIELDS.values())})
ORDER BY 3 DESC, 2
"""


class Value(NamedTuple):
    link: Link
    records: int


class Facets(NamedTuple):
    # Each field that has several values, with the most frequent of them.
    fields: list[tuple[str, list[Value]]]
    # Whether the newest records of the query were counted, and not all.
    is_capped: bool


def facets(bar: query_bar.QueryBar, records: RecordQuerySet) -> Facets | None:
    """Return the counts; None where there is nothing to choose from, or it takes too long."""
    matching = query.matching(bar.search(1), records).values(*FIELDS.values())[:RECORDS]
    text, parameters = matching.query.sql_with_params()
    try:
        with cost.reading(milliseconds=MS):
            rows = sql.rows(_COUNTS.format(text), [*parameters], using="reader")
    except cost.TookTooLong:
        return None
    found: dict[str, list[Value]] = defaultdict(list)
    names, number = list(FIELDS), 0
    for grouping, value, count in rows:
        # Of its bits, the last of which is the last column's, one is not set: that of the column that was grouped by.
        name = names[-(grouping ^ (2 ** len(names) - 1)).bit_length()]
        number += count if name == names[0] else 0
        if value:
            address = query_bar.address(bar.query.with_term(name, value)) + bar.suffix
            found[name].append(Value(Link(value, address), count))
    fields = [(name, found[name][:VALUES_SHOWN]) for name in names if len(found[name]) > 1]
    return Facets(fields, number >= RECORDS) if fields else None
