"""convert: a foreign event as an event of this store. Nothing of it is lost: the whole of it is `event_data`."""

from collections.abc import Mapping as Table
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from audit.errors import Invalid
from audit.formats import canonical, times
from audit.formats.canonical import NotCanonical, Unreadable
from audit.imports import fitting, identity, paths
from audit.imports.mapping import NEEDED, Mapping
from audit.imports.rules import filled_by

# What an import fills where the event itself says nothing; the record says so by what it lacks.
NO_TIME = fitting.MOMENT
MAX_UNMAPPED = 200
_NUMBERS = frozenset({int, float, bool})


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
    for field, fill in mapping.filling:
        if (value := fill(original)) is not None:
            document[field] = value
    moment: datetime | None = document.pop(NO_TIME, None)
    if moment is None and (text := _unreadable_time(original, mapping)):
        raise Invalid({NO_TIME: text})
    if missing := [field for field in NEEDED if field not in document]:
        raise Invalid(dict.fromkeys(missing, f"nothing in this event fills it, as {mapping.made_by} maps it"))
    event_id = identity.id_of(writer, mapping.name, _source_id(original, mapping), moment)
    document["version"] = mapping.made_by
    document["event_id"] = id_text = str(event_id)
    document[NO_TIME] = times.timestamp_text(now if moment is None else moment)
    document["event_data"] = original
    document.setdefault("correlation_id", id_text)
    return Converted(document, event_id, moment is None)


def filled(original: Any, mapping: Mapping) -> list[Filled]:
    """Say which members filled which field, for a person who looks at what a mapping does."""
    found = []
    for field, rules in mapping.fields.items():
        for rule in rules:
            value = rule.fill(original)
            if value is not None:
                shown = times.timestamp_text(value) if isinstance(value, datetime) else value
                found.append(Filled(field, shown, tuple(map(paths.text_of, filled_by(rule, original)))))
                break
    return found


def unmapped(original: Any, mapping: Mapping) -> list[str]:
    """Name the members that the mapping does not look at: they are in `event_data` alone."""
    found: list[str] = []
    _add_unmapped(original, mapping.known, (), found)
    return found[:MAX_UNMAPPED]


def _add_unmapped(value: Any, known: Table[str, Any], path: tuple[str, ...], found: list[str]) -> None:
    for name, member in value.items():
        below = known.get(name)
        if below is None:
            # Nought and false are values; empty texts, objects and arrays are none.
            if member or type(member) in _NUMBERS:
                found.append(paths.text_of((*path, name)))
                if len(found) >= MAX_UNMAPPED:
                    return
        elif below and type(member) is dict:
            _add_unmapped(member, below, (*path, name), found)


def _check(original: Any, mapping: Mapping) -> None:
    """Raises `Invalid`."""
    if isinstance(original, Unreadable):
        raise Invalid(original.faults)
    if not isinstance(original, dict):
        raise Invalid({"": f"is no object, as events are that {mapping.made_by} maps"})
    if None in [find(original) for find in mapping.required]:
        missing = [path for path in mapping.requires if paths.find(original, path) is None]
        text = f"is missing: this is no event that {mapping.made_by} maps"
        raise Invalid({paths.text_of(path): text for path in missing})


def _unreadable_time(original: dict[str, Any], mapping: Mapping) -> str:
    """Return what is wrong with the time of an event that has one, and none that can be read; "" for one without."""
    for rule in mapping.fields.get(NO_TIME, ()):
        if (value := rule.apply(original)) not in (None, ""):
            return f"{str(value)[:50]!r} is no time as {mapping.made_by} reads it ({rule.form})"
    return ""


def _source_id(original: dict[str, Any], mapping: Mapping) -> str:
    if (value := mapping.identity(original)) is not None:
        return str(value)
    # A source without ids: the same content is the same event.
    try:
        return canonical.digest(canonical.canonical(original)).hex()
    except NotCanonical as error:
        raise Invalid({f"event_data.{path}".rstrip("."): text for path, text in error.faults.items()}) from None
