"""Events of other systems, as their sources write them."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from audit.imports import catalogue
from audit.imports.convert import convert
from audit.imports.mapping import Mapping
from audit.imports.read import read
from audit.imports.take import Taken, take
from audit.models import Writer
from audit.retention import purge
from tests.audit.conftest import closed_breaker
from tests.audit.ingest.conftest import empty_queue
from tests.audit.retention.conftest import BEN, aged, ago, approved, backdated_floors, here

FIELD = Path(__file__).parents[2] / "data" / "field"

__all__ = ["closed_breaker", "empty_queue"]


def a_trail_event(**changes: Any) -> dict[str, Any]:
    """An event of CloudTrail with an id of its own."""
    event = {
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/person-1", "userName": "person-1"},
        "eventTime": "2026-03-17T17:07:59Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.13",
        "requestParameters": {"userName": "test_user2"},
        "eventID": secrets.token_hex(8),
    }
    return event | changes


def a_cluster_event(**changes: Any) -> dict[str, Any]:
    """An event of Kubernetes' audit log as a webhook sends it: in a list it has neither kind nor version."""
    event = {
        "level": "Metadata",
        "auditID": secrets.token_hex(8),
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/prod/pods/web",
        "verb": "delete",
        "user": {"username": "person-1", "groups": ["system:authenticated"]},
        "sourceIPs": ["192.0.2.7"],
        "userAgent": "kubectl/v1.30",
        "objectRef": {"resource": "pods", "namespace": "prod", "name": "web", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-03-02T03:04:05.123456Z",
        "stageTimestamp": "2026-03-02T03:04:05.130211Z",
    }
    return event | changes


def purged_event(writer: str) -> dict[str, Any]:
    """An event of CloudTrail that was stored for a writer forty days ago, and that a purge removed."""
    trail, event = catalogue.find("cloudtrail"), a_trail_event()
    document = convert(event, trail, writer=writer, now=ago(40)).document
    backdated_floors(document["event_category"], [(30, ago(4_000))])
    old = aged(ago(40), writer=writer, **document)
    purge.run(approved(), by=BEN)
    assert here([old]) == set()
    return event


def event_list(*events: Any) -> dict[str, Any]:
    return {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(events)}


def took(body: Any, source: str | Mapping, writer: str) -> list[Taken]:
    """What became of the events of a body, given as bytes or as what it says."""
    mapping = catalogue.find(source) if isinstance(source, str) else source
    return take(read(body if isinstance(body, bytes) else json.dumps(body).encode(), mapping), mapping, writer=writer)


@pytest.fixture
def foreign_writer(django_db_setup: None) -> str:
    """The name of a writer of its own."""
    name = f"foreign-{secrets.token_hex(4)}"
    Writer.objects.create(name=name)
    return name
