"""What a writer's client parks by itself becomes its record, once; what is wrong with it stays, dead, in sight."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

import dlq.stream
from audit.access import api_keys
from audit.ingest import entry_keys
from audit.models import Record, WriterKey
from audit.queue import actions, client_entries, drain
from auditclient.contract import Signer
from auditclient.ids import uuid7
from dlq.drain import Outcome
from dlq.inbox import KIND
from dlq.message import Message, digest_of
from dlq.stream import Stream
from tests.admin.conftest import parked_message
from tests.audit.conftest import Sender, an_event


@pytest.fixture
def queue(own_queue: None) -> Iterator[Stream]:
    """A queue of its own."""
    entry_keys.forget()
    yield dlq.stream.for_drain()
    drain.drain(seconds=20)


def park(queue: Stream, key: str, **changes: Any) -> dict[str, Any]:
    """Park an event as the client does; return it."""
    event = an_event(event_id=uuid7()) | changes
    queue.redis.rpush(queue.keys.inbox, Signer(key).entry(json.dumps(event).encode()))
    return event


def dead(queue: Stream, raw: bytes) -> Message:
    """What became of an entry that was not taken."""
    drain.drain(seconds=20)
    message = queue.pages.find(f"entry#{digest_of(raw).hex()[: client_entries.HASH_DIGITS]}")
    assert message is not None and message.state == "dead" and message.body == raw and message.kind == KIND
    return message


def pushed(queue: Stream, raw: bytes) -> bytes:
    queue.redis.rpush(queue.keys.inbox, raw)
    return raw


def test_it_becomes_a_record_of_whoever_signed_it_once(queue: Stream, writer: Sender) -> None:
    event = park(queue, writer.key)
    queue.redis.rpush(queue.keys.inbox, queue.inbox.first(1, most_bytes=2**22)[0])
    assert drain.empty_inbox() == 2 and queue.inbox.depth() == 0
    record = Record.objects.get(id=event["event_id"])
    assert record.writer == writer.name and record.actor_id == writer.name and record.parked_at is not None
    answer = writer.post(event)
    assert answer.status_code == 200 and answer.json()["digest"] == record.digest.hex()


def test_without_an_id_it_is_one_dead_message_however_often_it_is_read(queue: Stream, writer: Sender) -> None:
    for without in ({}, {"event_id": None}):
        event = an_event(**without)
        raw = pushed(queue, Signer(writer.key).entry(json.dumps(event).encode()))
        for _ in range(2):  # as a drainer that is killed in between, and the one after it, or two at once
            drain._bring_home([client_entries._message(raw, queue.now_ms(), 0)])
        message = dead(queue, raw)
        assert message.last_error_class == "Invalid" and "event_id: this field is required" in message.last_error
        assert queue.totals.depth() == 1 and message.source == writer.name
        assert not Record.objects.filter(correlation_id=event["correlation_id"]).exists()
        queue.acknowledge([message], "discarded")


def test_without_an_id_it_is_told_of_its_other_faults_too(queue: Stream, writer: Sender) -> None:
    taken = client_entries.read(Signer(writer.key).sign(b'{"event":{"event_type":"A"}}'))
    assert isinstance(taken, Outcome) and taken.kind == "Invalid"
    assert "event_id: this field is required" in taken.error and "version: this field is required" in taken.error


def test_it_counts_to_the_quotas_of_its_writer_and_is_taken_over_them(queue: Stream) -> None:
    writer = Sender("write")
    writer.writer.quota_events = 2
    writer.writer.save()
    api_keys.publish()
    events = [park(queue, writer.key) for _ in range(3)]
    assert drain.empty_inbox() == 3
    assert Record.objects.filter(id__in=[event["event_id"] for event in events]).count() == 3
    answer = writer.post(an_event())
    assert answer.status_code == 429 and "quota of events: 0 are left" in answer.json()["detail"]


def test_while_postgresql_is_away_it_is_in_the_queue_and_counts_there(
    queue: Stream, writer: Sender, postgres: Any
) -> None:
    park(queue, writer.key)
    drain.drain(seconds=20)  # this process knows the key from now on
    depth = queue.totals.depth()
    with postgres.stopped():
        event = park(queue, writer.key)
        unknown = park(queue, f"{writer.key}-issued-meanwhile")
        drain.drain(seconds=20)
        message = queue.pages.find(event["event_id"])
        assert message is not None and message.source == writer.name and message.reason == client_entries.REASON
        assert queue.totals.depth() == depth + 1
        assert queue.inbox.depth() == 1, "whose it is only PostgreSQL can say"
    drain.drain(seconds=20)
    assert Record.objects.filter(id=event["event_id"]).exists()
    assert queue.inbox.depth() == 0 and not Record.objects.filter(id=unknown["event_id"]).exists()


def test_large_entries_are_moved_in_portions_of_few_bytes(queue: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        queue.redis.rpush(queue.keys.inbox, b"%d" % number + b"x" * 2**20)
    small = [pushed(queue, b"small %d" % number) for number in range(100)]
    parked: list[list[Message]] = []
    monkeypatch.setattr(drain, "_bring_home", lambda messages: parked.append(list(messages)))
    assert drain.empty_inbox() == 140 and queue.inbox.depth() == 0
    assert max(sum(len(message.body) for message in messages) for messages in parked) <= dlq.stream.CLAIM_BYTES
    assert len(parked) < 20, "and not one by one"
    assert [message.body for messages in parked for message in messages][40:] == small


@pytest.fixture
def drained(queue: Stream, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float | None]]:
    """Push six entries, and drain, a portion of one after the other; return what came home, and the queue's seconds."""
    monkeypatch.setattr(dlq.stream, "CLAIM_BYTES", 1)
    for number in range(6):
        pushed(queue, b"entry %d" % number)

    def drained(then: Callable[[int], object], **limits: Any) -> list[float | None]:
        moved: list[float | None] = []

        def bring(messages: list[Message]) -> None:
            moved.extend([1.0] * len(messages))
            assert len(moved) < 20, "the drain never comes to the queue"
            then(len(moved))

        monkeypatch.setattr(drain, "_bring_home", bring)
        monkeypatch.setattr(drain, "drain_queue", lambda *_, seconds, **__: moved.append(seconds))
        drain.drain(**limits)
        return moved

    return drained


