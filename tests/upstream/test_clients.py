"""What Kubernaut's own e2e and integration tests ask of its Data Storage, asked of this store by a generated client.

Each test is a file of theirs, read at 01b21b5e and 189044aa (test/e2e/datastorage, test/integration/datastorage); its
assertions are written anew. README.md lists them, with those that are refused on purpose; docs/api.md says so to users.
"""

import base64
import json
import secrets
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest

import dlq.stream
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from tests.upstream.conftest import TYPES, Client, seal

pytestmark = pytest.mark.slow


@pytest.fixture
def correlation() -> str:
    return f"rr-{secrets.token_hex(6)}"


def stored(correlation: str) -> list[Record]:
    return list(Record.objects.filter(correlation_id=correlation))


def test_events_of_all_142_types_are_stored_once_singly_and_in_a_batch(client: Client, correlation: str) -> None:
    """09_event_type_jsonb_comprehensive."""
    assert len(TYPES) == 142
    for event_type in TYPES:
        receipt = client.get("create_audit_event", body=client.event(event_type, correlation_id=correlation))
        assert str(receipt.event_id)
    batch = [client.event(event_type, correlation_id=f"{correlation}-batch") for event_type in TYPES]
    assert len(set(client.get("create_audit_events_batch", body=batch).event_ids)) == 142
    for name in (correlation, f"{correlation}-batch"):
        page = client.page(correlation_id=name, limit=1000)
        assert sorted(event.event_type for event in page) == sorted(TYPES)
        assert all(event.event_data.event_type.value == event.event_type for event in page)
        assert sorted(record.event_type for record in stored(name)) == sorted(TYPES)


def test_in_an_outage_events_of_all_types_are_stored_once(client: Client, correlation: str, postgres: Any) -> None:
    """dlq_fallback, 02_dlq_fallback; a batch as pkg/audit sends it, three times where it was no success."""
    client.get("create_audit_event", body=client.event(correlation_id=f"{correlation}-before"))
    with postgres.stopped():
        for event_type in TYPES:
            answer = client.call("create_audit_event", body=client.event(event_type, correlation_id=correlation))
            assert (answer.status_code, answer.parsed.status) == (202, "accepted")
            assert "queued" in answer.parsed.message
        batch = [client.event(event_type, correlation_id=f"{correlation}-batch") for event_type in TYPES]
        for _try in range(3):
            answer = client.call("create_audit_events_batch", body=batch)
            if answer.status_code == 201:
                break
        assert len(answer.parsed.event_ids) == 142
        assert dlq.stream.default().totals.depth() >= 284
        with urllib.request.urlopen(f"{client.client._base_url}/readyz") as ready:
            assert ready.status == 200
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=60)
    for name in (correlation, f"{correlation}-batch"):
        assert sorted(record.event_type for record in stored(name)) == sorted(TYPES)


def test_an_event_is_written_as_it_was_sent(client: Client, correlation: str) -> None:
    """12_audit_write_api, 22_audit_validation_helper."""
    sent = client.event(
        correlation_id=correlation,
        namespace="prod",
        cluster_id="eu-1",
        actor_type="service",
        actor_id="gateway-service",
    )
    receipt = client.get("create_audit_event", body=sent)
    (record,) = stored(correlation)
    assert record.id == receipt.event_id
    assert {
        name: value for name, value in record.as_json().items() if name in ("version", "namespace", "cluster_id")
    } == {
        "version": "1.0",
        "namespace": "prod",
        "cluster_id": "eu-1",
    }
    assert (record.actor_id, record.event_data["fingerprint"]) == ("gateway-service", "test-fingerprint")
    assert record.parent_event_id is None and record.error_code is None
    for service in ("gateway.crd.created", "aianalysis.analysis.completed", "workflow.catalog.actions_listed"):
        client.get("create_audit_event", body=client.event(service, correlation_id=correlation))
    assert len(stored(correlation)) == 4
    parent = {"parent_event_id": str(uuid4()), "parent_event_date": datetime.now(UTC).isoformat()}
    client.get("create_audit_event", body=client.event(correlation_id=correlation, **parent))


