"""A query as plain data, so that a program without our grammar can apply it to a record."""

from datetime import datetime
from typing import Any

from audit.formats import spellings, times
from audit.formats.fields import DATA, FIELDS
from audit.formats.grammar import Query, Term, scalars
from audit.formats.times import timestamp_text


def plain(query: Query, now: datetime) -> list[dict[str, Any]]:
    """Return conditions that all hold for a matching record. Spans count back from `now`, as in the search itself."""
    return [_time(term, now) if term.is_time else _term(term) for term in query.terms]


def spelled_out(term: Term) -> list[str]:
    """Return the addresses of a term with all their parts; one that ends in a dot or a colon begins others."""
    return [
        value.text if value.prefix else spellings.spelled_out(spellings.read_address(value.text))
        for value in term.values
    ]


def _time(term: Term, now: datetime) -> dict[str, Any]:
    (value,) = term.values
    if term.field == "on":
        first, end = times.read_day(value.text)
        return {"field": "event_timestamp", "from": timestamp_text(first), "before": timestamp_text(end)}
    bound = {"after": "from", "before": "before", "until": "until"}[term.field]
    read = times.read_until if bound == "until" else times.read_time
    return {"field": "event_timestamp", bound: timestamp_text(read(value.text, now))}


def _term(term: Term) -> dict[str, Any]:
    if term.field in FIELDS and FIELDS[term.field].kind == "address":
        # A program that compares text alone must not take these for texts: it reads neither name.
        return {"field": FIELDS[term.field].column, "is_not" if term.negated else "is": spelled_out(term)}
    condition: dict[str, Any] = {"field": "event_data", "path": list(term.path)} if term.field == DATA else {}
    if not condition:
        column = FIELDS[term.field].column
        condition = {"field": "event_id" if column == "id" else column}
    equals: list[Any] = [value.text for value in term.values if not value.prefix]
    if term.field == DATA:
        equals += [meaning for value in term.values if not value.only_text for meaning in scalars(value.text)]
    begins = [value.text for value in term.values if value.prefix]
    return condition | {"equals": equals, "begins": begins, "negated": term.negated}
