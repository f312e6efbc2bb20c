"""The account: every event that was received is in exactly one place, or the account says what is not known or lost."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from django.core.management import call_command
from django.test import override_settings

import dlq.counters
import dlq.spool
import dlq.stream
from audit.accounting import balance, queue_counts
from audit.accounting.balance import DayCounts, line_of
from audit.completeness import reconcile
from audit.formats import event
from audit.ingest import parked_counts, record
from audit.models import Quarantined
from audit.queue import discards, drain, quarantine
from tests.audit.accounting.conftest import ACCOUNT, entries, line, messages, park, park_on, parked_events, told, wipe
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import BATCH, Sender, with_id

pytestmark = pytest.mark.usefixtures("own_queue")


@pytest.mark.slow
def test_the_account_is_exact_at_each_stage_of_an_outage(sender: Sender, postgres: Any) -> None:
    assert sender.post([with_id(), with_id()], BATCH).status_code == 201
    assert told(line(sender)) == {"received": 2, "stored_at_once": 2}
    parked_events(sender, postgres, 5)
    assert told(line(sender)) == {"received": 7, "stored_at_once": 2, "parked": 5}
    drain.drain(limit=2)
    assert told(line(sender)) == {"received": 7, "stored_at_once": 2, "stored_after_waiting": 2, "parked": 3}
    drain.drain()
    assert told(line(sender)) == {"received": 7, "stored_at_once": 2, "stored_after_waiting": 5}


@pytest.mark.slow
def test_what_redis_lost_before_postgresql_was_back_is_lost_in_the_account(sender: Sender, postgres: Any) -> None:
    parked = parked_events(sender, postgres, 1000)
    wipe(dlq.stream.for_drain())
    assert sender.post(with_id()).status_code == 201
    found = line(sender)
    assert told(found) == {"received": 1001, "stored_at_once": 1, "lost": 1000}
    assert [one.state for one in entries(sender) if one.line.lost] == ["lost"]
    assert sender.post(parked[:250], BATCH).status_code == 201
    assert told(line(sender)) == {"received": 1251, "stored_at_once": 251, "lost": 1000}


def test_what_redis_lost_after_it_was_copied_is_lost_in_the_account(sender: Sender) -> None:
    park(sender, 1000)
    assert told(line(sender)) == {"received": 1000, "parked": 1000}
    wipe(dlq.stream.for_drain())
    park(sender, 3)
    assert told(line(sender)) == {"received": 1003, "parked": 3, "lost": 1000}
    drain.drain()
    assert told(line(sender)) == {"received": 1003, "stored_after_waiting": 3, "lost": 1000}


def test_what_other_hands_removed_is_lost_once_a_rebuild_found_it(sender: Sender) -> None:
    park(sender, 3)
    first = messages(sender)[0]
    queue = dlq.stream.for_drain()
    queue.redis.xdel(queue.keys.stream, first.id)
    assert not queue_counts.copy().whole
    call_command("dlq", "stats")
    with pytest.raises(SystemExit):
        call_command("dlq", "check", "--rebuild")
    assert told(line(sender)) == {"received": 3, "parked": 2, "lost": 1}


def test_counters_that_agree_with_nothing_are_not_copied_and_nothing_is_said(sender: Sender) -> None:
    park(sender, 1)
    queue = dlq.stream.for_drain()
    queue.redis.delete(queue.keys.counters)
    assert not queue_counts.copy().whole
    sender.post(with_id())
    follow()
    assert {one.state for one in entries(sender)} == {"not yet"}


def test_dead_discarded_and_quarantined_events_have_their_place_each(sender: Sender) -> None:
    park(sender, 5)
    queue = dlq.stream.for_drain()
    first, second, third, *_ = messages(sender)
    for one in (first, second):
        queue.fail(one, "Poison", "never", dead=True)
    assert told(line(sender)) == {"received": 5, "parked": 3, "dead": 2}
    queue.retry_now([second.id])
    assert told(line(sender)) == {"received": 5, "parked": 4, "dead": 1}
    quarantine.quarantine([first], cause="tests", by="ann")
    discards.decide(discards.request(third, reason="tests", by="ann"), approve=True, by="bob")
    assert told(line(sender)) == {"received": 5, "parked": 3, "quarantined": 1, "discarded": 1}
    assert quarantine.release(Quarantined.objects.get(message_id=first.id), by="ann") == "parked"
    assert told(line(sender)) == {"received": 5, "parked": 4, "discarded": 1}
    drain.drain()
    assert told(line(sender)) == {"received": 5, "stored_after_waiting": 4, "discarded": 1}


@pytest.mark.slow
def test_an_event_that_is_stored_and_parked_is_received_once(sender: Sender, postgres: Any) -> None:
    (parked,) = parked_events(sender, postgres, 1)
    assert sender.post(parked).status_code == 201
    assert sender.post(parked).status_code == 200
    drain.drain()
    assert told(line(sender)) == {"received": 1, "stored_at_once": 1}


def test_a_drainer_that_died_between_storing_and_taking_out_counts_nothing_twice(sender: Sender) -> None:
    park(sender, 2)
    with override_settings(DLQ_LEASE_S=0):
        drain.store_parked(dlq.stream.for_drain().claim(10))
        assert told(line(sender)) == {"received": 2, "stored_after_waiting": 2}
        drain.drain(limit=10)
    assert told(line(sender)) == {"received": 2, "stored_after_waiting": 2}


def test_what_was_stored_before_redis_lost_it_is_not_lost(sender: Sender) -> None:
    park(sender, 2)
    drain.store_parked(dlq.stream.for_drain().claim(1))
    line(sender)
    wipe(dlq.stream.for_drain())
    assert told(line(sender)) == {"received": 2, "stored_after_waiting": 1, "lost": 1}


def test_what_comes_from_local_files_is_received_once(sender: Sender, tmp_path: Any) -> None:
    accepted = [event.accept(with_id(), writer=sender.name) for _ in range(3)]
    with override_settings(DLQ_SPOOL_DIR=str(tmp_path)):
        dlq.spool.append([record.document(one) for one in accepted], reason="database-down")
        assert drain.empty_spool() == 3
    assert told(line(sender)) == {"received": 3, "stored_after_waiting": 3}


def test_a_reconcile_that_is_killed_counts_nothing_twice(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    follow()
    sender.post([with_id() for _ in range(3)], BATCH)
    with monkeypatch.context() as broken:
        broken.setattr(reconcile.stored_counts, "apply", lambda kept: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            follow()
    assert told(line(sender)) == {"received": 3, "stored_at_once": 3}
    assert told(line(sender)) == {"received": 3, "stored_at_once": 3}


def test_what_is_stored_and_not_read_yet_is_not_claimed_to_be_known(sender: Sender) -> None:
    queue_counts.copy()
    sender.post(with_id())
    (found,) = entries(sender)
    assert (found.state, found.not_yet) == ("not yet", "1 record is stored and not read yet")


def test_an_old_copy_of_the_queue_is_not_claimed_to_be_known(sender: Sender) -> None:
    park(sender, 1)
    line(sender)
    day = entries(sender)[0].day
    assert sender.get(ACCOUNT, day="9999-12-31", writer=sender.name).json()["state"] == "nothing received"
    later = datetime.now(UTC) + timedelta(minutes=10)
    found = balance.compute(day, day, writer=sender.name, now=later)
    assert found.state == "not yet"
    assert "last copied at" in found.rows[0].not_yet


def test_old_counters_that_balance_leave_redis_and_stay_in_the_account(sender: Sender) -> None:
    day = park_on(sender, datetime(2001, 2, 3, 12, tzinfo=UTC), 2)
    queue = dlq.stream.for_drain()
    queue_counts.copy()
    assert dlq.counters.read(queue).all != []
    drain.drain()
    assert queue_counts.copy().forgotten == 1
    assert dlq.counters.read(queue).all == []
    park_on(sender, datetime(2001, 2, 3, 13, tzinfo=UTC), 1)
    follow()
    queue_counts.copy()
    (found,) = balance.compute(day, day, writer=sender.name).rows
    assert told(found.line) == {"received": 3, "stored_after_waiting": 2, "parked": 1}


def test_a_process_hands_its_promises_over_once(sender: Sender) -> None:
    found, accepted = parked_counts.ParkedCounts(), event.accept(with_id(), writer=sender.name)
    found.note([accepted, accepted])
    assert found.hand_over() and found.hand_over()
    found.note([accepted])
    assert found.hand_over()
    assert told(line(sender)) == {"received": 3, "lost": 3}


def test_a_thread_that_comes_when_another_has_told_it_all_has_nothing_to_tell(sender: Sender) -> None:
    found = parked_counts.ParkedCounts()
    found.note([event.accept(with_id(), writer=sender.name)])

    class Late:
        """A lock that is free only when another thread is through."""

        def acquire(self, blocking: bool) -> bool:
            found._handing_over = free
            told = found.hand_over()
            found._handing_over = late
            return told

        def release(self) -> None:
            """It is nobody else's."""

    free, late = found._handing_over, cast("Any", Late())
    found._handing_over = late
    assert found.hand_over()


def test_a_sum_that_cannot_be_explained_is_said_to_be_so() -> None:
    assert line_of(DayCounts(direct=1)).balanced
    assert line_of(DayCounts(queued=1)).unexplained == -1
    assert not line_of(DayCounts(queued=1)).balanced
