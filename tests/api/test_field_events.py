"""Events of CloudTrail, Kubernetes, OCSF, Falco and CloudEvents come back as they were sent."""

import gzip
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from audit.formats.canonical import MAX_SAFE_INTEGER
from tests.audit.conftest import BATCH, EVENTS, Sender

FIELD = Path(__file__).parents[1] / "data" / "field"


def integer(text: str) -> int | str:
    """What is beyond 2^53-1, as a clock of Falco in nanoseconds, is sent as a string."""
    return int(text) if abs(int(text)) <= MAX_SAFE_INTEGER else text


def lines(name: str) -> list[dict[str, Any]]:
    text = (FIELD / name).read_text(encoding="utf-8")
    return [json.loads(line, parse_int=integer) for line in text.splitlines() if line]


def cloudtrail(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_type": "cloudtrail." + event["eventName"].lower(),
        "event_timestamp": event["eventTime"],
        "event_action": event["eventName"][:50],
        "event_outcome": "failure" if event.get("errorCode") else "success",
        "actor_type": event["userIdentity"]["type"],
        "resource_type": event["eventSource"],
    }


def kubernetes(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_type": f"kubernetes.{event['verb']}",
        "event_timestamp": "2026-03-04T05:06:07.123456Z",
        "event_action": event["verb"],
        "actor_id": event["user"]["username"],
        "actor_ip": event["sourceIPs"][0],
        "namespace": event["objectRef"]["namespace"],
        "resource_type": event["objectRef"]["resource"],
        "resource_id": event["objectRef"]["name"],
    }


def ocsf(event: dict[str, Any]) -> dict[str, Any]:
    name = str(event.get("activity_name") or "other").lower().replace(" ", "_")
    return {"event_type": f"ocsf.{name}", "event_action": name, "severity": str(event.get("severity", "info"))[:20]}


def falco(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_type": "falco.alert",
        "event_timestamp": event["time"],
        "event_action": event["rule"][:50],
        "severity": event["priority"],
    }


def cloudevents(event: dict[str, Any]) -> dict[str, Any]:
    given = {"event_timestamp": event["time"]} if event.get("time") else {}
    return given | {"event_type": event["type"], "event_action": "received", "resource_id": event["id"]}


SOURCES = {
    "aws-cloudtrail.jsonl": cloudtrail,
    "k8s-audit-deployment.jsonl": kubernetes,
    "ocsf.jsonl": ocsf,
    "falco.jsonl": falco,
    "cloudevents-valid.jsonl": cloudevents,
}


@pytest.mark.parametrize("name", SOURCES)
def test_events_of_the_field_are_stored_and_read_back_equal(service: Sender, name: str) -> None:
    correlation = f"field-{secrets.token_hex(6)}"
    sent = [
        {"version": "1.0", "event_timestamp": "2026-03-04T05:06:07Z", "event_outcome": "success"}
        | SOURCES[name](event)
        | {"event_category": name.partition(".")[0], "correlation_id": correlation, "event_data": event}
        for event in lines(name)
    ]
    body = gzip.compress(json.dumps(sent).encode())
    response = service.post(body, BATCH, headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json().get("field_errors")) == (201, None)
    for event_id, document in zip(response.json()["event_ids"], sent, strict=True):
        answer = service.get(f"{EVENTS}/{event_id}").json()
        moment = answer["event_timestamp"]
        assert {member: answer[member] for member in document} == document | {"event_timestamp": moment}
        assert moment.endswith("Z") and len(moment) == len("2026-03-04T05:06:07.123456Z")
