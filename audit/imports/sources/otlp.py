"""Logs of OpenTelemetry (OTLP): each log record by itself, with the resource and the scope that it came in."""

from collections.abc import Iterator
from typing import Any

RESOURCES = "resourceLogs"


def records(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the log records of an export; what is not as OTLP has it is an event that nothing maps."""
    return [
        {"resource": resource, "scope": scope, "logRecord": record}
        for group in _objects(document.get(RESOURCES))
        for resource in [_with_schema(group, "resource")]
        for part in _objects(group.get("scopeLogs"))
        for scope in [_with_schema(part, "scope")]
        for record in _objects(part.get("logRecords"))
    ]


def _with_schema(group: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the resource or the scope of a group, with the URL of its schema where it has one."""
    found = group.get(name)
    own = dict(found) if isinstance(found, dict) else {}
    return own | {"schemaUrl": group["schemaUrl"]} if group.get("schemaUrl") else own


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else []:
        yield item if isinstance(item, dict) else {"notAnObject": item}