@pytest.mark.parametrize("missing", ["version", "event_type", "event_timestamp", "event_category", "correlation_id"])
def test_an_event_without_a_required_member_is_a_problem(client: Client, correlation: str, missing: str) -> None:
    """12_audit_write_api."""
    document = client.event(correlation_id=correlation).to_dict()
    del document[missing]
    status, body = raw(client, "events", document)
    assert (status, body["title"], missing in body["field_errors"]) == (400, "The request is not valid", True)


def test_pages_narrow_and_follow_each_other(client: Client, correlation: str) -> None:
    """13_audit_query_api, 09_event_type_jsonb_comprehensive."""
    old = (datetime.now(UTC) - timedelta(hours=30)).isoformat()
    gateway_events = [client.event(correlation_id=correlation, event_outcome="failure") for _ in range(3)]
    others = [client.event("aianalysis.analysis.completed", correlation_id=correlation) for _ in range(2)]
    late = [client.event("workflow.catalog.actions_listed", correlation_id=correlation, event_timestamp=old)]
    client.get("create_audit_events_batch", body=[*gateway_events, *others, *late])
    by = {"correlation_id": correlation}
    whole = client.get("query_audit_events", **by)
    assert (whole.pagination.limit, whole.pagination.offset, whole.pagination.total) == (50, 0, 6)
    assert whole.pagination.has_more is False
    moments = [event.event_timestamp for event in whole.data]
    assert moments == sorted(moments, reverse=True)
    assert len(client.page(**by, event_type="gateway.signal.received")) == 3
    assert len(client.page(**by, event_category="analysis")) == 2
    failure = client.models.QueryAuditEventsEventOutcome.FAILURE
    assert len(client.page(**by, event_outcome=failure, event_category="gateway")) == 3
    assert [len(client.page(**by, since=since)) for since in ("24h", "29h30m", "2d", "1.5h")] == [5, 5, 6, 5]
    assert len(client.page(**by, since=old, until=datetime.now(UTC).isoformat())) == 6
    # A bare day is the whole day.
    assert len(client.page(**by, until=old[:10])) == 1
    first, second = client.page(**by, limit=2), client.page(**by, limit=2, offset=2)
    assert [event.event_id for event in first + second] == [event.event_id for event in whole.data[:4]]
    assert client.page(correlation_id=f"{correlation}-none") == []
    assert len(client.page(**by, detail_key="fingerprint", detail_value="test-fingerprint")) == 6
    for bad in ({"detail_key": "a"}, {"detail_value": "a"}, {"detail_key": "a.b", "detail_value": "x"}, {"limit": "0"}):
        assert raw_get(client, "events", bad)[0] == 400


def test_a_page_without_a_filter_can_be_read_whatever_the_store_wrote_itself(client: Client, correlation: str) -> None:
    """13_audit_query_api: what its clients could not decode is not in it."""
    event = client.event(correlation_id=correlation).to_dict() | {
        "event_id": "0198c5a2-7b1e-7000-8000-" + secrets.token_hex(6)
    }
    assert [raw(client, "events", event | {"severity": severity})[0] for severity in ("low", "high")] == [201, 409]
    assert len(client.page(correlation_id=correlation)) == 1
    assert all(found.event_type in TYPES for found in client.page(since="1m", event_category="security"))


@pytest.mark.parametrize("count", [3, 100, pytest.param(1000, marks=pytest.mark.long)])
def test_a_batch_is_stored_whole(client: Client, correlation: str, count: int) -> None:
    """14_audit_batch_write_api, batch_size_limit."""
    batch = [client.event(correlation_id=correlation) for _ in range(count)]
    assert len(client.get("create_audit_events_batch", body=batch).event_ids) == count
    assert len(stored(correlation)) == count


