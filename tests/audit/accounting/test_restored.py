"""A queue that was restored from an older file: what had left it does not come back, and the account balances."""

from datetime import timedelta

import pytest
from django.core.management import call_command

import dlq.stream
from audit.accounting import queue_counts, restored
from audit.formats import event
from audit.ingest import record
from audit.ingest.notify import deliver
from audit.models import Record
from audit.queue import discards, drain, quarantine
from tests.audit.accounting.conftest import line, messages, park, put_back, state_of, told, wipe
from tests.audit.conftest import Sender, with_id

pytestmark = pytest.mark.usefixtures("own_queue")


@pytest.fixture
def sender() -> Sender:
    return Sender("write", "read")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The alarms of a queue that was restored."""
    texts: list[str] = []

    def tell(name: str, text: str, **figures: int) -> bool:
        texts.extend([text] if name == "dlq.restored" else [])
        return True

    monkeypatch.setattr("dlq.alarm.tell", tell)
    return texts


def test_what_was_drained_is_not_drained_again_and_the_account_balances(sender: Sender, heard: list[str]) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 10)
    older = state_of(queue)
    drain.drain()
    assert told(line(sender)) == {"received": 10, "stored_after_waiting": 10}
    put_back(queue, older)
    assert drain.drain().duplicate == 0
    assert told(line(sender)) == {"received": 10, "stored_after_waiting": 10}
    park(sender, 2)
    assert told(line(sender)) == {"received": 12, "stored_after_waiting": 10, "parked": 2}
    drain.drain()
    assert told(line(sender)) == {"received": 12, "stored_after_waiting": 12}
    assert len(heard) == 1 and "10 events that had left it were taken out again; 0 wait" in heard[0]


def test_what_was_discarded_or_quarantined_does_not_come_back(sender: Sender, heard: list[str]) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 3)
    older = state_of(queue)
    first, second, third = messages(sender)
    discards.decide(discards.request(first, reason="a test", by="ann"), approve=True, by="bob")
    quarantine.quarantine([second], cause="a test", by="ann")
    put_back(queue, older)
    drain.drain()
    assert [str(record.pk) for record in Record.objects.filter(writer=sender.name)] == [third.key]
    assert told(line(sender)) == {"received": 3, "stored_after_waiting": 1, "quarantined": 1, "discarded": 1}


def test_what_was_drained_after_the_last_copy_is_neither_lost_nor_received_twice(
    sender: Sender, heard: list[str]
) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 4)
    older = state_of(queue)
    park(sender, 2)
    queue_counts.copy()
    drain.drain()
    put_back(queue, older)
    assert told(line(sender)) == {"received": 6, "stored_after_waiting": 6}


def test_what_came_after_the_older_file_is_lost_where_it_was_not_stored(sender: Sender, heard: list[str]) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 2)
    older = state_of(queue)
    park(sender, 3)
    queue_counts.copy()
    put_back(queue, older)
    assert told(line(sender)) == {"received": 5, "parked": 2, "lost": 3}
    drain.drain()
    assert told(line(sender)) == {"received": 5, "stored_after_waiting": 2, "lost": 3}


def test_a_restored_queue_that_is_restored_again_balances(sender: Sender, heard: list[str]) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 3)
    older = state_of(queue)
    for _ in range(2):
        drain.drain()
        queue_counts.copy()
        put_back(queue, older)
        assert told(line(sender)) == {"received": 3, "stored_after_waiting": 3}
    assert len(heard) == 2


def test_a_settlement_that_is_killed_half_way_is_done_by_the_next(
    sender: Sender, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 3)
    older = state_of(queue)
    drain.drain()
    queue_counts.copy()
    put_back(queue, older)
    with monkeypatch.context() as killed:
        killed.setattr("dlq.generation.renew", lambda queue: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain.drain()
    assert told(line(sender)) == {"received": 3, "stored_after_waiting": 3}


def test_the_alarm_is_told_until_it_was_heard_and_is_a_record(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, answers, texts = dlq.stream.for_drain(), [False, True], list[str]()
    park(sender, 1)
    queue_counts.copy()
    wipe(queue)

    def tell(name: str, text: str, **figures: int) -> bool:
        texts.extend([text] if name == "dlq.restored" else [])  # others may have alarms that nobody heard
        return name != "dlq.restored" or answers[len(texts) - 1]

    monkeypatch.setattr("dlq.alarm.tell", tell)
    lives = [restored.settle(queue).id for _ in range(3)]
    for _ in range(3):
        deliver(retry_after=timedelta(0))
    assert len(set(lives)) == 1
    assert len(texts) == 2 and "another queue" in texts[0]
    assert Record.objects.filter(event_type=restored.EVENT_TYPE).latest("stored_at").event_data["relation"] == "other"


def test_a_queue_that_moves_on_is_left_alone(sender: Sender, heard: list[str]) -> None:
    park(sender, 2)
    for _ in range(2):
        queue_counts.copy()
        drain.drain(limit=1)
    assert (heard, told(line(sender))) == ([], {"received": 2, "stored_after_waiting": 2})


def test_a_rebuild_names_nothing_missing_that_is_stored_or_put_aside(
    sender: Sender, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 4)
    stored, discarded, quarantined, gone = messages(sender)
    drain.drain(limit=1)
    discards.decide(discards.request(discarded, reason="a test", by="ann"), approve=True, by="bob")
    quarantine.quarantine([quarantined], cause="a test", by="ann")
    queue.redis.hset(queue.keys.ids, mapping={each.key: each.id for each in (stored, discarded, quarantined)})
    queue.redis.xdel(queue.keys.stream, gone.id)
    with pytest.raises(SystemExit):
        call_command("dlq", "check", "--rebuild")
    assert f"MISSING from the stream: {gone.key}\n" in capsys.readouterr().out
    act = Record.objects.filter(event_type="audit.parked.found_missing").latest("stored_at")
    assert act.event_data["event_ids"] == [gone.key]


def test_an_older_file_is_known_also_before_the_next_copy(sender: Sender, heard: list[str]) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 3)
    older = state_of(queue)
    drain.drain()
    put_back(queue, older)
    assert drain.drain().duplicate == 0
    assert told(line(sender)) == {"received": 3, "stored_after_waiting": 3}
    assert len(heard) == 1


def test_what_was_drained_uncopied_is_not_lost_beside_events_that_were_stored_twice(
    sender: Sender, heard: list[str]
) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 4)
    older = state_of(queue)
    queue_counts.copy()
    drain.drain()
    accepted = [event.accept(with_id(), writer=sender.name) for _ in range(5)]
    record.record(accepted)
    put_back(queue, older)
    queue.park([record.document(each) for each in accepted], reason="database-down")
    drain.drain()
    assert told(line(sender)) == {"received": 9, "stored_at_once": 5, "stored_after_waiting": 4}


def test_what_only_records_tell_of_was_received_where_the_process_that_promised_it_was_killed(
    sender: Sender, heard: list[str]
) -> None:
    queue = dlq.stream.for_drain()
    park(sender, 4)
    older = state_of(queue)
    # Parked by a process that ends before it has handed over what it promised.
    accepted = [event.accept(with_id(), writer=sender.name) for _ in range(3)]
    queue.park([record.document(each) for each in accepted], reason="database-down")
    drain.drain()
    put_back(queue, older)
    drain.drain()
    assert told(line(sender)) == {"received": 7, "stored_after_waiting": 7}
