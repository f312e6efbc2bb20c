"""Find records, newest first, each page at the same cost at any depth."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db.models import BooleanField, ExpressionWrapper, Func, OuterRef, Q, Subquery, Sum, TextField
from django.db.models.functions import Cast

from audit import visibility
from audit.errors import Invalid
from audit.formats import grammar, times
from audit.formats.fields import ALIASES, DATA, OUTCOMES
from audit.formats.grammar import Query, Term, Value
from audit.models import Checkpoint, Leaf, Record, RecordQuerySet, Rhythm
from audit.postgres import portions, sql
from audit.search import cost, filters, months

EXACT = (
    *("event_type", "event_category", "event_outcome", "severity", "correlation_id", "actor_id"),
    *("resource_type", "resource_id"),
)
PARAMETERS = ("q", *EXACT, "since", "until", "detail_key", "detail_value", "limit", "offset", "after")
DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
MAX_OFFSET = 100_000
COUNT_CAP = 10_000
COUNT_MS = 50
NEAR = timedelta(days=7)
# After so long another way to the rows is taken, and a count is left out: a page has 150 ms in all.
FIRST_WAY_MS = 50
# So many of the newest records are looked at before that, for so long: they fill a page of what is common.
NEWEST, NEWEST_MS = 2_000, 20

_AMONG_NEWEST = """
SELECT id FROM ({}) AS newest WHERE matches ORDER BY event_timestamp DESC, id DESC LIMIT %s OFFSET %s
"""
_DETAIL_KEY = re.compile(r"[A-Za-z0-9_]{1,200}\Z")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed search; spans in the query count back from `now`."""

    query: Query
    now: datetime
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: tuple[datetime, UUID] | None = None


def parse(parameters: Mapping[str, str]) -> Search:
    """Read query parameters (docs/api.md, `GET events`). Raises `Invalid` naming each one at fault."""
    errors = {name: "this parameter is unknown" for name in parameters if name not in PARAMETERS}
    errors |= {name: "contains U+0000" for name, value in parameters.items() if "\x00" in value}
    values: dict[str, Any] = {}
    for name, read in (_READERS | _CHECKS).items():
        try:
            values[name] = read(parameters)
        except ValueError as error:
            errors.setdefault(name, str(error))
    query = _joined(values["q"], _terms(parameters), errors) if not errors else Query()
    if errors:
        raise Invalid(errors)
    places = {name: values[name] for name in ("limit", "offset", "after")}
    return Search(query=query, now=datetime.now(UTC), **places)


def admit(search: Search, parameters: Mapping[str, str]) -> None:
    """Refuse a search that would read too much of the store. Raises `Invalid`, with ways to narrow it."""
    try:
        cost.check(search.query, search.now)
    except cost.TooExpensive as error:
        named = "q" if parameters.get("q") else next(name for name in PARAMETERS if parameters.get(name))
        raise Invalid({named: str(error)}) from None


def page(search: Search, records: RecordQuerySet | None = None) -> tuple[list[Record], bool]:
    """Return the records of one page, and whether there are more. They are in memory together: ask for a few."""
    if not cost.is_in_order(search.query):
        ids, more = page_ids(search, records)
        return Record.objects.filter(id__in=ids).order_by("-event_timestamp", "-id").with_state().with_values(), more
    rows = _from_place(search, records).with_state()[_wanted(search)].with_values()
    visibility.note_shown(record.pk for record in rows[: search.limit])
    return rows[: search.limit], len(rows) > search.limit


def page_ids(search: Search, records: RecordQuerySet | None = None) -> tuple[list[UUID], bool]:
    """Return the ids of the records of one page, in order, and whether there are more."""
    if cost.is_in_order(search.query):
        ids = list(_from_place(search, records).values_list("id", flat=True)[_wanted(search)])
    else:
        ids = _ids_by_cheaper_plan(search, records)
    visibility.note_shown(ids[: search.limit])
    return ids[: search.limit], len(ids) > search.limit


def in_portions(ids: Sequence[UUID]) -> Iterator[list[Record]]:
    """Yield the records with these ids, newest first, so many at once as have few enough bytes."""
    wanted = Record.objects.filter(id__in=ids).order_by("-event_timestamp", "-id")
    sized = wanted.values_list("id", Func(Cast("event_data", TextField()), function="octet_length")) if ids else []
    for portion in portions.portions(list(sized), lambda row: int(row[1])):
        records = wanted.filter(id__in=[record_id for record_id, _ in portion]).with_state().with_values()
        visibility.note_shown(ids)  # however often they were read for it
        yield records


