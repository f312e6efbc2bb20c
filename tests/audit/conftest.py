"""The cast of the audit tests: writers with keys, and what they send.

Records are append-only, so no test cleans up: each uses ids and correlation ids of its own.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from audit import keys
from audit.models import Writer
from audit.postgres import gateway

NewWriter = Callable[..., "Sender"]
EVENTS = "/api/v1/audit/events"


class Sender:
    """A writer with its key, talking to the API."""

    def __init__(self, *scopes: str):
        self.name = f"writer-{secrets.token_hex(4)}"
        self.writer = Writer.objects.create(name=self.name, scopes=list(scopes))
        self.key = keys.issue(self.writer)
        self.client = Client(raise_request_exception=False)

    def post(self, body: Any, path: str = EVENTS, **options: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        options = {"content_type": "application/json"} | options
        return self.client.post(path, content, headers=headers, **options)

    def get(self, path: str = EVENTS, **parameters: Any) -> Any:
        return self.client.get(path, parameters, headers={"Authorization": f"Bearer {self.key}"})


def an_event(**changes: Any) -> dict[str, Any]:
    """An event as a client sends it, in a correlation of its own."""
    document = {
        "version": "1.0",
        "event_type": "gateway.signal.received",
        "event_timestamp": "2026-08-18T10:00:00Z",
        "event_category": "gateway",
        "event_action": "received",
        "event_outcome": "success",
        "correlation_id": f"rr-{secrets.token_hex(6)}",
        "event_data": {"fingerprint": "abc", "count": 3},
    }
    return document | changes


@pytest.fixture(scope="session")
def writer(django_db_setup: None) -> Sender:
    return Sender("write")


@pytest.fixture(scope="session")
def service(django_db_setup: None) -> Sender:
    """A writer that may also read."""
    return Sender("write", "read")


@pytest.fixture(scope="session")
def reader(django_db_setup: None) -> Sender:
    return Sender("read")


@pytest.fixture(autouse=True)
def closed_breaker() -> Iterator[None]:
    """Every test starts with the breaker closed and no key trusted from before."""
    keys.forget()
    yield
    assert gateway().breaker.wait_closed(20), "the breaker did not close again: PostgreSQL is not back"
