"""A queue of its own for each test, on the real Redis."""

import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from django.conf import settings

from auditsite.embedded import Redis
from dlq import client
from dlq.message import Document, Message
from dlq.stream import Stream


def a_document(key: str = "", body: bytes = b"{}") -> Document:
    digest = hashlib.sha256(b"\x00" + body).digest()
    return Document(key or secrets.token_hex(8), digest, body, "source", "a.kind", datetime.now(UTC))


def parked(stream: Stream, count: int = 1, **options: bool) -> list[Message]:
    documents = [a_document() for _ in range(count)]
    stream.park(documents, reason="tests", **options)
    return stream.pages.page(limit=10_000)[-count:]


def reloaded(stream: Stream, message_id: str) -> Message:
    message = stream.pages.get(message_id)
    assert message is not None
    return message


def new_stream(url: str = "") -> Stream:
    connection = redis.Redis.from_url(url) if url else client.connect(client.DRAIN_TIMEOUT_MS)
    return Stream(connection, f"test-{secrets.token_hex(6)}")


@pytest.fixture
def stream() -> Stream:
    return new_stream()


@pytest.fixture
def lease_of_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_LEASE_S", 0)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that a test may fill up or break."""
    server = Redis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()
