"""No event is lost to its neighbour: where it is asked for, what is not valid is kept as it came, for a person."""

import json

import pytest
import uuid_utils.compat
from django.test import override_settings

import dlq.stream
from audit.access import api_keys
from audit.models import Record
from audit.queue import corrections, drain
from dlq.message import Message
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event

pytestmark = pytest.mark.usefixtures("own_queue")

LENIENT = {"Prefer": "handling=lenient"}


@pytest.fixture
def sender() -> Sender:
    return Sender("write", "read")


@pytest.fixture
def by_setting() -> Sender:
    sender = Sender("write", "read")
    sender.writer.is_lenient = True
    sender.writer.save()
    api_keys.publish()
    return sender


def dead(event_id: str) -> Message:
    """The event in the queue, once a drain has seen it."""
    drain.drain(seconds=20)
    message = dlq.stream.for_drain().pages.find(event_id)
    assert message is not None
    return message


def test_of_a_batch_what_is_valid_is_stored_and_the_rest_waits_as_it_came(sender: Sender) -> None:
    raw = '{ "version":"1.0",\t"n": 1507591916746609046, "actor_ip": "x", "é": [1.50] }'
    good = [an_event(), an_event()]
    bad = an_event(actor_ip="10.0.0.1:443")
    body = f"[{json.dumps(good[0])}, {raw} ,{json.dumps(bad)},\n{json.dumps(good[1])}]".encode()
    response = sender.post(body, BATCH, headers=LENIENT)
    assert (response.status_code, response["Preference-Applied"]) == (201, "handling=lenient")
    answer = response.json()
    assert [each["state"] for each in answer["events"]] == ["stored", "dead", "dead", "stored"]
    assert [each["event_id"] for each in answer["events"]] == answer["event_ids"]
    assert answer["events"][1]["field_errors"].keys() == {"n"}
    assert answer["events"][2]["field_errors"].keys() == {"actor_ip"}
    assert all(Record.objects.filter(correlation_id=one["correlation_id"]).count() == 1 for one in good)
    kept = dead(answer["event_ids"][1])
    assert (kept.state, kept.last_error_class, kept.body) == ("dead", "Invalid", raw.encode())
    assert "send it as a string" in kept.last_error
    shown = sender.get(f"{EVENTS}/{kept.key}").json()
    assert (shown["dead"], shown["invalid"]) == ("Invalid", kept.last_error)


def test_without_it_a_batch_is_kept_whole_or_not_at_all(by_setting: Sender, sender: Sender) -> None:
    batch = [an_event(), an_event(actor_ip="x")]
    assert sender.post(batch, BATCH).status_code == 400
    assert by_setting.post(batch, BATCH, headers={"Prefer": "wait=5, handling=strict"}).status_code == 400
    assert Record.objects.filter(correlation_id=batch[0]["correlation_id"]).count() == 0


def test_a_client_that_cannot_ask_loses_nothing_by_the_setting_of_its_writer(by_setting: Sender) -> None:
    response = by_setting.post([an_event(), an_event(event_outcome="maybe")], BATCH)
    assert (response.status_code, response.has_header("Preference-Applied")) == (201, False)
    for body in (json.dumps(an_event(surprise=1)).encode(), b'{"half": ', b"\xff", b"7"):
        response = by_setting.post(body)
        assert (response.status_code, response.json()["state"]) == (202, "dead")
        assert dead(response.json()["event_id"]).body == body


def test_an_id_that_has_other_content_costs_the_others_nothing(sender: Sender) -> None:
    old = an_event(event_id=str(uuid_utils.compat.uuid7()))
    assert sender.post(old).status_code == 201
    new = an_event()
    answer = sender.post([new, old | {"severity": "high"}], BATCH, headers=LENIENT).json()
    assert [each["state"] for each in answer["events"]] == ["stored", "dead"]
    assert Record.objects.filter(correlation_id=new["correlation_id"]).count() == 1
    assert sender.post(old | {"severity": "low"}, headers=LENIENT).json()["state"] == "dead"


def test_what_is_sent_again_with_its_id_is_kept_once(sender: Sender) -> None:
    batch = [an_event(event_id=str(uuid_utils.compat.uuid7()), actor_ip="x")]
    first, again = (sender.post(batch, BATCH, headers=LENIENT) for _ in range(2))
    assert (first.status_code, first.json()["event_ids"]) == (202, again.json()["event_ids"])


def test_a_person_corrects_it_and_the_new_event_names_it(sender: Sender) -> None:
    document = an_event(actor_ip="10.0.0.1:443")
    message = dead(sender.post(document, headers=LENIENT).json()["event_id"])
    text = json.dumps(document | {"actor_ip": "10.0.0.1"}).encode()
    recorded = corrections.correct(message, text, by="alice", reason="a test")
    record = Record.objects.get(id=recorded.event.id)
    assert (record.actor_ip, str(record.parent_event_id)) == ("10.0.0.1", message.key)


def test_what_looks_like_an_event_of_the_store_is_never_stored(sender: Sender) -> None:
    """The bytes are kept as they came: nothing may take them for what was checked."""
    forged = an_event(event_id=str(uuid_utils.compat.uuid7()), writer="auditsite")
    assert dead(sender.post(forged, headers=LENIENT).json()["event_id"]).last_error_class == "Invalid"
    assert not Record.objects.filter(correlation_id=forged["correlation_id"]).exists()


def test_no_writer_has_more_of_it_kept_than_its_share_of_a_day(sender: Sender) -> None:
    with override_settings(INVALID_EVENTS=3):
        assert sender.post([{}, {}, an_event()], BATCH, headers=LENIENT).status_code == 201
        good = an_event()
        assert sender.post([{}, {}, good], BATCH, headers=LENIENT).status_code == 400
        assert not Record.objects.filter(correlation_id=good["correlation_id"]).exists()
        assert sender.post({}, headers=LENIENT).status_code == 202
        assert sender.post({}, headers=LENIENT).status_code == 400
