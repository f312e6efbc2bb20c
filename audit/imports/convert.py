"""convert: a foreign event as an event of this store. Nothing of it is lost: the whole of it is `event_data`."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Table
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from audit.errors import Invalid
from audit.formats import canonical, event, times
from audit.formats.canonical import NotCanonical, Unreadable
from audit.imports import identity, paths, values
from audit.imports.mapping import Mapping
from audit.imports.rules import Rule, filled_by

# What an import fills where the event itself says nothing; the record says so by what it lacks.
NO_TIME = "event_timestamp"
MAX_UNMAPPED = 200


class Converted(NamedTuple):
    """A foreign event as a client would send it, with the id that it has here."""

    document: dict[str, Any]
    id: UUID
    # Whether its time is that of its arrival, for it has none of its own.
    is_undated: bool


class Filled(NamedTuple):
    """What filled a field: its value, and the members that it was made of, as paths."""

    field: str
    value: Any
    members: tuple[str, ...]


def convert(original: Any, mapping: Mapping, *, writer: str, now: datetime) -> Converted:
    """Convert a foreign event that came now. Raises `Invalid`, by the members at fault, for what is not mapped."""
    _check(original, mapping)
    document: dict[str, Any] = {}
    moment: datetime | None = None
    for field, rules in mapping.fields.items():
        value = _value(field, rules, original)
        if value is None:
            continue
        if field == NO_TIME:
            moment = value
        else:
            document[field] = value
    if moment is None and (text := _unreadable_time(original, mapping)):
        raise Invalid({NO_TIME: text})
    if missing := [field for field in _NEEDED if field not in document]:
        raise Invalid(dict.fromkeys(missing, f"nothing in this event fills it, as {mapping.made_by} maps it"))
    event_id = identity.id_of(writer, mapping.name, _source_id(original, mapping), moment)
    document["version"] = mapping.made_by
    document["event_id"] = str(event_id)
    document[NO_TIME] = times.timestamp_text(now if moment is None else moment)
    document["event_data"] = original
    document.setdefault("correlation_id", str(event_id))
    return Converted(document, event_id, moment is None)


def filled(original: Any, mapping: Mapping) -> list[Filled]:
    """Say which members filled which field, for a person who looks at what a mapping does."""
    found = []
    for field, rules in mapping.fields.items():
        for rule in rules:
            value = _of_rule(field, rule, original)
            if value is not None:
                shown = times.timestamp_text(value) if isinstance(value, datetime) else value
                found.append(Filled(field, shown, tuple(map(paths.text_of, filled_by(rule, original)))))
                break
    return found


def unmapped(original: Any, mapping: Mapping) -> list[str]:
    """Name the members that the mapping does not look at: they are in `event_data` alone."""
    found = []
    for path in _unmapped(original, mapping.known, ()):
        found.append(paths.text_of(path))
        if len(found) == MAX_UNMAPPED:
            break
    return found


def _unmapped(value: Any, known: Table[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, member in value.items():
        below = known.get(name)
        if below is None:
            if member not in (None, "", {}, []):
                yield (*path, name)
        elif below and type(member) is dict:
            yield from _unmapped(member, below, (*path, name))


def _check(original: Any, mapping: Mapping) -> None:
    """Raises `Invalid`."""
    if isinstance(original, Unreadable):
        raise Invalid(original.faults)
    if not isinstance(original, dict):
        raise Invalid({"": f"is no object, as events are that {mapping.made_by} maps"})
    missing = [path for path in mapping.requires if paths.find(original, path) is None]
    if missing:
        text = f"is missing: this is no event that {mapping.made_by} maps"
        raise Invalid({paths.text_of(path): text for path in missing})


def _unreadable_time(original: dict[str, Any], mapping: Mapping) -> str:
    """Return what is wrong with the time of an event that has one, and none that can be read; "" for one without."""
    for rule in mapping.fields.get(NO_TIME, ()):
        if (value := rule.apply(original)) not in (None, ""):
            return f"{str(value)[:50]!r} is no time as {mapping.made_by} reads it ({rule.form})"
    return ""


def _source_id(original: dict[str, Any], mapping: Mapping) -> str:
    for rule in mapping.identity:
        if (value := values.text(rule.apply(original))) is not None:
            return value
    # A source without ids: the same content is the same event.
    try:
        return canonical.digest(canonical.canonical(original)).hex()
    except NotCanonical as error:
        raise Invalid({f"event_data.{path}".rstrip("."): text for path, text in error.faults.items()}) from None


def _value(field: str, rules: tuple[Rule, ...], original: Any) -> Any:
    for rule in rules:
        value = _of_rule(field, rule, original)
        if value is not None:
            return value
    return None


def _of_rule(field: str, rule: Rule, original: Any) -> Any:
    value = rule.apply(original)
    if value is None:
        return None
    return values.moment(value, rule.form) if field == NO_TIME else _FITTING[field](value)


def _text(limit: int) -> Callable[[Any], str | None]:
    def fit(value: Any) -> str | None:
        text = value if type(value) is str and value else values.text(value)
        return text if text is None or len(text) <= limit else values.cut(text, limit)

    return fit


def _by_text(make: Callable[..., str | None], *limits: int) -> Callable[[Any], str | None]:
    def fit(value: Any) -> str | None:
        text = values.text(value)
        return None if text is None else make(text, *limits)

    return fit


def _within(least: int, most: int) -> Callable[[Any], int | None]:
    def fit(value: Any) -> int | None:
        number = values.integer(value)
        return number if number is not None and least <= number <= most else None

    return fit


def _outcome(value: Any) -> str | None:
    text = values.text(value)
    return text.lower() if text and text.lower() in event.ENUMS["event_outcome"] else None


def _yes_or_no(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(values.text(value) or "")


def _parent(value: Any) -> str | None:
    text = values.text(value)
    try:
        return None if text is None else str(UUID(text))
    except ValueError:
        return None


def _width(field: str) -> int:
    limit = event.limit(field)
    assert limit is not None
    return limit


_NEEDED = ("event_type", "event_category", "event_action", "event_outcome")
_FITTING: dict[str, Callable[[Any], Any]] = {
    field: _text(_width(field)) for field in event.FIELDS if event.limit(field) is not None
} | {
    "event_type": _by_text(values.dotted, _width("event_type")),
    "event_category": _by_text(values.word, _width("event_category")),
    "event_outcome": _outcome,
    "actor_ip": _by_text(values.address),
    "duration_ms": _within(0, 2_147_483_647),
    "retention_days": _within(1, 36_500),
    "is_sensitive": _yes_or_no,
    "parent_event_id": _parent,
}
