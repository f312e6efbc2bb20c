"""The samples of each source come in by its endpoint and by the command, once, in one vocabulary, and are proved."""

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.management import call_command

from audit.formats import receipt
from audit.formats.grammar import Query
from audit.ledger.seal import Sealer
from audit.models import Record
from tests.api.conftest import closed_breaker
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import PINNED, made, path
from tests.audit.imports.conftest import FIELD, a_trail_event, purged_event
from tests.auditor import verify
from tests.servers import RECEIPT_KEY

__all__ = ["closed_breaker"]


class Source(NamedTuple):
    """A file of samples, and one record that comes of it: actor, resource, action, outcome."""

    file: str
    # Records that come of it, and what is kept as it came.
    records: int
    kept: int
    found: tuple[str, str, str, str]
    content_type: str = "application/json"
    path: str = ""


SOURCES = {
    "cloudtrail": Source(
        "aws-cloudtrail.jsonl",
        6,
        0,
        ("arn:aws:sts::111122223333:assumed-role/Admin/person-1", "test_user2", "CreateUser", "success"),
    ),
    "kubernetes": Source("k8s-audit-deployment.jsonl", 1, 0, ("person-1", "prod/web", "patch", "success")),
    # Three stand twice, and one is the event of Kubernetes that another was made of.
    "ocsf": Source(
        "ocsf.jsonl",
        15,
        1,
        ("arn:aws:sts::111122223333:assumed-role/Admin/person-1", "test_user2", "CreateUser", "success"),
    ),
    # Two say the same, once with members that are null.
    "cloudevents": Source(
        "cloudevents-valid.jsonl",
        9,
        0,
        ("https://cloudevents.io", "tests", "test", "success"),
        "application/json",
    ),
    "falco": Source("falco.jsonl", 4, 0, ("root", "pod-1", "Terminal shell in container", "success")),
    "cadf": Source("cadf.jsonl", 3, 0, ("user-1", "project-2", "deleted.project", "success")),
    "github": Source("github-audit.json", 3, 0, ("deploy[bot]", "example-org/old", "repo.destroy", "success")),
    "okta": Source(
        "okta.json",
        2,
        0,
        ("person-1@example.com", "person-1@example.com", "user.authentication.auth_via_mfa", "failure"),
    ),
    "otlp": Source(
        "otlp-logs.json", 2, 0, ("person-1", "my.service", "login", "failure"), path="/api/v1/audit/import/otlp/v1/logs"
    ),
    "syslog": Source("syslog-rfc5424.log", 4, 0, ("su", "mymachine.example.com", "ID47", "failure"), "text/plain"),
}


FOUND = [source.found for source in SOURCES.values()]


@pytest.fixture
def sender(request: pytest.FixtureRequest) -> Sender:
    return Sender("write", "read", "export")


def send(sender: Sender, name: str) -> Any:
    source = SOURCES[name]
    path = source.path or f"/api/v1/audit/import/{name}"
    return sender.post((FIELD / source.file).read_bytes(), path, content_type=source.content_type)


