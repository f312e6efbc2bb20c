"""request: who asks for evidence and for what; what cannot be asked is refused before any record is read."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from audit import visibility
from audit.errors import Invalid
from audit.evidence import redaction
from audit.formats import grammar, sampling, times
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.ledger import purged
from audit.models import ACCESS, OWN_WRITER, Export
from audit.models.base import Job
from audit.postgres import sql
from audit.search import cost

MAX_QUERY_CHARS = 2_000
# Acts that are recorded as access to records.
ACCESS_ACTS = ("viewed", "downloaded")
_RECEIVED = """
SELECT min(l.index), max(l.index), count(*) FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.received_at >= %s AND r.received_at < %s AND l.index < %s
"""
_RECEIVED_OF_RANGE = """
SELECT count(*) FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.received_at >= %s AND r.received_at < %s AND l.index >= %s AND l.index < %s
"""


class Requester(NamedTuple):
    name: str
    by_service: bool = False
    sight: visibility.Scopes = visibility.EVERYTHING
    address: str | None = None
    may_unredacted: bool = False

    def where(self, resource: str, key: Any, category: str = "security") -> Where:
        """The particulars of an act of theirs, for the audit trail."""
        return Where("service" if self.by_service else "user", category, (resource, str(key)), self.address)


THE_STORE = Requester(OWN_WRITER, by_service=True)


class ExportRequest(TypedDict, total=False):
    """A query, or a range of leaves, or the window of time in which they were received."""

    query: str
    first: int | None
    last: int | None
    received: tuple[str, str] | None
    with_csv: bool
    unredacted: bool
    sample: int | None
    seed: str
    as_of: int
    of_report: dict[str, str]


def record_act(act: str, job: Job, requester: Requester, **facts: Any) -> None:
    """Record an act on a bundle or a report, before it is done. Raises `NothingKept`."""
    noun = job._meta.model_name or ""
    where = requester.where(noun, job.pk, ACCESS if act in ACCESS_ACTS else "security")
    trail.add(f"audit.{noun}.{act}", where, actor=requester.name, correlation=f"{noun}-{job.pk}", **facts)


def refuse_unredacted(requester: Requester, unredacted: bool) -> None:
    if unredacted and not requester.may_unredacted:
        raise Invalid({"unredacted": "needs a right of its own: ask an officer for it, or leave this out"})


def parse_query(text: str, now: datetime) -> Query:
    """A query that can be afforded. Raises `Invalid`."""
    if len(text) > MAX_QUERY_CHARS or "\x00" in text:
        raise Invalid({"q": f"is a query of at most {MAX_QUERY_CHARS} characters, without U+0000"})
    try:
        query = grammar.parse(text)
        cost.check(query, now)
    except ValueError as error:
        raise Invalid({"q": str(error)}) from None
    if named := grammar.in_fields(query):
        offers = " or ".join(f"`{offer}`" for offer in named)
        raise Invalid({"q": f"what is proved names its fields: write {offers}"})
    return query


def fill(export: Export, wanted: ExportRequest) -> None:
    """Set the columns of the bundle that say what is asked for. Raises `Invalid`."""
    export.with_csv, export.unredacted = wanted.get("with_csv", False), wanted.get("unredacted", False)
    export.redaction = [] if export.unredacted else redaction.in_force()
    first, last, received = wanted.get("first"), wanted.get("last"), wanted.get("received")
    by_place = first is not None or last is not None
    if sum((bool(wanted.get("query")), by_place, received is not None)) > 1:
        raise Invalid({"q": "goes by itself: ask for a query, for first and last, or for what was received in a time"})
    if received is not None:
        _fill_received(export, *received)
    elif by_place:
        _fill_range(export, first, last)
    else:
        _fill_query(export, wanted.get("query", ""))
    _fill_sample(export, wanted.get("sample"), wanted.get("seed", ""))


def _fill_query(export: Export, text: str) -> None:
    query = parse_query(text, export.requested_at)
    redaction.refuse(query, export.redaction)
    if not query.terms and not export.sight:
        _fill_range(export, 0, export.size)  # everything is a range, and a range is proved whole
        return
    export.kind, export.query = "query", str(query)


def _fill_range(export: Export, first: int | None, last: int | None) -> None:
    _refuse_scoped(export)
    export.kind, export.first, export.last = "range", first or 0, export.size if last is None else last
    if not 0 <= export.first < export.last <= export.size:
        raise Invalid({"last": f"a range is first and last, with 0 <= first < last <= {export.size}"})
    for plan in purged.plans(export.first, export.last):
        if (standing := purged.standing(plan)).certificate is None:
            what = f"records of this range were removed, and no certificate covers them: {standing.why}"
            raise Invalid({"first": f"{what}; ask for a range without them, or with q for records that are here"})
    export.total = export.last - export.first


def _fill_received(export: Export, since_text: str, until_text: str) -> None:
    """The leaves from the first to the last that were received in a time; others may lie between them."""
    _refuse_scoped(export)
    since = _read_time("received_since", since_text, export)
    until = _read_time("received_until", until_text, export, _read_end)
    if not since < until:
        raise Invalid({"received_until": "is not after received_since"})
    try:
        with cost.reading():
            [(first, last, count)] = sql.rows(_RECEIVED, [since, until, export.size], using="reader")
    except cost.TookTooLong:
        raise Invalid({"received_since": "finding the records takes too long: ask for a shorter time"}) from None
    if not count:
        raise Invalid({"received_since": "no record that is sealed was received in this time: ask for a longer one"})
    _fill_range(export, first, last + 1)
    export.received = {"since": timestamp_text(since), "until": timestamp_text(until), "records": count}


def count_received(export: Export) -> int:
    """How many records of the range that were received in its time are here now."""
    assert export.received is not None
    since, until = (datetime.fromisoformat(export.received[name]) for name in ("since", "until"))
    [(count,)] = sql.rows(_RECEIVED_OF_RANGE, [since, until, export.first, export.last], using="reader")
    return int(count)


def _fill_sample(export: Export, size: int | None, seed: str) -> None:
    """Without a seed one is drawn; it is in the record of the request before any record is read."""
    if size is None:
        if seed:
            raise Invalid({"sample": "is required with a seed: how many records are drawn"})
        return
    export.sample, export.seed, export.total = size, seed or secrets.token_hex(8), None
    try:
        sampling.check(size, export.seed)
    except ValueError as error:
        raise Invalid({"sample": str(error)}) from None


def _refuse_scoped(export: Export) -> None:
    if export.sight:
        raise Invalid({"first": "a range has records of every writer, and you may see those of some: ask with q"})


def _read_end(text: str, now: datetime) -> datetime:
    """Read the end of a time; a bare day is taken in whole."""
    try:
        return times.read_day(text)[1]
    except ValueError:
        return times.read_time(text, now)


def _read_time(
    name: str, text: str, export: Export, read: Callable[[str, datetime], datetime] = times.read_time
) -> datetime:
    try:
        return read(text, export.requested_at)
    except ValueError as error:
        raise Invalid({name: str(error)}) from None
