"""A forger with the password of Redis, or with access to the spool, makes no record, and is told of."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import dlq.alarm
import dlq.stream
from audit.formats.event import Accepted, accept
from audit.ingest.record import document
from audit.models import OWN_WRITER, Quarantined, Record
from audit.queue import drain, quarantine
from dlq import spool
from dlq.authenticity import FORGED
from dlq.message import Message, microseconds
from dlq.stream import Stream
from tests.admin.conftest import parked_message
from tests.audit.conftest import EVENTS, Sender, an_event


@pytest.fixture
def queue(own_queue: None) -> Stream:
    """A queue of its own, so that what is found dead in it is what a test has put there."""
    return dlq.stream.for_drain()


def as_the_store() -> Accepted:
    """An event in the name of the store itself, as a forger writes it: sound in every other respect."""
    return accept(an_event(event_type="audit.review.signed", actor_id="cfo"), writer=OWN_WRITER)


def put(queue: Stream, event: Accepted, **fields: Any) -> str:
    """Add it to the queue as parking does, but for the key that Redis does not have."""
    entry = {
        "key": str(event.id),
        "digest": event.digest,
        "body": event.body,
        "source": event.writer,
        "kind": event.event_type,
        "received_at": microseconds(event.received_at),
        "reason": "database-down",
    }
    message_id: str = queue.redis.xadd(queue.keys.stream, entry | fields).decode()
    queue.redis.zadd(queue.keys.due, {message_id: 0})
    queue.redis.hset(queue.keys.ids, str(event.id), message_id)
    queue.redis.hincrby(queue.keys.stats, "enqueued", 1)
    return message_id


def dead(queue: Stream, key: UUID | str) -> Message:
    message = queue.pages.find(str(key))
    assert message is not None and message.state == "dead"
    return message


@pytest.mark.parametrize("fields", [{}, {"mac": b""}, {"mac": bytes(32)}], ids=["none", "empty", "wrong"])
def test_an_entry_that_redis_alone_has_is_dead_and_told(
    queue: Stream, service: Sender, monkeypatch: pytest.MonkeyPatch, fields: dict[str, bytes]
) -> None:
    event = as_the_store()
    put(queue, event, **fields)
    shown = service.get(f"{EVENTS}/{event.id}")
    assert shown.status_code == 404 or "damaged" in shown.json()
    assert drain.drain(seconds=20).dead == 1
    assert not Record.objects.filter(id=event.id).exists()
    message = dead(queue, event.id)
    assert message.last_error_class == FORGED and "signature" in message.last_error
    told: list[str] = []
    monkeypatch.setattr(dlq.alarm, "tell", lambda name, text, **figures: bool(told.append(name)) or True)
    dlq.alarm.notify()
    dlq.alarm.notify()
    assert told.count("dlq.forged") == 1
    queue.retry_now([message.id])
    assert drain.drain(seconds=20).dead == 1
    assert not Record.objects.filter(id=event.id).exists()
    queue.acknowledge([message], "discarded")


def test_the_signature_of_one_entry_does_not_serve_another(queue: Stream) -> None:
    genuine = parked_message()
    event = as_the_store()
    put(queue, event, mac=genuine.mac)
    drain.drain(seconds=20)
    assert Record.objects.filter(id=genuine.key).exists() and not Record.objects.filter(id=event.id).exists()
    queue.acknowledge([dead(queue, event.id)], "discarded")


def test_a_forged_line_of_the_spool_makes_no_record(queue: Stream, settings: Any, tmp_path: Path) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    event = as_the_store()
    spool.append([document(event)], reason="database-down")
    (path,) = tmp_path.glob("*.spool")
    row = json.loads(path.read_bytes())
    row["mac"] = bytes(32).hex()
    path.write_bytes(json.dumps(row).encode() + b"\n")
    drain.drain(seconds=20)
    assert not list(tmp_path.iterdir()) and not Record.objects.filter(id=event.id).exists()
    message = dead(queue, event.id)
    assert message.last_error_class == FORGED
    queue.acknowledge([message], "discarded")


def test_the_quarantine_gives_no_signature_to_what_had_none(queue: Stream) -> None:
    event = as_the_store()
    put(queue, event)
    message = queue.pages.find(str(event.id))
    assert message is not None
    quarantine.quarantine([message], cause="put aside before a drain saw it", by="somebody")
    assert quarantine.release(Quarantined.objects.get(key=str(event.id)), by="somebody") == "parked"
    drain.drain(seconds=20)
    assert not Record.objects.filter(id=event.id).exists()
    message = dead(queue, event.id)
    assert message.last_error_class == FORGED
    queue.acknowledge([message], "discarded")


def test_a_forged_entry_takes_no_id_from_an_event(queue: Stream, service: Sender) -> None:
    genuine = an_event(event_id=str(as_the_store().id))
    forged = accept(an_event(event_id=genuine["event_id"]), writer=OWN_WRITER)
    put(queue, forged)
    assert service.post(genuine).status_code == 201
    drain.drain(seconds=20)
    record = Record.objects.get(id=genuine["event_id"])
    assert record.writer == service.name
    queue.acknowledge([dead(queue, genuine["event_id"])], "discarded")
