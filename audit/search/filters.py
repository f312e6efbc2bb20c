"""Query terms as conditions on records."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Func, Q, TextField
from django.db.models.lookups import Exact, StartsWith

from audit.formats import spellings, times
from audit.formats.fields import ANY, ANYWHERE, DATA, FIELDS
from audit.formats.grammar import Query, Term, Value, scalars
from audit.search.terms import spelled_out


def where(query: Query, now: datetime | None = None) -> Q:
    now = now or datetime.now(UTC)
    condition_of_all = Q()
    for term in query.terms:
        condition_of_all &= condition(term, now)
    return condition_of_all


def window(query: Query, now: datetime) -> Q:
    """Return the condition of the query's times alone."""
    return where(Query(tuple(term for term in query.terms if term.is_time)), now)


def condition(term: Term, now: datetime) -> Q:
    if term.field == DATA:
        matches = _any(_member(term.path, value) for value in term.values)
    elif term.field == ANY:
        matches = _anywhere(term.values[0])
    elif term.is_time:
        matches = _any(_TIMES[term.field](value.text, now) for value in term.values)
    else:
        matches = _field(term)
    return ~matches if term.negated else matches


def _field(term: Term) -> Q:
    if FIELDS[term.field].kind == "address":
        return _any(_address(FIELDS[term.field].column, spelled) for spelled in spelled_out(term))
    column = FIELDS[term.field].column
    read = UUID if FIELDS[term.field].kind == "uuid" else str
    whole = [read(value.text) for value in term.values if not value.prefix]
    matches = _any(Q((f"{column}__startswith", value.text)) for value in term.values if value.prefix)
    if not whole:
        return matches
    return matches | (Q((column, whole[0])) if len(whole) == 1 else Q((f"{column}__in", whole)))


def _address(column: str, spelled: str) -> Q:
    """Match an address in any spelling, or those that begin so. IPv4 has one spelling, and others as IPv6."""
    is_network = spelled.endswith((".", ":"))
    bits: Any = Func(F(column), function="audit_address", output_field=TextField())
    lookup: Any = StartsWith if is_network else Exact
    as_ipv6 = Q((f"{column}__contains", ":")) & Q(lookup(bits, spellings.bits(spelled)))
    if ":" in spelled:
        return as_ipv6
    return Q((f"{column}__startswith" if is_network else column, spelled)) | as_ipv6


def _anywhere(value: Value) -> Q:
    """Match a word in any of the fields that it is looked for in."""
    names = [name for name in ANYWHERE if name != "id" or _is_id(value)]
    return _any(_field(Term(name, (value,))) for name in names)


def _is_id(value: Value) -> bool:
    try:
        return not value.prefix and bool(UUID(value.text))
    except ValueError:
        return False


def _member(path: tuple[str, ...], value: Value) -> Q:
    """Match a member of the data as text, whatever its JSON type; each form is one index look-up."""
    meanings: list[Any] = [value.text, *([] if value.only_text else scalars(value.text))]
    return _any(Q(event_data__contains=_nested(path, meaning)) for meaning in meanings)


def _nested(path: tuple[str, ...], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _any(conditions: Any) -> Q:
    any_of = Q()
    for condition in conditions:
        any_of |= condition
    return any_of


def _on(text: str, now: datetime) -> Q:
    first, end = times.read_day(text)
    return Q(event_timestamp__gte=first, event_timestamp__lt=end)


_TIMES: dict[str, Callable[[str, datetime], Q]] = {
    "after": lambda text, now: Q(event_timestamp__gte=times.read_time(text, now)),
    "before": lambda text, now: Q(event_timestamp__lt=times.read_time(text, now)),
    "until": lambda text, now: Q(event_timestamp__lte=times.read_until(text, now)),
    "on": _on,
}