def test_a_batch_that_is_too_large_or_none_is_a_problem(client: Client, correlation: str) -> None:
    """batch_size_limit, audit_events_batch_handler."""
    event = client.event(correlation_id=correlation).to_dict()
    status, problem = raw(client, "events/batch", [event] * 1001)
    assert (status, "batch size" in problem["detail"]) == (400, True)
    bad = {name: value for name, value in event.items() if name != "version"}
    assert [raw(client, "events/batch", body)[0] for body in ([], {}, [event, bad])] == [400, 400, 400]
    assert stored(correlation) == []


def test_notification_audits_are_stored_and_refused_as_there(client: Client, correlation: str) -> None:
    """15_http_api."""
    sent = client.models.NotificationAudit.from_dict(
        {"remediation_id": correlation, "notification_id": f"n-{correlation}", "recipient": "test@example.com"}
        | {"channel": "email", "message_summary": "Test", "status": "sent", "sent_at": "2024-01-01T12:00:00+00:00"}
    )
    created = client.get("create_notification_audit", body=sent)
    assert created.id > 0 and created.created_at and created.updated_at
    assert (created.notification_id, created.recipient, created.status.value) == (
        sent.notification_id,
        sent.recipient,
        "sent",
    )
    assert len(stored(correlation)) == 1
    again = client.call("create_notification_audit", body=sent)
    assert (again.status_code, again.parsed.status) == (409, 409)
    status, problem = raw(client, "notifications", {"recipient": "x", "channel": "email"})
    assert status == 400 and {"remediation_id", "notification_id"} <= set(problem["field_errors"])
    assert client.page(correlation_id=correlation) == []


def test_holds_are_placed_listed_and_released(client: Client, correlation: str) -> None:
    """20_legal_hold_api."""
    client.get("create_audit_events_batch", body=[client.event(correlation_id=correlation) for _ in range(5)])
    wanted = client.models.PlaceLegalHoldBody(correlation_id=correlation, reason="case 7")
    placed = client.get("place_legal_hold", body=wanted)
    assert (placed.events_affected, placed.placed_by, placed.reason) == (5, client.sender.name, "case 7")
    listed = client.get("list_legal_holds")
    assert [hold.events_affected for hold in listed.holds if hold.correlation_id == correlation] == [5]
    exported = client.get("export_audit_events", correlation_id=correlation) if seal() is None else None
    assert {event.legal_hold for event in exported.events} == {True}
    body = client.models.ReleaseLegalHoldBody(release_reason="closed")
    released = client.get("release_legal_hold", correlation_id=correlation, body=body)
    assert (released.events_released, released.released_by) == (5, client.sender.name)
    unknown = client.models.PlaceLegalHoldBody(correlation_id=f"{correlation}-none", reason="x")
    assert client.call("place_legal_hold", body=unknown).status_code == 404


def test_an_export_is_signed_verified_and_says_its_filters(client: Client, correlation: str) -> None:
    """05_soc2_compliance, audit_export_integration."""
    client.get("create_audit_events_batch", body=[client.event(correlation_id=correlation) for _ in range(5)])
    seal()
    export = client.get("export_audit_events", correlation_id=correlation, limit=10)
    about, found = export.export_metadata, export.hash_chain_verification
    assert base64.b64decode(about.signature, validate=True)
    assert about.signature_algorithm and about.exported_by == client.sender.name
    assert (about.total_events, about.export_format.value) == (5, "json")
    assert (about.query_filters.correlation_id, about.query_filters.limit) == (correlation, 10)
    assert (found.total_events_verified, found.valid_chain_events, found.broken_chain_events) == (5, 5, 0)
    assert (found.chain_integrity_percentage, found.tampered_event_ids) == (100.0, [])
    assert [event.hash_chain_valid for event in export.events] == [True] * 5
    detached = client.get("export_audit_events", correlation_id=correlation, include_detached_signature=True)
    assert detached.detached_signature.startswith("-----BEGIN SIGNATURE-----")
    assert [
        len(client.get("export_audit_events", correlation_id=correlation, limit=3, offset=at).events) for at in (0, 3)
    ] == [3, 2]
    assert client.call("export_audit_events", limit=10_001).status_code == 413
    since = datetime.now(UTC) - timedelta(hours=1)
    assert len(client.get("export_audit_events", correlation_id=correlation, start_time=since).events) == 5


