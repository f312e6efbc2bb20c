"""request: what may be asked of an evidence bundle, and refused with the reason before anything is read."""

import secrets
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from django.db import connections

from audit import visibility
from audit.errors import Invalid
from audit.evidence import redaction
from audit.formats import grammar, sampling, times
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.models import Export
from audit.search import cost

MAX_QUERY = 2_000
_RECEIVED = """
SELECT min(l.index), max(l.index), count(*) FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.received_at >= %s AND r.received_at < %s AND l.index < %s
"""
Window = tuple[str, str]


class Wanted(TypedDict, total=False):
    """What somebody asks for: a query, or else leaves of the log, named by place or by the time of their receipt."""

    query: str
    first: int | None
    last: int | None
    received: Window | None
    with_csv: bool
    unredacted: bool
    sample: int | None
    seed: str
    as_of: int
    of_report: dict[str, str]


def fill(export: Export, wanted: Wanted) -> None:
    """Write down what is asked for. Raises `Invalid`."""
    export.with_csv, export.unredacted = wanted.get("with_csv", False), wanted.get("unredacted", False)
    export.redaction = [] if export.unredacted else redaction.in_force()
    first, last, received = wanted.get("first"), wanted.get("last"), wanted.get("received")
    by_place = first is not None or last is not None
    if sum((bool(wanted.get("query")), by_place, received is not None)) > 1:
        raise Invalid({"q": "goes by itself: ask for a query, for first and last, or for what was received in a time"})
    if received is not None:
        _ask_received(export, received)
    elif by_place:
        _ask_range(export, first, last)
    else:
        _ask_query(export, wanted.get("query", ""))
    _ask_sample(export, wanted.get("sample"), wanted.get("seed", ""))


def _ask_sample(export: Export, size: int | None, seed: str) -> None:
    """A seed that is not given is drawn; it is in the record of the request before anything is read."""
    if size is None and seed:
        raise Invalid({"sample": "is required with a seed: how many records are drawn"})
    if size is None:
        return
    export.sample, export.seed, export.total = size, seed or secrets.token_hex(8), None
    try:
        sampling.check(size, export.seed)
    except ValueError as error:
        raise Invalid({"sample": str(error)}) from None


def read(text: str, now: datetime) -> Query:
    """A query that can be asked. Raises `Invalid`."""
    if len(text) > MAX_QUERY or "\x00" in text:
        raise Invalid({"q": f"is a query of at most {MAX_QUERY} characters, without U+0000"})
    try:
        query = grammar.parse(text)
        cost.check(query, now)
    except ValueError as error:
        raise Invalid({"q": str(error)}) from None
    return query


def _ask_query(export: Export, text: str) -> None:
    query = read(text, export.requested_at)
    redaction.refuse(query, export.redaction)
    if not query.terms and not export.sight:
        _ask_range(export, 0, export.size)  # everything is a range, and a range is proved whole
        return
    export.kind, export.query = "query", str(query)


def _ask_range(export: Export, first: int | None, last: int | None) -> None:
    _refuse_a_part(export)
    export.kind, export.first, export.last = "range", first or 0, export.size if last is None else last
    if not 0 <= export.first < export.last <= export.size:
        raise Invalid({"last": f"a range is first and last, with 0 <= first < last <= {export.size}"})
    export.total = export.last - export.first


def _ask_received(export: Export, window: Window) -> None:
    """The leaves from the first to the last that were received in a time; others may lie between them."""
    _refuse_a_part(export)
    since, until = _moment("received_since", window[0], export), _moment("received_until", window[1], export)
    if not since < until:
        raise Invalid({"received_until": "is not after received_since"})
    try:
        with cost.reading(), connections["reader"].cursor() as cursor:
            cursor.execute(_RECEIVED, [since, until, export.size])
            first, last, count = cursor.fetchone()
    except cost.TookTooLong:
        raise Invalid({"received_since": "finding the records takes too long: ask for a shorter time"}) from None
    if not count:
        raise Invalid({"received_since": "no record that is sealed was received in this time: ask for a longer one"})
    _ask_range(export, first, last + 1)
    export.received = {"since": timestamp_text(since), "until": timestamp_text(until), "records": count}


def _refuse_a_part(export: Export) -> None:
    if export.sight:
        raise Invalid({"first": "a range has records of every writer, and you may see those of some: ask with q"})


def _moment(name: str, text: str, export: Export) -> datetime:
    try:
        return times.read_time(text, export.requested_at)
    except ValueError as error:
        raise Invalid({name: str(error)}) from None


class Asker(NamedTuple):
    """Who asks, and what he may see."""

    name: str
    by_service: bool = False
    sight: visibility.Scopes = visibility.EVERYTHING
    address: str | None = None
    may_unredacted: bool = False


def record(act: str, export: Export, asker: Asker, **facts: Any) -> None:
    kind = "service" if asker.by_service else "user"
    where = Where(kind, "security", ("export", str(export.pk)), asker.address)
    trail.add(f"audit.export.{act}", where, actor=asker.name, correlation=f"export-{export.pk}", **facts)
