"""Logs of OpenTelemetry (OTLP): each log record by itself, with the resource and the scope that it came in.

What holds no records as OTLP has them, and is not empty, is an event that nothing maps: it is kept as it came.
"""

from collections.abc import Iterator
from typing import Any

RESOURCES = "resourceLogs"
# Where the parts of a group and the records of a part are; the later names are of the layout of before scopes.
PARTS = ("scopeLogs", "instrumentationLibraryLogs")
RECORDS = ("logRecords", "logs")
SCOPES = ("scope", "instrumentationLibrary")
# What a group and a part have beside what they hold.
BESIDE = frozenset({"resource", *SCOPES, "schemaUrl"})


def records(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the log records of an export; what is not as OTLP has it is an event that nothing maps."""
    groups = document.get(RESOURCES)
    if groups is not None and not isinstance(groups, list):
        return [document]
    return [record for group in _objects(groups) for record in _of_group(group)]


def _of_group(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not _is_as_expected(group, PARTS):
        yield group
        return
    resource = _with_schema(group, "resource")
    for name in PARTS:
        for part in _objects(group.get(name)):
            if not _is_as_expected(part, RECORDS):
                yield {"resource": resource, name: [part]}
                continue
            scope = _with_schema(part, next((each for each in SCOPES if each in part), SCOPES[0]))
            for records_name in RECORDS:
                for record in _objects(part.get(records_name)):
                    yield {"resource": resource, "scope": scope, "logRecord": record}


def _is_as_expected(holder: dict[str, Any], names: tuple[str, ...]) -> bool:
    """Whether what it holds is in lists of these names, or it holds nothing: empty ones are left out in OTLP."""
    held = [holder[name] for name in names if holder.get(name) is not None]
    return all(isinstance(each, list) for each in held) if held else not holder.keys() - BESIDE - set(names)


def _with_schema(group: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the resource or the scope of a group, with the URL of its schema where it has one."""
    found = group.get(name)
    own = dict(found) if isinstance(found, dict) else {}
    return own | {"schemaUrl": group["schemaUrl"]} if group.get("schemaUrl") else own


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else []:
        yield item if isinstance(item, dict) else {"notAnObject": item}
