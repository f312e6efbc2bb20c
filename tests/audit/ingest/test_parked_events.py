"""What was parked in an outage: each is stored once, and what cannot be stored holds up nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import uuid_utils.compat
from django.conf import settings
from django.core.management import call_command

import dlq.errors
import dlq.stream
from audit.formats import canonical
from audit.formats.event import accept
from audit.ingest import record
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from dlq.message import Document
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event, with_id
from tests.audit.ingest.conftest import park, stored

pytestmark = pytest.mark.usefixtures("empty_queue")


def test_a_replay_of_what_was_committed_before_is_a_duplicate_not_a_failure(writer: Sender) -> None:
    document = with_id()
    writer.post(document)
    park(document, writer=writer.name)
    summary = drain.drain()
    assert (summary.stored, summary.duplicate) == (0, 1)
    assert len(stored(document["correlation_id"])) == 1


def kept_under_new_id(document: dict[str, Any]) -> Record:
    """The record of an acknowledged event whose id another one has."""
    conflicts = Record.objects.filter(event_type="audit.event.conflict", event_data__event_id=document["event_id"])
    act = conflicts.get(event_data__has_key="kept_as")
    kept = Record.objects.get(id=act.event_data["kept_as"])
    assert kept.digest_holds and act.digest_holds
    assert (str(kept.parent_event_id), kept.writer) == (document["event_id"], act.event_data["offered_by"])
    return kept


def test_a_parked_event_whose_id_is_taken_becomes_a_record_that_names_it(writer: Sender) -> None:
    document = with_id()
    assert writer.post(document).status_code == 201
    (accepted,) = park(document | {"severity": "high"}, writer=writer.name)
    assert drain.drain().dead == 0
    assert dlq.stream.default().pages.find(document["event_id"]) is None
    kept = kept_under_new_id(document)
    assert (kept.severity, kept.received_at) == ("high", accepted.received_at)
    assert Record.objects.get(id=document["event_id"]).severity == "info"


def test_a_drain_that_is_killed_before_it_takes_out_a_renamed_event_stores_it_once(writer: Sender) -> None:
    document = with_id()
    writer.post(document)
    park(document | {"severity": "high"}, writer=writer.name)
    message = dlq.stream.default().pages.find(document["event_id"])
    assert message is not None
    for _ in range(3):  # each stores, and none takes it out
        assert [outcome.verdict for outcome in drain.store_parked([message])] == ["stored"]
    drain.drain()
    kept_under_new_id(document)
    assert Record.objects.filter(correlation_id=document["correlation_id"]).count() == 3


def test_a_renamed_event_that_comes_again_as_another_message_is_the_same(writer: Sender) -> None:
    document = with_id()
    writer.post(document)
    park(document | {"severity": "high"}, writer=writer.name)
    message = dlq.stream.default().pages.find(document["event_id"])
    assert message is not None
    drain.drain()
    later = replace(message, id=f"{int(message.id.partition('-')[0]) + 5000}-0")
    assert later.parked_at != message.parked_at
    assert [outcome.verdict for outcome in drain.store_parked([later])] == ["stored"]
    kept_under_new_id(document)
    assert Record.objects.filter(correlation_id=document["correlation_id"]).count() == 3


def test_an_id_that_was_promised_in_a_spool_is_no_loss_to_whoever_was_promised_it(
    writer: Sender, postgres: Any, redis_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While both servers are away nobody can compare: another writer takes the id before the spool comes home."""
    monkeypatch.setattr(settings, "DLQ_SPOOL_DIR", tmp_path)
    document, thief = with_id(), Sender("write")
    writer.post(an_event())
    thief.post(an_event())
    with postgres.stopped(), redis_server.stopped():
        assert writer.post(document).status_code == 202
    assert gateway().breaker.wait_closed(20)
    assert thief.post(document | {"severity": "theirs"}).status_code == 201
    drain.drain(seconds=20)
    drain.drain(seconds=20)
    assert kept_under_new_id(document).writer == writer.name


def test_what_was_promised_first_keeps_its_id(writer: Sender) -> None:
    document = with_id()
    park(document, writer=writer.name)
    assert writer.post(document | {"severity": "high"}).status_code == 409
    assert writer.post([with_id(), document | {"severity": "high"}], BATCH).json()["field_errors"].keys() == {
        "1.event_id"
    }
    assert writer.post(document).status_code == 201  # the same again is no conflict
    assert drain.drain().duplicate >= 1
    assert stored(document["correlation_id"])[0].severity == document.get("severity", "info")