Drained = Callable[..., list[float | None]]


def test_a_drain_without_a_time_moves_what_was_there_when_it_began(queue: Stream, drained: Drained) -> None:
    assert drained(lambda count: pushed(queue, b"one more %d" % count)) == [1.0] * 6 + [None]
    assert queue.inbox.depth() == 6, "what came meanwhile is the next drain's, and the queue's turn has come"


@pytest.mark.parametrize(
    ("limits", "moved", "left_s"), [({"seconds": 20.0}, 3, 8.0), ({"inbox_seconds": 10.0}, 3, None)]
)
def test_the_inbox_has_a_share_of_the_time_and_the_queue_the_rest(
    drained: Drained, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], moved: int, left_s: float | None
) -> None:
    clock = [100.0]

    def four_seconds_pass(count: int) -> None:
        clock[0] += 4

    monkeypatch.setattr(drain, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    assert drained(four_seconds_pass, **limits) == [1.0] * moved + [left_s]


def test_a_drain_that_is_to_stop_stops_between_two_portions_of_the_inbox(drained: Drained) -> None:
    stop = threading.Event()
    assert drained(lambda count: count == 2 and stop.set(), stop=stop)[:-1] == [1.0] * 2


def test_what_may_have_to_be_asked_of_postgresql_is_not_read_ahead(queue: Stream) -> None:
    entry, event = dead(queue, pushed(queue, b"[]")), parked_message()
    ahead = drain._ReadAhead()
    ahead.read([entry, event])
    assert ahead._read.keys() == {event.id}


def test_nobody_speaks_as_another_writer(queue: Stream, writer: Sender, service: Sender) -> None:
    event = json.dumps(an_event(event_id=uuid7())).encode()
    own = Signer(writer.key)
    own.key_id = Signer(service.key).key_id
    message = dead(queue, pushed(queue, own.entry(event)))
    assert message.last_error_class == "Forged" and message.source == client_entries.NOBODY
    named = dead(queue, pushed(queue, Signer(writer.key).entry(json.dumps(an_event(writer=service.name)).encode())))
    assert named.last_error_class == "Invalid" and "writer: this field is unknown" in named.last_error


def test_of_many_entries_of_unknown_keys_postgresql_is_asked_once(queue: Stream) -> None:
    raws = [pushed(queue, Signer(f"unknown-{n}").entry(json.dumps(an_event()).encode())) for n in range(20)]
    with CaptureQueriesContext(connection) as queries:
        assert drain.empty_inbox() == len(raws)
    asked = [query["sql"] for query in queries if WriterKey._meta.db_table in query["sql"]]
    assert len(asked) <= 2  # when they are moved to the queue, and when they are read there
    assert [dead(queue, raw).last_error_class for raw in raws] == ["Forged"] * len(raws)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b'{"event":{"event_type":"A"}}', "version: this field is required"),
        (b'{"no_event":1}', "has no event"),
        pytest.param(b"[]", "has no event", marks=pytest.mark.slow),
        pytest.param(b'{"event":{},"event":{}}', "occurs twice", marks=pytest.mark.slow),
        pytest.param(b"\xff", "not UTF-8", marks=pytest.mark.slow),
    ],
)
def test_what_is_not_valid_is_kept_raw_with_the_reason(
    queue: Stream, writer: Sender, payload: bytes, says: str
) -> None:
    message = dead(queue, pushed(queue, Signer(writer.key).sign(payload)))
    assert message.last_error_class == "Invalid" and says in message.last_error and message.source == writer.name


