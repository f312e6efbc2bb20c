"""POST notifications, and what is refused: calls of Kubernaut's Data Storage service beside events."""

import secrets
from typing import Any

import pytest

from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from tests.audit.conftest import Sender, an_event

NOTIFICATIONS = "/api/v1/audit/notifications"


def a_notification(**changes: Any) -> dict[str, Any]:
    document = {
        "remediation_id": f"rr-{secrets.token_hex(6)}",
        "notification_id": f"notification-{secrets.token_hex(6)}",
        "recipient": "ops@example.com",
        "channel": "email",
        "message_summary": "High CPU usage",
        "status": "failed",
        "sent_at": "2024-01-01T12:00:00Z",
        "delivery_status": "500",
        "error_message": "the mail server did not answer",
        "escalation_level": 0,
    }
    return document | changes


def stored(document: dict[str, Any]) -> list[Record]:
    return list(Record.objects.filter(resource_id=document["notification_id"]))


def test_a_notification_audit_is_stored_as_an_event(service: Sender) -> None:
    sent = a_notification(id=0)
    answer = service.post(sent, NOTIFICATIONS)
    assert answer.status_code == 201
    told = answer.json()
    assert told | sent | {"id": told["id"]} == told and told["id"] > 0
    (record,) = stored(sent)
    assert (str(record.id), record.event_data) == (told["event_id"], sent)
    assert (record.event_type, record.event_outcome) == ("notification.delivery.failed", "failure")
    assert (record.correlation_id, record.error_message) == (sent["remediation_id"], sent["error_message"])
    by = {"correlation_id": record.correlation_id}
    assert service.get(**by).json()["data"] == []  # clients of Data Storage do not know this type
    assert len(service.get(**by, event_type=record.event_type).json()["data"]) == 1


def test_a_notification_id_is_used_once(service: Sender) -> None:
    sent = a_notification(error_message="")
    assert service.post(sent, NOTIFICATIONS).status_code == 201
    again = service.post(sent, NOTIFICATIONS)
    others = [
        service.post(sent | changes, NOTIFICATIONS)
        for changes in ({"recipient": "other@example.com"}, {"sent_at": "2024-01-02T00:00:00Z"})
    ]
    assert [answer.status_code for answer in (again, *others)] == [409, 409, 409]
    assert {*again.json()["field_errors"], *others[0].json()["field_errors"]} == {"notification_id"}
    assert again.json()["event_id"] == str(stored(sent)[0].id)
    assert len(stored(sent)) == 1


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"remediation_id": None, "notification_id": ""}, {"remediation_id", "notification_id"}),
        ({"status": "lost"}, {"status"}),
        ({"sent_at": "yesterday"}, {"sent_at"}),
        ({"sent_at": "2024-01-01T12:00:00"}, {"sent_at"}),
        ({"remediation_id": "x" * 256}, {"remediation_id"}),
    ],
)
def test_a_notification_audit_that_is_not_valid_is_refused_by_name(
    service: Sender, changes: dict[str, Any], fields: set[str]
) -> None:
    answer = service.post(a_notification(**changes), NOTIFICATIONS)
    assert (answer.status_code, set(answer.json()["field_errors"])) == (400, fields)


@pytest.mark.slow
def test_in_an_outage_a_notification_audit_is_parked_and_stored_once(service: Sender, postgres: Any) -> None:
    sent = a_notification()
    service.post(an_event())
    with postgres.stopped():
        answers = [service.post(sent, NOTIFICATIONS) for _ in range(3)]
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "accepted")}
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    assert len(stored(sent)) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/v1/audit/remediation-requests/rr-1/reconstruct"),
        ("get", "/api/v1/effectiveness/rr-1"),
        ("get", "/api/v1/remediation-history/context?targetKind=Deployment"),
    ],
)
def test_what_is_derived_from_events_is_refused_with_the_reason(service: Sender, method: str, path: str) -> None:
    answer = service.post({}, path) if method == "post" else service.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (501, "application/problem+json")
    assert "keeps events and judges none" in answer.json()["detail"]
    assert getattr(service.client, method)(path).status_code == 401
