"""The pages of the dead letter queue."""

import hashlib
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

import dlq.stream
from audit.errors import NothingKept
from dlq.message import Document, Message
from tests.admin.conftest import parked_message

PARKED = "/admin/audit/parked/"


def test_an_event_is_found_by_its_id(operator: Client, parked: Message) -> None:
    page = operator.get(PARKED, {"q": parked.key}).content.decode()
    assert parked.key in page
    assert "0/6" in page
    assert "No parked event has this id" in operator.get(PARKED, {"q": "unknown"}).content.decode()


def test_pages_show_every_message_once(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.parked.PAGE", 2)
    keys = {parked_message().key for _ in range(5)}
    path, seen = PARKED, []
    while path:
        page = operator.get(path).content.decode()
        seen += re.findall(r'<th scope="row"><a href="[^"]*">([0-9a-f-]{36})</a>', page)
        link = re.search(r'href="([^"]*)" rel="next"', page)
        path = PARKED + link[1].replace("&amp;", "&") if link else ""
    assert keys <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("state", ["due", "waiting", "leased", "dead", "nonsense", ""])
def test_the_list_narrows_by_state(operator: Client, parked: Message, state: str) -> None:
    dlq.stream.for_drain().fail(parked_message(), f"Poison-{state}", "never", dead=True)
    page = operator.get(PARKED, {"state": state}).content.decode()
    assert (f"<td>Poison-{state}</td>" in page) is (state in ("dead", "nonsense", ""))


def test_the_page_of_a_message_shows_payload_digest_and_attempts(operator: Client, parked: Message) -> None:
    dlq.stream.for_drain().fail(parked, "ForeignKeyViolation", "said <b>PostgreSQL</b>")
    page = operator.get(f"{PARKED}{parked.id}/change/").content.decode()
    for text in ("1/6", "ForeignKeyViolation", "said &lt;b&gt;PostgreSQL", "the digest holds", "fingerprint"):
        assert text in page


@pytest.mark.parametrize("gone", ["1-1", "nonsense", "-", "+", "(1-1", f"{10**20}-1", "9" * 30 + "-1"])
def test_a_message_that_is_not_there_leads_back_to_the_list(operator: Client, gone: str) -> None:
    assert operator.get(f"{PARKED}{gone}/change/").status_code == 302
    assert operator.post(f"{PARKED}{gone}/retry/").status_code == 404
    assert operator.get(PARKED, {"after": gone}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b'{"half": "\\ud800"}', b"[" * 100_000, b"\xff\x00", b'{"number": 1e999}', b"1" * 5000, b""],
    ids=["half a pair", "deep", "not text", "infinite", "long number", "empty"],
)
def test_a_damaged_payload_is_shown_not_choked_on(operator: Client, body: bytes) -> None:
    queue = dlq.stream.for_drain()
    key = str(uuid.uuid4())
    digest = hashlib.sha256(b"\x00" + body).digest()
    queue.park([Document(key, digest, body, "tests", "damaged", datetime.now(UTC))], reason="database-down")
    message = queue.find(key)
    assert message is not None
    try:
        assert operator.get(f"{PARKED}{message.id}/change/").status_code == 200
        assert operator.get(PARKED).status_code == 200
    finally:
        queue.acknowledge([message], "drained")


def test_a_retry_that_cannot_be_recorded_is_not_done(
    operator: Client, parked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.trail.record", refuse)
    dlq.stream.for_drain().fail(parked, "Poison", "never", dead=True)
    page = operator.post(f"{PARKED}{parked.id}/retry/", follow=True).content.decode()
    message = dlq.stream.for_drain().get(parked.id)
    assert "Nothing was done" in page
    assert message is not None
    assert (message.state, message.attempts) == ("dead", 1)


def test_retry_makes_a_dead_message_due_and_keeps_its_history(operator: Client, parked: Message) -> None:
    dlq.stream.for_drain().fail(parked, "Poison", "never", dead=True)
    operator.post(f"{PARKED}{parked.id}/retry/")
    message = dlq.stream.for_drain().get(parked.id)
    assert message is not None
    assert (message.state, message.attempts, message.last_error_class) == ("due", 0, "Poison")


@pytest.mark.slow
def test_without_redis_the_pages_say_so(operator: Client, auditor: Client, redis_server: Any) -> None:
    with redis_server.stopped():
        response = operator.get(PARKED)
        assert response.status_code == 503
        assert "Redis does not answer" in response.content.decode()
        assert "not readable" in auditor.get("/admin/").content.decode()