def test_one_that_can_never_be_stored_does_not_hold_up_the_others() -> None:
    sound = [with_id() for _ in range(5)]
    park(*sound[:3])
    body = canonical.canonical({"event_id": sound[0]["event_id"][:-4] + "ffff", "version": None})
    poison = accept(with_id(), writer="tests")
    record._park([msgspec.structs.replace(poison, body=body, digest=canonical.digest(body))], record.Fault.DOWN)
    park(*sound[3:])
    summary = drain.drain()
    assert summary.stored == 5
    assert summary.dead + summary.failed == 1
    message = dlq.stream.default().pages.find(str(poison.id))
    assert message is not None
    assert message.state == "dead"


def test_a_body_changed_in_redis_is_dead_not_stored() -> None:
    (event,) = [accept(with_id(), writer="tests")]
    forged = msgspec.structs.replace(event, body=event.body.replace(b"success", b"failure"))
    record._park([forged], record.Fault.DOWN)
    assert drain.drain().dead == 1
    message = dlq.stream.default().pages.find(str(event.id))
    assert message is not None
    assert message.last_error_class == "Damaged"


@pytest.mark.slow
def test_drain_dlq_says_what_it_did_and_whether_dead_ones_are_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    park(with_id(), with_id())
    with pytest.raises(SystemExit) as exit_status:
        call_command("drain_dlq")
    assert exit_status.value.code in (0, 3)
    assert "stored 2" in capsys.readouterr().out


@pytest.mark.slow
def test_drain_dlq_shows_the_queue_while_postgresql_is_stopped_and_touches_nothing(
    postgres: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    park(with_id())
    depth = dlq.stream.default().totals.depth()
    with postgres.stopped(), pytest.raises(SystemExit) as exit_status:
        call_command("drain_dlq")
    printed = capsys.readouterr().out
    assert exit_status.value.code == 4
    assert f"remaining {depth} " in printed
    assert "PostgreSQL is not up" in printed


def test_a_batch_that_takes_too_long_is_halved_not_taken_for_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is up, and runs into the deadline with more than two at once: that was a livelock."""
    accepted = park(*(with_id() for _ in range(7)))
    sizes: list[int] = []
    store = drain.store_promised

    def slow(events: Any, **options: Any) -> Any:
        sizes.append(len(events))
        if len(events) > 2:
            raise psycopg.OperationalError("the deadline")
        return store(events, **options)

    monkeypatch.setattr(drain, "store_promised", slow)
    summary = drain.drain(seconds=20)
    assert (summary.stored, summary.released, summary.database_up) == (7, 0, True)
    assert max(sizes) == 7 and Record.objects.filter(id__in=[one.id for one in accepted]).count() == 7


def test_a_single_event_that_always_takes_too_long_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    (accepted,) = park(with_id())

    def slow(events: Any, **options: Any) -> Any:
        raise psycopg.OperationalError("the deadline")

    with monkeypatch.context() as patch:
        patch.setattr(drain, "store_promised", slow)
        summary = drain.drain(seconds=20)
    assert (summary.failed, summary.database_up) == (1, True)
    message = dlq.stream.for_drain().pages.find(str(accepted.id))
    assert message is not None and (message.state, message.attempts) == ("waiting", 1)
    dlq.stream.for_drain().retry_now([message.id])


def test_what_is_damaged_in_the_queue_is_not_shown_as_the_event(service: Sender) -> None:
    (accepted,) = park(with_id())
    queue = dlq.stream.for_drain()
    for body, shown in ((accepted.body.replace(b"info", b"none"), "does not match"), (b"[1]", "cannot be read")):
        key = str(uuid_utils.compat.uuid7())
        digest = accepted.digest if shown == "does not match" else canonical.digest(body)
        queue.park([Document(key, digest, body, "tests", "a.kind", accepted.received_at)], reason="tests")
        answer = service.get(f"{EVENTS}/{key}")
        assert answer.status_code == 200
        assert shown in answer.json()["damaged"] and "severity" not in answer.json()
        message = queue.pages.find(key)
        assert message is not None
        queue.acknowledge([message], "discarded")
