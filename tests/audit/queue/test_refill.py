"""What was drained and is in no record any more comes back, once, as it was."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

import dlq.spool
import dlq.stream
from audit.evidence.erasure import requests
from audit.evidence.erasure.requests import Asked
from audit.formats.erasable.rules import Rule, Rules
from audit.formats.event import Accepted, accept
from audit.ingest.record import document, store
from audit.models import Record
from audit.queue import drain
from audit.queue.refill import refill
from dlq.authenticity import sign
from dlq.drain import DatabaseDown
from dlq.message import Message
from dlq.stream import Stream
from tests.audit.conftest import an_event


@pytest.fixture
def queue(settings: Any) -> Iterator[Stream]:
    """A queue of its own, so that what others drained is not in the way."""
    settings.DLQ_PREFIX = f"refill-{datetime.now(UTC).timestamp()}"
    yield dlq.stream.for_drain()


def kept(queue: Stream, event: Accepted, **changes: Any) -> Message:
    """Keep an event as a drain does that has stored it: into a store that was restored since."""
    parked = document(event)
    message = Message(
        id=f"{int(event.received_at.timestamp() * 1000)}-0",
        reason="database-down",
        **{
            name: getattr(parked, name) for name in ("key", "digest", "body", "source", "kind", "received_at", "beside")
        },
        mac=changes.pop("mac", sign(parked)),
    )
    assert queue.kept.keep([message]) == 1
    return message


def an_accepted(**changes: Any) -> Accepted:
    return accept(an_event(**changes), writer="tests", now=datetime.now(UTC) - timedelta(hours=1))


def test_what_can_be_erased_of_an_event_comes_back_with_it_and_what_was_erased_does_not(queue: Stream) -> None:
    rules = Rules([Rule(name="mail", path="event_data.email", reason="r")])
    event = accept(an_event(event_data={"email": "zofie"}), writer="tests", erasing=rules)
    kept(queue, event)
    assert refill(by="somebody").stored == 1
    assert Record.objects.get(id=event.id).shown()["event_data"] == {"email": "zofie"}
    asked = Asked("ids", str(event.id), "", "GDPR Art. 17(1)(b)", "she asked")
    requests.decide(request := requests.ask(asked, by="olga"), approve=True, by="otto")
    requests.carry_out(request)
    assert refill(by="somebody").here == 1
    assert Record.objects.get(id=event.id).values().beside == {}


def test_what_the_store_lacks_is_stored_with_its_times_and_what_it_has_is_left(queue: Stream) -> None:
    lacking, here = an_accepted(), an_accepted()
    store([here], timeout_s=20)
    message = kept(queue, lacking)
    kept(queue, here)
    done = refill(by="somebody")
    assert (done.kept, done.looked_at, done.here, done.stored, done.refused) == (2, 2, 1, 1, 0)
    record = Record.objects.get(id=lacking.id)
    assert bytes(record.digest) == lacking.digest
    assert (record.received_at, record.parked_at) == (lacking.received_at, message.parked_at)
    again = refill(by="somebody")
    assert (again.here, again.stored) == (2, 0)


def test_the_act_is_a_record_that_names_what_came_back(queue: Stream) -> None:
    event = an_accepted()
    kept(queue, event)
    refill(by="olga")
    act = Record.objects.filter(event_type="audit.queue.refilled", actor_id="olga").latest("stored_at")
    assert act.event_data["event_ids"] == [str(event.id)]
    assert act.event_data["by_writer"] == {"tests": 1} and act.event_data["stored"] == 1


def test_a_dry_run_counts_and_stores_nothing(queue: Stream, capsys: Any) -> None:
    event = an_accepted()
    kept(queue, event)
    with pytest.raises(SystemExit) as ended:
        call_command("refill", "--dry-run")
    assert ended.value.code == 0
    assert "1 kept: 0 here already, 1 to be stored, 0 refused" in capsys.readouterr().out
    assert not Record.objects.filter(id=event.id).exists()
    assert not Record.objects.filter(event_type="audit.queue.refilled", event_data__event_ids=[str(event.id)]).exists()


@pytest.mark.parametrize("mac", [b"", bytes(32)], ids=["unsigned", "wrongly signed"])
def test_what_other_hands_put_there_is_refused_and_named(queue: Stream, mac: bytes, capsys: Any) -> None:
    forged, honest = an_accepted(), an_accepted()
    kept(queue, forged, mac=mac)
    kept(queue, honest)
    with pytest.raises(SystemExit) as ended:
        call_command("refill")
    assert ended.value.code == 3
    assert f"refused {forged.id}: this store did not park it" in capsys.readouterr().out
    assert not Record.objects.filter(id=forged.id).exists()
    assert Record.objects.filter(id=honest.id).exists()


def test_an_event_whose_id_was_taken_comes_back_under_its_other_id_once(queue: Stream) -> None:
    event = an_accepted()
    taken = accept(an_event(event_id=str(event.id), event_action="another"), writer="tests")
    store([taken], timeout_s=20)
    kept(queue, event)
    assert refill(by="somebody").stored == 1
    assert Record.objects.filter(parent_event_id=event.id).count() == 1
    assert refill(by="somebody").here == 1


def test_it_is_stopped_between_two_portions_and_goes_on(queue: Stream) -> None:
    events = [an_accepted() for _ in range(3)]
    for event in events:
        kept(queue, event)
    stop = threading.Event()
    assert refill(by="somebody", stop=stop, progress=lambda _: stop.set()).stored == 1
    assert refill(by="somebody").stored == 2
    assert Record.objects.filter(id__in=[event.id for event in events]).count() == 3


def test_without_postgresql_nothing_is_begun(queue: Stream, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    kept(queue, an_accepted())
    monkeypatch.setattr("audit.queue.refill.is_up", lambda: False)
    with pytest.raises(DatabaseDown):
        refill(by="somebody")
    with pytest.raises(SystemExit) as ended:
        call_command("refill")
    assert ended.value.code == 4 and "PostgreSQL is not up" in capsys.readouterr().out


def test_what_a_drain_and_a_spool_brought_home_is_kept(queue: Stream, settings: Any, tmp_path: Any) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    parked, spooled = an_accepted(), an_accepted()
    queue.park([document(parked)], reason="database-down")
    dlq.spool.append([document(spooled)], reason="database-down")
    drain.drain(seconds=20)
    keys = {message.key for portion in queue.kept.portions() for message in portion.messages}
    assert keys == {str(parked.id), str(spooled.id)}
    assert Record.objects.filter(id__in=[parked.id, spooled.id]).count() == 2
    done = refill(by="somebody")
    assert (done.here, done.stored, done.refused) == (2, 0, 0)