def matching(search: Search, records: RecordQuerySet | None = None) -> RecordQuerySet:
    base = Record.objects.all() if records is None else records
    found = base.filter(filters.where(search.query, search.now), months.of(search.query, search.now))
    return found.order_by("-event_timestamp", "-id")


def newest(records: RecordQuerySet, before: datetime) -> Record | None:
    """Return the newest of these records, all of which happened before a moment.

    It is looked for in the months of the last NEAR first: to look into all of them takes longer to plan than to do.
    """
    ordered, near = records.order_by("-event_timestamp", "-id"), times.earlier(before, NEAR)
    found: Record | None = ordered.filter(Q(event_timestamp__gte=near), months.since(near)).first()
    return ordered.first() if found is None else found


def sealed_before(records: RecordQuerySet, size: int) -> RecordQuerySet:
    """Those records with a leaf below this size of the log: each leaf is looked up, whatever else the query asks."""
    leaf = Leaf.objects.filter(record_id=OuterRef("pk")).values("index")[:1]
    return records.alias(leaf_below=Subquery(leaf)).filter(leaf_below__lt=size)


def sees_whole_correlation(correlation_id: str) -> bool:
    """Return whether the viewer can see every record of the correlation: required before a verdict about all."""
    if not visibility.scopes():
        return True
    visible = Record.objects.filter(correlation_id=correlation_id).count()
    with visibility.as_system():
        return visible > 0 and Record.objects.filter(correlation_id=correlation_id).count() == visible


def count(records: RecordQuerySet, cap: int = COUNT_CAP) -> tuple[int, bool] | None:
    """Count the records up to `cap`, and say whether there are more; None where counting takes too long."""
    try:
        with cost.reading(milliseconds=COUNT_MS):
            return capped_count(records, cap)
    except cost.TookTooLong:
        return None


def capped_count(records: RecordQuerySet, cap: int = COUNT_CAP) -> tuple[int, bool]:
    counted = records.order_by()[: cap + 1].count()
    return min(counted, cap), counted > cap


def older_than(moment: datetime, record_id: UUID) -> Q:
    """Match what follows this record in the order newest first."""
    # The redundant first bound lets PostgreSQL start in the middle of the index.
    return Q(event_timestamp__lte=moment) & (Q(event_timestamp__lt=moment) | Q(id__lt=record_id))


def cursor(record: Record) -> str:
    """Return an opaque cursor for the page after `record`."""
    return cursor_at(record.event_timestamp, record.id)


def cursor_at(moment: datetime, record_id: UUID) -> str:
    """Return an opaque cursor for the page after a record of this time and id."""
    text = f"{moment.astimezone(UTC).isoformat()} {record_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[datetime, UUID]:
    """Return the position that a cursor names. Raises `ValueError`."""
    try:
        moment, record_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(record_id)
    except (ValueError, OverflowError, binascii.Error):
        raise ValueError("is not a cursor of this service: take it from pagination.next") from None


def _from_place(search: Search, records: RecordQuerySet | None) -> RecordQuerySet:
    matches = matching(search, records)
    return matches if search.after is None else matches.filter(older_than(*search.after))


def _wanted(search: Search) -> slice:
    """The rows of the page, and one that says whether there are more."""
    return slice(search.offset, search.offset + search.limit + 1)


def _ids_by_cheaper_plan(search: Search, records: RecordQuerySet | None) -> list[UUID]:
    """Look among the newest, then try the index over the data, after 50 ms the other plan."""
    # The index gathers rare values at once; walking back in time meets common ones at once, and which a JSON value is
    # the planner cannot know. The same holds for terms that occur together more often than by chance.
    wanted = _wanted(search)
    if (among_newest := _ids_among_newest(search, records)) is not None:
        return among_newest
    matches = _from_place(search, records)
    never = cost.IN_ORDER if cost.looks_into_data(search.query) else ()
    try:
        with cost.reading(milliseconds=FIRST_WAY_MS, never=never):
            return list(matches.values_list("id", flat=True)[wanted])
    except cost.TookTooLong:
        with cost.reading(never=cost.GATHERING):
            return list(matches.values_list("id", flat=True)[wanted])


