"""The pages of the dead letter queue."""

import hashlib
import html
import json
import re
import secrets
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

import dlq.stream
from audit.admin.queue import count
from audit.errors import NothingKept
from audit.formats.event import Accepted
from audit.ingest.record import Recorded, record
from audit.models import Quarantined, Record
from audit.queue import actions
from dlq.message import Document, Message
from tests.admin.conftest import parked_message

pytestmark = pytest.mark.usefixtures("own_queue")

PARKED = "/admin/audit/parked/"


def test_an_event_is_found_by_its_id(operator: Client, parked: Message) -> None:
    page = operator.get(PARKED, {"q": parked.key}).content.decode()
    assert parked.key in page
    assert "0/6" in page
    assert "No parked event has this id" in operator.get(PARKED, {"q": "unknown"}).content.decode()


def test_pages_show_every_message_once(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.queue.parked_rows.PAGE", 2)
    messages = [parked_message() for _ in range(6)]
    path, seen = f"{PARKED}?after={messages[0].id}", []
    while path:
        page = operator.get(path).content.decode()
        seen += re.findall(r'<th scope="row"><a href="[^"]*">([0-9a-f-]{36})</a>', page)
        link = re.search(r'href="([^"]*)" rel="next"', page)
        path = PARKED + link[1].replace("&amp;", "&") if link else ""
    assert seen == [message.key for message in messages[1:]]


@pytest.mark.parametrize("state", ["due", "waiting", "leased", "dead", "nonsense", ""])
def test_the_list_narrows_by_state(operator: Client, parked: Message, state: str) -> None:
    message = parked_message(event_type=f"gateway.poison.{secrets.token_hex(6)}")
    dlq.stream.for_drain().fail(message, f"Poison-{state}", "never", dead=True)
    page = operator.get(PARKED, {"state": state, "type": message.kind}).content.decode()
    assert (f"<td>Poison-{state}</td>" in page) is (state in ("dead", "nonsense", ""))


def test_the_page_of_a_message_shows_payload_digest_and_attempts(operator: Client, parked: Message) -> None:
    dlq.stream.for_drain().fail(parked, "ForeignKeyViolation", "said <b>PostgreSQL</b>")
    page = operator.get(f"{PARKED}{parked.id}/change/").content.decode()
    for text in ("1/6", "ForeignKeyViolation", "said &lt;b&gt;PostgreSQL", "Content hash matches", "fingerprint"):
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
    message = queue.pages.find(key)
    assert message is not None
    try:
        assert operator.get(f"{PARKED}{message.id}/change/").status_code == 200
        assert operator.get(PARKED).status_code == 200
    finally:
        queue.acknowledge([message], "drained")


def test_a_retry_that_cannot_be_recorded_is_not_done(
    operator: Client, parked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.ingest.trail.record", looks_alone)
    dlq.stream.for_drain().fail(parked, "Poison", "never", dead=True)
    page = operator.post(f"{PARKED}{parked.id}/retry/", follow=True).content.decode()
    message = dlq.stream.for_drain().pages.get(parked.id)
    assert "Nothing was done" in page
    assert message is not None
    assert (message.state, message.attempts) == ("dead", 1)


def test_retry_makes_a_dead_message_due_and_keeps_its_history(operator: Client, parked: Message) -> None:
    dlq.stream.for_drain().fail(parked, "Poison", "never", dead=True)
    operator.post(f"{PARKED}{parked.id}/retry/")
    message = dlq.stream.for_drain().pages.get(parked.id)
    assert message is not None
    assert (message.state, message.attempts, message.last_error_class) == ("due", 0, "Poison")


@pytest.mark.slow
def test_without_redis_the_pages_say_so(operator: Client, auditor: Client, redis_server: Any) -> None:
    with redis_server.stopped():
        response = operator.get(PARKED)
        assert response.status_code == 503
        assert "Redis does not answer" in response.content.decode()
        assert "not readable" in auditor.get("/admin/").content.decode()


ACT, PAUSE, EXPORT = f"{PARKED}act/", f"{PARKED}pause/", f"{PARKED}export/"


def test_the_list_is_filtered_and_says_how_far_it_looked(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = f"kind{uuid.uuid4().hex[:8]}.filtered"
    message = parked_message(event_type=kind)
    assert message.key in operator.get(PARKED, {"type": kind}).content.decode()
    assert message.key in operator.get(PARKED, {"type": kind, "writer": "tests"}).content.decode()
    assert message.key not in operator.get(PARKED, {"type": kind, "error": "Nothing"}).content.decode()
    monkeypatch.setattr("audit.admin.queue.parked_rows.LOOKS_PER_PAGE", 1)
    assert "events match" in operator.get(PARKED, {"type": "absent"}).content.decode()


def test_what_was_ticked_is_acted_on_and_recorded(operator: Client) -> None:
    first, second, third = (parked_message() for _ in range(3))
    queue = dlq.stream.for_drain()
    for message in (first, second):
        queue.fail(message, "Poison", "never", dead=True)
    page = operator.post(ACT, {"act": "retry", "scope": "ticked", "id": [first.id, second.id]}, follow=True)
    assert "Retry now: 2 events" in page.content.decode()
    assert [getattr(queue.pages.get(one.id), "state", "") for one in (first, second)] == ["due", "due"]
    operator.post(ACT, {"act": "snooze", "snooze": "72h", "scope": "ticked", "id": [third.id]})
    snoozed = queue.pages.get(third.id)
    assert snoozed is not None
    assert snoozed.state == "waiting"
    assert snoozed.next_try is not None
    assert (snoozed.next_try - snoozed.parked_at).days in (2, 3)
    operator.post(ACT, {"act": "quarantine", "scope": "ticked", "id": [third.id]})
    assert queue.pages.get(third.id) is None
    assert Quarantined.objects.filter(key=third.key).count() == 1
    acts = Record.objects.filter(event_data__event_ids__contains=[third.key]).values_list("event_type", flat=True)
    assert set(acts) == {"audit.parked.snoozed"}
    kept = Record.objects.get(event_type="audit.parked.quarantined", event_data__events__has_key=third.id)
    assert kept.event_data["events"][third.id] == [third.key, third.digest.hex()]


def test_all_that_match_are_counted_and_asked_for_before_anything_is_done(operator: Client) -> None:
    kind = f"kind{uuid.uuid4().hex[:8]}.many"
    messages = [parked_message(event_type=kind) for _ in range(120)]
    form = {"act": "retry", "scope": "all", "type": kind}
    asked = operator.post(ACT, form, follow=True)
    while "Refresh" in asked:
        asked = operator.get(asked["Refresh"].partition("url=")[2])
    assert "120 parked events match" in asked.content.decode()
    assert "Nothing has been done yet" in asked.content.decode()
    assert operator.post(ACT, form | {"sure": "yes"}, follow=True).status_code == 200
    queue = dlq.stream.for_drain()
    waits = [found.next_try for message in messages if (found := queue.pages.get(message.id)) and found.next_try]
    spread = max(waits) - min(waits)
    assert 10 < spread.total_seconds() <= 61  # what failed together does not come back together
    queue.acknowledge(messages, "drained")


def test_counting_goes_on_from_its_place_and_shows_how_far_it_is(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = f"kind{uuid.uuid4().hex[:8]}.counted"
    messages = [parked_message(event_type=kind) for _ in range(3)]
    monkeypatch.setattr(count, "STEP_S", 0)
    monkeypatch.setattr(count, "MESSAGES_PER_READ", 2)
    answers = [operator.post(ACT, {"act": "retry", "scope": "all", "type": kind}, follow=True)]
    while "Refresh" in answers[-1]:
        assert "<progress" in answers[-1].content.decode()
        answers.append(operator.get(answers[-1]["Refresh"].partition("url=")[2]))
    assert len(answers) > 1
    assert "3 parked events match" in answers[-1].content.decode()
    dlq.stream.for_drain().acknowledge(messages, "drained")


def test_what_one_number_tells_is_counted_at_once(operator: Client, parked: Message) -> None:
    answer = operator.get(f"{PARKED}count/", {"act": "retry", "state": "due"})
    assert "Refresh" not in answer
    assert " match" in answer.content.decode()


def test_counting_for_an_act_that_does_not_exist_is_refused(operator: Client) -> None:
    assert operator.get(f"{PARKED}count/", {"act": "burn"}).status_code == 404


def test_pausing_is_shown_with_who_did_it_and_ends(operator: Client) -> None:
    operator.post(PAUSE, {"want": "pause"})
    try:
        assert "Draining is paused" in operator.get(PARKED).content.decode()
    finally:
        operator.post(PAUSE, {"want": "resume"})
    assert "Draining is paused" not in operator.get(PARKED).content.decode()


def test_an_export_has_every_message_with_its_digest(operator: Client) -> None:
    kind = f"kind{uuid.uuid4().hex[:8]}.exported"
    messages = [parked_message(event_type=kind) for _ in range(3)]
    body = b"".join(operator.get(EXPORT, {"type": kind}))  # type: ignore[call-overload]
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["event_id"] for line in lines] == [message.key for message in messages]
    assert all(hashlib.sha256(b"\x00" + line["body"].encode()).hexdigest() == line["digest"] for line in lines)


def test_only_an_operator_acts(auditor: Client, operator: Client, parked: Message) -> None:
    for path in (ACT, PAUSE):
        assert auditor.post(path, {"act": "retry", "id": [parked.id]}).status_code == 403
        assert operator.get(path).status_code == 405
    assert operator.post(ACT, {"act": "delete"}).status_code == 404
    assert 'name="id"' not in auditor.get(PARKED).content.decode()


def test_an_act_that_cannot_be_recorded_is_not_done(
    operator: Client, parked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.ingest.trail.record", looks_alone)
    dlq.stream.for_drain().fail(parked, "Poison", "never", dead=True)
    for act in ("retry", "snooze", "quarantine"):
        page = operator.post(ACT, {"act": act, "scope": "ticked", "id": [parked.id]}, follow=True)
        assert "Nothing was done" in page.content.decode()
    message = dlq.stream.for_drain().pages.get(parked.id)
    assert message is not None
    assert message.state == "dead"


def test_the_same_act_leaves_the_same_facts_whichever_way_it_was_done(operator: Client, capsys: Any) -> None:
    page, ticked, command = (parked_message() for _ in range(3))
    operator.post(f"{PARKED}{page.id}/retry/")
    operator.post(ACT, {"act": "retry", "scope": "ticked", "id": [ticked.id]})
    call_command("dlq", "retry", command.key)
    records = Record.objects.filter(event_type="audit.parked.retried")
    acts = [records.get(event_data__event_ids=[message.key]) for message in (page, ticked, command)]
    assert [act.correlation_id for act in acts] == ["dead-letter-queue"] * 3
    assert len({tuple(sorted(act.event_data)) for act in acts}) == 1


def test_an_export_without_redis_says_so_and_is_no_broken_download(operator: Client, redis_server: Any) -> None:
    with redis_server.stopped():
        answer = operator.get(f"{PARKED}export/")
    assert answer.status_code == 503
    assert "Dead letter queue" in answer.content.decode()


def test_a_text_is_looked_for_in_every_payload_page_by_page(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.queue.parked_rows.LOOKS_PER_PAGE", 2)
    word = f"needle{uuid.uuid4().hex[:8]}"
    before = parked_message()
    messages = [parked_message(event_data={"note": word if n % 3 == 0 else "hay"}) for n in range(9)]
    pages, address = "", f"{PARKED}?text={word}&after={before.id}"
    while address:
        page = operator.get(address).content.decode()
        link = re.search(r'href="([^"]*)" rel="next"', page)
        pages, address = pages + page, PARKED + html.unescape(link[1]) if link else ""
    assert "events were looked at" in pages and "None of the next 2 events match" in pages
    assert [message.key in pages for message in messages] == [n % 3 == 0 for n in range(9)]


@pytest.mark.parametrize("query", ["text=", "text=%00", "text=%F0%9F", "text=x&after=9-9", "text=" + "x" * 5000])
def test_a_search_by_text_takes_odd_addresses(operator: Client, query: str) -> None:
    assert operator.get(f"{PARKED}?{query}").status_code == 200


def test_all_that_have_a_text_are_retried(operator: Client) -> None:
    word = f"needle{uuid.uuid4().hex[:8]}"
    mine, other = parked_message(event_data={"note": word}), parked_message()
    page = operator.get(f"{PARKED}count/", {"act": "retry", "text": word})
    assert page.context["counted"].matched == 1
    operator.post(ACT, {"act": "retry", "scope": "all", "sure": "1", "text": word})
    act = Record.objects.filter(event_type="audit.parked.retried").latest("stored_at")
    assert act.event_data["event_ids"] == [mine.key] and other.key not in str(act.event_data)


def test_the_list_begins_at_a_time(operator: Client) -> None:
    kind = f"kind{uuid.uuid4().hex[:8]}.since"
    early = parked_message(event_type=kind)
    time.sleep(0.01)
    late = parked_message(event_type=kind)
    dlq.stream.for_drain().fail(late, "Poison", "never", dead=True)
    page = operator.get(PARKED, {"since": late.parked_at.isoformat(), "type": kind}).content.decode()
    assert late.key in page and early.key not in page
    page = operator.get(PARKED, {"since": "1h", "type": kind, "state": "dead"}).content.decode()
    assert late.key in page and early.key not in page
    assert "is neither a span" in operator.get(PARKED, {"since": "yesterday"}).content.decode()
    exported = b"".join(operator.get(f"{PARKED}export/", {"since": "1h", "type": kind}).streaming_content)
    assert len(exported.splitlines()) == 2


def test_what_is_quarantined_is_one_state_among_others(operator: Client) -> None:
    message = parked_message()
    actions.put_aside([message], "somebody")
    page = operator.get(PARKED, {"state": "quarantined", "q": message.key}, follow=True).content.decode()
    assert message.key in page and "uarantine" in page


def test_the_makeup_of_the_queue_is_drawn(operator: Client, parked: Message) -> None:
    page = operator.get(PARKED).content.decode()
    assert 'aria-label="Age' in page and 'aria-label="Why' in page


def looks_alone(events: Sequence[Accepted]) -> list[Recorded]:
    """Records who looked, and refuses every act."""
    if events[0].event_type.startswith("audit.parked."):
        raise NothingKept
    return record(events)
