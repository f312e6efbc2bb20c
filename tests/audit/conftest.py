"""The cast of the audit tests: writers with keys, and what they send.

Records are append-only, so no test cleans up: each uses ids and correlation ids of its own.
"""

import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import uuid_utils.compat
from django.db import connections
from django.test import Client

from audit import checks
from audit.access import api_keys
from audit.formats import event
from audit.formats.event import SealedEvent
from audit.ingest.record import store
from audit.models import Writer
from audit.postgres.gateway import gateway
from tests.audit.replicated import Pair, paired

NewWriter = Callable[..., "Sender"]
BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)
EVENTS = "/api/v1/audit/events"
BATCH = f"{EVENTS}/batch"


class Sender:
    """A writer with its key, talking to the API."""

    def __init__(self, *scopes: str):
        self.name = f"writer-{secrets.token_hex(4)}"
        self.writer = Writer.objects.create(name=self.name, scopes=list(scopes))
        self.key = api_keys.issue(self.writer)
        self.client = Client(raise_request_exception=False)

    def post(self, body: Any, path: str = EVENTS, **options: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        options = {"content_type": "application/json"} | options
        return self.client.post(path, content, headers=headers, **options)

    def delete(self, body: Any, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.client.delete(path, json.dumps(body).encode(), headers=headers, content_type="application/json")

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


def sealed_event(writer: str = "w", at: datetime = BEGAN, **changes: Any) -> SealedEvent:
    """An event as those that follow the log are given it; received and stored when it happened."""
    usual = {"leaf_index": 0, "id": uuid_utils.compat.uuid7(), "event_type": "gateway.signal.received"}
    usual |= {"category": "gateway", "correlation": "rr-1", "stored_at": at, "received_at": at}
    return SealedEvent(**{"writer": writer, "at": at, **usual, **changes})


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
    api_keys.forget()
    yield
    assert gateway().breaker.wait_closed(20), "the breaker did not close again: PostgreSQL is not back"


def send(count: int) -> list[event.Accepted]:
    """Store events without the API."""
    accepted = [event.accept(an_event(), writer="tests") for _ in range(count)]
    store(accepted, timeout_s=20)
    return accepted


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Of two servers that are a copy of the session's the primary, which confirms no commit alone."""
    with paired() as made:
        made.replicate_synchronously()
        yield made


@pytest.fixture
def babbler() -> Iterator[int]:
    """A port where somebody answers with what is not HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_babble, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _babble(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(1)
                connection.recv(65536)
                connection.sendall(b"hello, this is no HTTP\r\n\r\n")


def check_ids() -> set[str]:
    """What the system checks say of the live database."""
    return {str(finding.id) for finding in checks.database(None, databases=["default"])} - {"audit.W003"}


def one(statement: str, *parameters: Any) -> Any:
    """The one value that a statement selects."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


def with_id(**changes: Any) -> dict[str, Any]:
    return an_event(event_id=str(uuid_utils.compat.uuid7()), **changes)


def ids() -> set[str]:
    """What the system checks of the live database find."""
    return {str(finding.id) for finding in checks.database(None, databases=["default"])} - {"audit.W003"}