def test_a_chain_is_verified_sealed_or_not(client: Client, correlation: str) -> None:
    """audit_verify_chain."""
    client.get("create_audit_events_batch", body=[client.event(correlation_id=correlation) for _ in range(3)])
    body = client.models.VerifyAuditChainBody(correlation_id=correlation)
    at_once = client.get("verify_audit_chain", body=body)
    assert (at_once.is_valid, at_once.total_events, at_once.tampered_events) == (True, 3, [])
    seal()
    found = client.get("verify_audit_chain", body=body)
    assert (found.is_valid, found.total_events, found.verified_events) == (True, 3, 3)
    assert [raw(client, "verify-chain", bad)[0] for bad in ({}, {"correlation_id": "x" * 257}, [])] == [400] * 3


def test_who_may_not_is_told_so(client: Client, address: str, correlation: str) -> None:
    """23_sar_access_control."""
    with closing(Client(address, "read")) as reader:
        event = reader.event(correlation_id=correlation)
        assert reader.call("create_audit_event", body=event).status_code == 403
        reader.client.get_httpx_client().headers["Authorization"] = "Bearer aw_unknown"
        assert reader.call("create_audit_event", body=event).status_code == 401
    assert stored(correlation) == []


def test_probes_and_metrics_need_no_key(client: Client, address: str) -> None:
    """readyz_shared_port, 17_metrics_api."""
    for path, text in (("readyz", "ready"), ("livez", "alive"), ("metrics", "audit_record_seconds")):
        with urllib.request.urlopen(f"{address}/{path}") as answer:
            assert (answer.status, text in answer.read().decode()) == (200, True)


def test_what_is_refused_on_purpose_is_refused_with_the_reason(client: Client, correlation: str) -> None:
    """12_audit_write_api, 15_http_api, audit_verify_chain, 17_metrics_api, 21_reconstruction_api, 25_remediation."""
    child = client.event(correlation_id=correlation, parent_event_id=str(uuid4()))
    client.get("create_audit_event", body=child)
    (record,) = stored(correlation)
    assert (record.actor_id, record.parent_event_id) == (client.sender.name, child.parent_event_id)
    status, problem = raw(client, "notifications", {})
    assert (status, problem["type"]) == (400, "/problems/validation-error")
    unknown = client.models.VerifyAuditChainBody(correlation_id=f"{correlation}-none")
    found = client.get("verify_audit_chain", body=unknown)
    assert (found.is_valid, found.total_events) == (False, 0)
    with urllib.request.urlopen(f"{client.client._base_url}/metrics") as answer:
        metrics = answer.read().decode()
    assert "audit_lag_seconds" not in metrics and "write_duration" not in metrics
    for status, problem in (
        raw(client, f"remediation-requests/{correlation}/reconstruct", {}),
        _answer(client, "remediation-history/context?targetKind=Deployment", None),
    ):
        assert (status, "judges none" in problem["detail"]) == (501, True)


def raw(client: Client, path: str, document: Any) -> tuple[int, Any]:
    """POST what the generated client cannot say."""
    return _answer(client, f"audit/{path}", json.dumps(document).encode())


def raw_get(client: Client, path: str, parameters: dict[str, str]) -> tuple[int, Any]:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return _answer(client, f"audit/{path}?{query}", None)


def _answer(client: Client, path: str, body: bytes | None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {client.sender.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{client.client._base_url}/api/v1/{path}", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            assert error.headers["Content-Type"] == "application/problem+json"
            return error.code, json.load(error)
