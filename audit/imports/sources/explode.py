"""Which events a document of a source holds, and what an event that was kept as it came is."""

from typing import Any

from audit.formats.canonical import Unreadable
from audit.imports import paths
from audit.imports.mapping import Mapping
from audit.imports.reading import values
from audit.imports.sources import otlp, syslog

JSON_FORMATS = ("json", "cloudevents", "otlp")


def explode(document: Any, mapping: Mapping) -> list[Any]:
    """Return the events of a document: its own, those in its array, or itself."""
    if isinstance(document, Unreadable):
        return [document]
    if isinstance(document, list):
        return [event for part in document for event in (explode(part, mapping) if isinstance(part, dict) else [part])]
    if mapping.format == "otlp" and isinstance(document, dict) and otlp.RESOURCES in document:
        return otlp.records(document)
    for path in mapping.records:
        if isinstance(found := paths.find(document, path), list):
            return found
    return [document]


def holders(mapping: Mapping) -> set[str]:
    """Return the names of members that an object which holds events may have them in, or in a part of."""
    names = {path[0] for path in mapping.records if isinstance(path[0], str)}
    return names | {otlp.RESOURCES} if mapping.format == "otlp" else names


def read_line(text: str, mapping: Mapping) -> list[Any]:
    """Return the events of a line."""
    if mapping.format == "syslog":
        return [syslog.parse(text)]
    return explode(values.read(text), mapping)


def read_kept(raw: bytes, mapping: Mapping) -> Any:
    """Return an event that was kept as it came."""
    text = raw.decode("utf-8", "surrogateescape")
    return syslog.parse(text) if mapping.format == "syslog" else values.read(text)
