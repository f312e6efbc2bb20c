"""Events with members that can be erased: stored once however often they come, by whichever way."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

import dlq.stream
from audit.errors import Conflict
from audit.formats.erasable.rules import Rule, Rules
from audit.formats.event import accept
from audit.ingest import again, record
from audit.ingest.record import Recorded
from audit.models import OWN_WRITER, Quarantined, Record
from audit.postgres.gateway import gateway
from audit.queue import corrections, drain, quarantine
from audit.receipts import issue
from audit.receipts.verify import verify_receipts
from tests.audit.conftest import an_event, with_id

pytestmark = pytest.mark.usefixtures("empty_queue")

RULES = Rules([Rule(name="mail", path="event_data.email", reason="r"), Rule(name="actor", path="actor_id", reason="r")])
DATA = {"email": "zofie@example.org", "n": 1.5}


def a_document(**changes: Any) -> dict[str, Any]:
    return with_id(**{"event_data": DATA, "actor_id": f"zofie-{uuid4()}", **changes})


def send(document: dict[str, Any], rules: Rules | None = RULES) -> Recorded:
    return record.record([accept(document, writer="shop", erasing=rules)])[0]


def beside(document: dict[str, Any]) -> dict[str, str]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT path, value FROM audit_erasable WHERE record_id = %s", [document["event_id"]])
        return dict(cursor.fetchall())


def the_record(document: dict[str, Any]) -> Record:
    found = Record.objects.get(id=document["event_id"])
    assert found.digest_holds
    return found


def test_the_record_holds_commitments_and_shows_the_values() -> None:
    document = a_document()

    sent = send(document)

    stored = the_record(document)
    assert (stored.actor_id, stored.event_data) == ("$erasable", {"email": "$erasable", "n": 1.5})
    assert beside(document) == {"actor_id": json.dumps(document["actor_id"]), "event_data.email": '"zofie@example.org"'}
    shown = stored.as_json()
    assert (shown["actor_id"], shown["event_data"]) == (document["actor_id"], DATA)
    assert shown["salts"].keys() == shown["erasable"].keys() == {"actor_id", "event_data.email"}
    assert (shown["erased"], shown["digest"]) == ({}, sent.event.digest.hex())


def test_an_event_that_comes_again_is_the_same_and_is_answered_as_it_is_stored() -> None:
    document = a_document()
    first = send(document)

    second = send(document)

    assert (first.state, second.state) == ("stored", "duplicate")
    assert second.event.digest == first.event.digest


def test_another_value_under_its_id_is_a_conflict() -> None:
    document = a_document()
    send(document)

    with pytest.raises(Conflict):
        send(document | {"event_data": DATA | {"email": "otto@example.org"}})
    with pytest.raises(Conflict):
        send(document | {"event_data": {"n": 1.5}})


@pytest.mark.parametrize(("before", "after"), [(None, RULES), (RULES, None)], ids=["made", "switched off"])
def test_it_is_the_same_where_a_rule_was_changed_meanwhile(before: Rules | None, after: Rules | None) -> None:
    document = a_document()
    first = send(document, before)

    second = send(document, after)

    assert (second.state, second.event.digest) == ("duplicate", first.event.digest)


def test_several_at_once_are_stored_with_the_values_of_each() -> None:
    documents = [a_document(), with_id(), a_document()]
    events = [accept(document, writer="shop", erasing=RULES) for document in documents]

    recorded = record.record([*events, events[0]])

    assert [each.state for each in recorded] == ["stored", "stored", "stored", "duplicate"]
    assert [len(beside(document)) for document in documents] == [2, 0, 2]
    again_ = record.record([accept(document, writer="shop", erasing=RULES) for document in documents])
    assert [each.event.digest for each in again_] == [event.digest for event in events]


@pytest.mark.slow
def test_while_it_is_parked_it_is_one_promise_and_is_stored_with_its_values(postgres: Any) -> None:
    document = a_document()
    send(a_document())
    with postgres.stopped():
        first, second = send(document), send(document)
        assert (first.state, second.state) == ("parked", "parked")
        assert second.event.digest == first.event.digest
        with pytest.raises(Conflict):
            send(document | {"event_data": {"email": "other"}})
    assert gateway().breaker.wait_closed(20)
    third = send(document)  # before it is drained: as it was promised
    assert (third.state, third.event.digest) == ("stored", first.event.digest)
    summary = drain.drain(seconds=20)
    assert summary.duplicate == 1
    assert the_record(document).as_json()["event_data"] == DATA


@pytest.mark.slow
def test_what_was_stored_and_is_parked_again_is_stored_once_and_both_promises_hold(postgres: Any) -> None:
    document = a_document()
    first = send(document)
    with postgres.stopped():
        second = send(document)
    assert gateway().breaker.wait_closed(20)
    assert (second.state, second.event.digest == first.event.digest) == ("parked", False)

    summary = drain.drain(seconds=20)

    assert (summary.duplicate, summary.dead) == (1, 0)
    assert the_record(document).digest == first.event.digest
    assert again.is_recorded(document["event_id"], second.event.digest.hex())
    assert not again.is_recorded(document["event_id"], bytes(32).hex())
    act = Record.objects.get(
        writer=OWN_WRITER, event_type="audit.event.again", event_data__event_id=document["event_id"]
    )
    assert act.event_data["stored_digest"] == first.event.digest.hex()
    promises = [issue.sign([each]) for each in (first, second)]
    found = verify_receipts([text for text in promises if text is not None])
    assert [result.state for result in found.results] == ["stored", "stored"]
    assert "with other salts" in found.results[1].why


@pytest.mark.slow
def test_the_values_of_a_quarantined_event_come_back_with_it(postgres: Any) -> None:
    document = a_document()
    send(a_document())
    with postgres.stopped():
        send(document)
    assert gateway().breaker.wait_closed(20)
    message = dlq.stream.for_drain().pages.find(document["event_id"])
    assert message is not None
    quarantine.quarantine([message], cause="a test", by="otto")

    quarantine.release(Quarantined.objects.get(key=document["event_id"]), by="otto")
    drain.drain(seconds=20)

    assert the_record(document).as_json()["event_data"] == DATA


def test_own_acts_are_not_concerned() -> None:
    assert accept(an_event(), writer=OWN_WRITER).beside is None


@pytest.mark.slow
def test_a_dead_event_is_corrected_with_its_values(postgres: Any) -> None:
    document = a_document()
    send(a_document())
    with postgres.stopped():
        send(document)
    assert gateway().breaker.wait_closed(20)
    queue = dlq.stream.for_drain()
    message = queue.pages.find(document["event_id"])
    assert message is not None
    queue.fail(message, "Tests", "it is dead", dead=True)
    dead = queue.pages.get(message.id)
    assert dead is not None

    text = corrections.as_sent(dead)
    corrected = corrections.correct(dead, text, by="otto", reason="a test")

    assert json.loads(text)["event_data"] == DATA
    assert Record.objects.get(pk=corrected.event.id).as_json()["event_data"] == DATA
    queue.acknowledge([dead], "discarded")
