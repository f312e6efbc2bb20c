"""Nothing of an export of OTLP is dropped: an older layout is read, and what is of none is kept as it came."""

from typing import Any

import pytest

from audit.imports.sources import otlp, protobuf

RECORD = {"body": {"stringValue": "hello"}}
RESOURCE, SCOPE = {"attributes": []}, {"name": "library"}
READ = {"resource": RESOURCE, "scope": SCOPE, "logRecord": RECORD}


def export(*groups: Any) -> dict[str, Any]:
    return {"resourceLogs": list(groups)}


def field(number: int, data: bytes) -> bytes:
    return protobuf._varint(number << 3 | protobuf.BYTES) + protobuf._varint(len(data)) + data


@pytest.mark.parametrize("records", ["logRecords", "logs"])
def test_the_layout_of_before_scopes_is_read_as_that_of_now(records: str) -> None:
    old = {"instrumentationLibrary": SCOPE, records: [RECORD]}
    assert otlp.records(export({"resource": RESOURCE, "instrumentationLibraryLogs": [old]})) == [READ]
    new = {"scope": SCOPE, "logRecords": [RECORD]}
    both = export({"resource": RESOURCE, "scopeLogs": [new], "instrumentationLibraryLogs": [old]})
    assert otlp.records(both) == [READ, READ]


@pytest.mark.parametrize(
    "group",
    [
        {"resource": RESOURCE, "scopeLogs": {"logRecords": [RECORD]}},
        {"resource": RESOURCE, "scopeLogs": "x"},
        {"resource": RESOURCE, "entries": [RECORD]},
    ],
)
def test_a_group_without_the_list_that_is_looked_for_is_an_event_that_nothing_maps(group: dict[str, Any]) -> None:
    assert otlp.records(export(group)) == [group]


@pytest.mark.parametrize("part", [{"scope": SCOPE, "logRecords": RECORD}, {"scope": SCOPE, "records": [RECORD]}])
def test_a_scope_without_the_list_that_is_looked_for_is_kept_with_its_resource(part: dict[str, Any]) -> None:
    group = {"resource": RESOURCE, "scopeLogs": [part]}
    assert otlp.records(export(group)) == [group]


@pytest.mark.parametrize("groups", [{"scopeLogs": []}, "x", 7])
def test_groups_that_are_no_list_are_an_event_that_nothing_maps(groups: Any) -> None:
    document = {"resourceLogs": groups}
    assert otlp.records(document) == [document]


def test_an_export_of_nothing_has_no_event() -> None:
    empty = {"resource": RESOURCE, "scopeLogs": [{"scope": SCOPE, "logRecords": []}]}
    bare = {"resource": RESOURCE, "scopeLogs": [{"scope": SCOPE, "schemaUrl": "x"}]}
    groups = ({"scopeLogs": []}, {"resource": RESOURCE}, empty, bare)
    for document in ({}, export(), {"resourceLogs": None}, *map(export, groups)):
        assert otlp.records(document) == []


def test_protobuf_of_the_layout_of_before_scopes_is_read() -> None:
    library = field(1, field(1, b"library"))
    record = field(5, field(1, b"hello"))
    body = field(1, field(1, b"") + field(1000, library + field(2, record)))
    assert otlp.records(protobuf.logs(body)) == [{"resource": {}, "scope": SCOPE, "logRecord": RECORD}]


def test_a_part_of_protobuf_without_records_is_that_of_an_export_of_nothing() -> None:
    """An empty list is not written in protobuf."""
    assert otlp.records(protobuf.logs(field(1, field(2, field(1, b""))))) == []
    assert otlp.records(protobuf.logs(field(1, b""))) == []