def _ids_among_newest(search: Search, records: RecordQuerySet | None) -> list[UUID] | None:
    """Return the ids of a page of a common JSON value, which the newest records fill; None where they do not."""
    rest, wanted = search.query.without(DATA), _wanted(search)
    if rest == search.query or wanted.stop > NEWEST or not cost.is_in_order(rest):
        return None
    data = Query(tuple(term for term in search.query.terms if term.field == DATA))
    matches = ExpressionWrapper(filters.where(data, search.now), output_field=BooleanField())
    newest = _from_place(msgspec.structs.replace(search, query=rest), records).annotate(matches=matches)
    text, parameters = newest.values("id", "event_timestamp", "matches")[:NEWEST].query.sql_with_params()
    bounds = [wanted.stop - wanted.start, wanted.start]
    try:
        with cost.reading(milliseconds=NEWEST_MS):
            rows = sql.rows(_AMONG_NEWEST.format(text), [*parameters, *bounds], using="reader")
    except cost.TookTooLong:
        return None
    return [record_id for (record_id,) in rows] if len(rows) == bounds[0] else None


def _joined(query: Query, terms: list[tuple[str, Term]], errors: dict[str, str]) -> Query:
    in_query = {term.key for term in query.terms}
    for name, term in terms:
        if term.key in in_query:
            errors[name] = f"q asks for `{term.field}` already: say it in one of them"
    return Query((*query.terms, *(term for _, term in terms)))


def _terms(parameters: Mapping[str, str]) -> list[tuple[str, Term]]:
    terms = [
        (name, Term(ALIASES.get(name, name), (Value(parameters[name]),)))
        for name in (*EXACT, "since", "until")
        if parameters.get(name)
    ]
    if parameters.get("detail_key"):
        value = Value(parameters["detail_value"])
        terms.append(("detail_key", Term(DATA, (value,), path=(parameters["detail_key"],))))
    return terms


def _detail(parameters: Mapping[str, str]) -> None:
    key, value = parameters.get("detail_key"), parameters.get("detail_value")
    if key is None and value is None:
        return
    if not key or value is None:
        raise ValueError("detail_key and detail_value go together")
    if not _DETAIL_KEY.match(key):
        raise ValueError("takes letters, digits and '_' only")


def _outcome(parameters: Mapping[str, str]) -> None:
    if (text := parameters.get("event_outcome")) and text not in OUTCOMES:
        raise ValueError(f"must be {', '.join(OUTCOMES[:-1])} or {OUTCOMES[-1]}")


def _time(name: str) -> Callable[[Mapping[str, str]], object]:
    return lambda parameters: times.read_time(parameters[name]) if parameters.get(name) else None


def _after(parameters: Mapping[str, str]) -> tuple[datetime, UUID] | None:
    text = parameters.get("after")
    if text and parameters.get("offset"):
        raise ValueError("goes without offset: a cursor names its place by itself")
    return read_cursor(text) if text else None


def _integer(text: str | None, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(text)


_READERS: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "q": lambda parameters: grammar.parse(parameters.get("q", "")),
    "limit": lambda parameters: _integer(parameters.get("limit"), DEFAULT_LIMIT, 1, MAX_LIMIT),
    "offset": lambda parameters: _integer(parameters.get("offset"), 0, 0, MAX_OFFSET),
    "after": _after,
}
_CHECKS: dict[str, Callable[[Mapping[str, str]], object]] = {
    "since": _time("since"),
    "until": _time("until"),
    "detail_key": _detail,
    "event_outcome": _outcome,
}


def about_how_many() -> str:
    """Return how many records there are: counted while they are few, else as many as the newest checkpoint covers.

    To a scope, which must not learn of others: as many as it may see, so far as they are counted.
    """
    size = _seen_by_scopes() if visibility.scopes() else _covered()
    if size > COUNT_CAP:
        return str(intcomma(size))
    records: RecordQuerySet = Record.objects.all()
    if visibility.scopes():
        # Most often there are as many in the newest months: to look into all of them takes longer to plan than to do.
        near = datetime.now(UTC) - NEAR
        counted, capped = capped_count(records.filter(Q(event_timestamp__gte=near), months.since(near)), COUNT_CAP)
        if capped:
            return f"{intcomma(counted)}+"
    counted, capped = capped_count(records, COUNT_CAP)
    return f"{intcomma(counted)}{'+' * capped}"


def _covered() -> int:
    return Checkpoint.objects.order_by("-number").values_list("size", flat=True).first() or 0


def _seen_by_scopes() -> int:
    """Return how many records were read of the writers that the viewer may see; 0 where a scope is of categories.

    To count them in the store is planned over all months.
    """
    scopes = visibility.scopes()
    if any(scope.categories or not scope.writers for scope in scopes):
        return 0
    writers = {writer for scope in scopes for writer in scope.writers}
    return int(Rhythm.objects.filter(writer__in=writers).aggregate(events=Sum("events", default=0))["events"])