def command(sender: Sender, name: str) -> str:
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("import", name, str(FIELD / SOURCES[name].file), "--writer", sender.name, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("name", SOURCES)
def test_samples_come_in_once_by_whichever_way(name: str, sender: Sender) -> None:
    source = SOURCES[name]
    answer = send(sender, name)
    assert answer.status_code in (200, 201), answer.content
    rows = list(Record.objects.filter(writer=sender.name))
    assert len(rows) == source.records
    assert "stored" not in command(sender, name).splitlines()[0]
    assert send(sender, name).status_code == 200 or source.kept
    assert Record.objects.filter(writer=sender.name).count() == source.records
    assert {row.version.partition("/")[0] for row in rows} == {name}
    assert all(row.event_data for row in rows)
    actor, resource, action, outcome = source.found
    q = f'writer:{sender.name} actor:"{actor}" resource:"{resource}" action:"{action}" outcome:{outcome}'
    found = sender.get(q=q).json()["data"]
    assert len(found) >= 1, [(row.actor_id, row.resource_id, row.event_action, row.event_outcome) for row in rows]
    if source.kept:
        assert f"{source.kept} not mapped, kept as they came" in command(sender, name)


@pytest.mark.slow
def test_a_purged_event_costs_the_others_of_its_request_nothing(elsewhere: Scene) -> None:
    sender = Sender("write")
    body = {"Records": [a_trail_event(), purged_event(sender.name)]}
    answer = sender.post(body, "/api/v1/audit/import/cloudtrail")
    assert answer.status_code == 201, answer.content
    said = answer.json()
    assert [each["state"] for each in said["events"]] == ["stored", "duplicate"]
    assert said["message"] == "2 events: 1 stored, 1 there already (1 purged since)"
    (signed,) = said["receipts"]
    assert said["events"][1]["event_id"] not in signed


def test_one_search_finds_all_sources_and_each_is_proved(sender: Sender, tmp_path: Path) -> None:
    for name in SOURCES:
        send(sender, name)
    Sealer().once()
    found = sender.get(q=f"writer:{sender.name} outcome:failure", limit=1000).json()["data"]
    assert {"okta", "syslog", "otlp", "cadf"} <= {each["version"].partition("/")[0] for each in found}
    for each in found:
        proof = sender.get(f"/api/v1/audit/events/{each['event_id']}/bundle")
        assert (proof.status_code, each["state"]) == (200, "sealed")
    lines = {json.dumps(each["event_data"], sort_keys=True) for each in found}
    assert any("INVALID_CREDENTIALS" in line for line in lines)


@pytest.mark.slow
def test_every_sample_is_found_by_actor_resource_action_and_outcome_in_one_search(sender: Sender) -> None:
    for name in SOURCES:
        send(sender, name)
    rows = list(Record.objects.filter(writer=sender.name))
    assert len(rows) == sum(source.records for source in SOURCES.values())
    of_all = Query()
    for name, values in zip(("actor", "resource", "action", "outcome"), zip(*FOUND, strict=True), strict=True):
        for value in sorted(set(values)):
            of_all = of_all.with_term(name, value)
    found = sender.get(q=f"writer:{sender.name} {of_all}", limit=1000).json()["data"]
    assert {each["version"].partition("/")[0] for each in found} == set(SOURCES)
    members = ("actor_id", "resource_id", "event_action", "event_outcome")
    assert set(FOUND) <= {tuple(each[member] for member in members) for each in found}
    for row in rows:
        own = Query().with_term("actor", row.actor_id).with_term("resource", row.resource_id)
        own = own.with_term("action", row.event_action).with_term("outcome", row.event_outcome)
        found = sender.get(q=f"writer:{sender.name} {own}", limit=1000).json()["data"]
        assert str(row.id) in {each["event_id"] for each in found}, row.version


def test_a_bundle_of_imported_records_is_verified_without_the_store(
    sender: Sender, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SOURCES:
        send(sender, name)
    Sealer().once()
    bundle = made(query=f"writer:{sender.name}")
    assert bundle.done == sum(source.records for source in SOURCES.values())
    assert verify.main(["evidence", str(path(bundle)), *PINNED]) == 0
    said = capsys.readouterr().out
    assert "VERIFIED" in said and f"{bundle.done:,}" in said


def test_what_is_imported_is_promised_by_receipts(sender: Sender) -> None:
    first = send(sender, "okta").json()
    receipts = first["receipts"]
    promise = receipt.read(receipts[0], [RECEIPT_KEY.verifier])
    assert set(promise.events) == {each["event_id"] for each in first["events"]} and promise.state == "stored"
    again = send(sender, "okta").json()
    assert again["states"]["duplicate"] == len(promise.events)
    assert receipt.read(again["receipts"][0], [RECEIPT_KEY.verifier]).events == promise.events
    Sealer().once()
    verified = sender.post({"receipts": receipts}, "/api/v1/audit/receipts/verify").json()
    assert {each["state"] for each in verified["events"]} == {"sealed"}
    assert sender.post([{"no": "event"}], "/api/v1/audit/import/okta").json()["receipts"] == []


def test_of_many_events_there_are_several_receipts(sender: Sender) -> None:
    lines = "".join(f"<34>1 2026-03-17T17:07:59Z host su - ID47 - number {number}\n" for number in range(1_001))
    answer = sender.post(lines.encode(), "/api/v1/audit/import/syslog", content_type="text/plain").json()
    sizes = [len(receipt.read(each, [RECEIPT_KEY.verifier]).events) for each in answer["receipts"]]
    assert sizes == [1_000, 1]


def test_a_cloud_event_in_any_mode_is_the_same_event(sender: Sender) -> None:
    path, event = (
        "/api/v1/audit/import/cloudevents",
        {
            "specversion": "1.0",
            "type": "com.example.refund.approved",
            "source": "/shop",
            "id": "42 é",
            "time": "2026-03-17T17:07:59Z",
            "datacontenttype": "application/json",
            "data": {"amount": 25, "actor": {"id": "person-1"}},
        },
    )
    assert sender.post(event, path, content_type="application/cloudevents+json; charset=utf-8").status_code == 201
    assert sender.post([event, event], path, content_type="application/cloudevents-batch+json").status_code == 200
    headers = {f"ce-{name}": event[name] for name in ("specversion", "type", "source", "time")} | {
        "ce-id": "42%20%C3%A9"
    }
    assert sender.post(event["data"], path, headers=headers).status_code == 200
    (row,) = Record.objects.filter(writer=sender.name)
    assert (row.event_data, row.event_type, row.actor_id) == (event, "com.example.refund.approved", "person-1")
    headers = {"ce-specversion": "1.0", "ce-type": "a.b", "ce-source": "/x", "ce-id": "1"}
    answer = sender.post(b"\xff\x00", path, headers=headers, content_type="application/octet-stream")
    assert answer.status_code == 201
    binary = Record.objects.get(id=answer.json()["events"][0]["event_id"])
    assert binary.event_data["data_base64"] == "/wA="
    # It has no time of its own: however often it comes, the first arrival stands.
    again = sender.post(b"\xff\x00", path, headers=headers, content_type="application/octet-stream")
    assert again.json()["states"]["duplicate"] == 1


def test_logs_in_protobuf_are_those_in_json(sender: Sender) -> None:
    path = "/api/v1/audit/import/otlp/v1/logs"
    attribute = part(1, b"n") + part(2, b"\x18" + b"\xff" * 9 + b"\x01")
    record = (b"\x09" + (1544712660300000000).to_bytes(8, "little") + b"\x10\x09") + (
        part(5, part(1, b"hi")) + part(6, attribute) + part(9, b"\x01\x02") + part(99, b"of a later version")
    )
    resource = part(1, part(1, b"service.name") + part(2, part(1, b"my.service")))
    body = part(1, part(1, resource) + part(2, part(1, part(1, b"lib")) + part(2, record)))
    answer = sender.post(body, path, content_type="application/x-protobuf")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"", "application/x-protobuf")
    for broken in (body[:-1], b"\x0a\xff", b"\xff" * 12):
        assert sender.post(broken, path, content_type="application/x-protobuf").status_code == 400
    (row,) = Record.objects.filter(writer=sender.name)
    in_json = {
        "timeUnixNano": "1544712660300000000",
        "severityNumber": 9,
        "body": {"stringValue": "hi"},
        "attributes": [{"key": "n", "value": {"intValue": "-1"}}],
        "traceId": "0102",
    }
    service = [{"key": "service.name", "value": {"stringValue": "my.service"}}]
    assert row.event_data == {
        "resource": {"attributes": service},
        "scope": {"name": "lib"},
        "logRecord": in_json,
    }
    assert (row.actor_id, row.severity, row.correlation_id) == ("my.service", "info", "0102")
    scopes = [{"scope": {"name": "lib"}, "logRecords": [in_json]}]
    resources = [{"resource": {"attributes": service}, "scopeLogs": scopes}]
    assert sender.post({"resourceLogs": resources}, path).status_code == 200
    assert Record.objects.filter(writer=sender.name).count() == 1


def part(number: int, content: bytes) -> bytes:
    """A field of protobuf with a length, of less than 128 numbers and 16,384 bytes."""
    sizes = [number << 3 | 2, len(content)]
    return b"".join(bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7]) for size in sizes) + content
