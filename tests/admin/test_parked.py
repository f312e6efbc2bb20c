"""The pages of the dead letter queue."""

import re
from typing import Any

import pytest
from django.test import Client

import dlq.stream
from dlq.message import Message
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


def test_a_message_that_is_stored_by_now_leads_back_to_the_list(operator: Client) -> None:
    for gone in ("1-1", "nonsense"):
        assert operator.get(f"{PARKED}{gone}/change/").status_code in (302, 503)


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