def test_an_entry_of_a_later_contract_waits_for_a_store_that_knows_it(queue: Stream, writer: Sender) -> None:
    message = dead(queue, pushed(queue, Signer(writer.key).sign(b"{}", "2.0")))
    assert message.last_error_class == "Unreadable" and "update it" in message.last_error


def parked_by(version: str, api_key: str, payload: bytes) -> bytes:
    """An entry as a client of another version writes it, which shares no line with today's."""
    head = f"{version} {hashlib.sha256(api_key.encode()).hexdigest()[:16]}".encode()
    mac_key = hmac.digest(api_key.encode(), b"audit dlq entry key 1", "sha256")
    return head + b" " + hmac.new(mac_key, head + b"\n" + payload, "sha256").hexdigest().encode() + b"\n" + payload


@pytest.mark.parametrize(("version", "more"), [("1.0", {}), ("1.2", {"of_tomorrow": {"a": 1}, "parked_at": 7})])
def test_a_client_of_the_version_before_or_after_parks_into_todays_store(
    queue: Stream, writer: Sender, version: str, more: dict[str, Any]
) -> None:
    event = an_event(event_id=uuid7())
    pushed(queue, parked_by(version, writer.key, json.dumps({"event": event} | more).encode()))
    assert drain.empty_inbox() == 1
    assert Record.objects.get(id=event["event_id"]).writer == writer.name


def test_what_a_revoked_key_or_a_reader_parks_is_a_persons_to_decide(queue: Stream, reader: Sender) -> None:
    sender = Sender("write")
    api_keys.revoke(sender.writer)
    for key, says in ((sender.key, "has been revoked"), (reader.key, "may not write")):
        message = dead(queue, pushed(queue, Signer(key).entry(json.dumps(an_event()).encode())))
        assert message.last_error_class == "Forbidden" and says in message.last_error


def test_a_key_from_before_is_learned_at_its_next_call_and_a_retry_stores_what_waited(
    queue: Stream, settings: Any
) -> None:
    sender = Sender("write")
    WriterKey.objects.filter(writer=sender.writer).update(entry_key=None)
    event = an_event(event_id=uuid7())
    message = dead(queue, pushed(queue, Signer(sender.key).entry(json.dumps(event).encode())))
    assert "has not been used with the API" in message.last_error
    api_keys.forget()
    assert sender.post(an_event()).status_code == 201
    entry_keys.forget()
    assert actions.retry([message], "somebody") == 1
    drain.drain(seconds=20)
    assert Record.objects.get(id=event["event_id"]).writer == sender.name
    assert queue.pages.find(message.key) is None


def test_an_entry_key_that_nobody_uses_is_kept_under_the_key_of_today(queue: Stream, settings: Any) -> None:
    sender, first = Sender("write"), settings.DLQ_ENTRY_KEY
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = b"a third" * 5, [first]
    assert entry_keys.renew() >= 1
    assert entry_keys.renew() == 0
    settings.DLQ_ENTRY_OLD_KEYS = []
    entry_keys.forget()
    event = park(queue, sender.key)
    assert drain.empty_inbox() == 1 and Record.objects.filter(id=event["event_id"]).exists()
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = first, [settings.DLQ_ENTRY_KEY]
    assert entry_keys.renew() >= 1  # as other tests know it


def test_an_entry_key_outlives_the_key_that_encrypts_it_as_long_as_that_is_known(queue: Stream, settings: Any) -> None:
    sender, first = Sender("write"), settings.DLQ_ENTRY_KEY
    stored = bytes(WriterKey.objects.get(writer=sender.writer).entry_key)
    assert Signer(sender.key)._mac_key not in stored
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = b"another" * 5, [first]
    event = park(queue, sender.key)
    assert drain.empty_inbox() == 1 and Record.objects.filter(id=event["event_id"]).exists()
    settings.DLQ_ENTRY_OLD_KEYS = []
    entry_keys.forget()
    lost = an_event(event_id=uuid7())
    message = dead(queue, pushed(queue, Signer(sender.key).entry(json.dumps(lost).encode())))
    assert "send one event there" in message.last_error
    api_keys.forget()
    assert sender.post(an_event()).status_code == 201
    entry_keys.forget()
    assert drain.rehearse(message).verdict == "stored"
