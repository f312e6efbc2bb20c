"""The account: every event that was received is in exactly one place, or the account says what is not known or lost."""

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
import uuid_utils.compat
from django.core.management import call_command
from django.test import override_settings

import dlq.counters
import dlq.spool
import dlq.stream
from audit import tasks
from audit.accounting import balance, daily, queue_counts
from audit.accounting.balance import DayCounts, line_of
from audit.completeness import reconcile
from audit.formats import event
from audit.ingest import parked_counts, record
from audit.ingest.notify import deliver
from audit.models import DayRecord, Quarantined, Record
from audit.postgres.gateway import gateway
from audit.queue import discards, drain, quarantine
from tests.audit.accounting.conftest import entries, line, messages, park, told, wipe
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import BATCH, Sender, an_event

pytestmark = pytest.mark.usefixtures("own_queue")

ACCOUNT = "/api/v1/audit/account"


@pytest.fixture
def sender() -> Sender:
    return Sender("write", "read")


def with_id(**changes: Any) -> dict[str, Any]:
    return an_event(event_id=str(uuid_utils.compat.uuid7()), **changes)


def parked_events(sender: Sender, postgres: Any, count: int) -> list[dict[str, Any]]:
    """Events that came while PostgreSQL was stopped; the next one that is stored tells how many."""
    events = [with_id() for _ in range(count)]
    with postgres.stopped():
        for at in range(0, count, 250):
            assert sender.post(events[at : at + 250], BATCH).status_code == 202
    assert gateway().breaker.wait_closed(20)
    return events


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


def park_on(sender: Sender, moment: datetime, count: int) -> date:
    accepted = [event.accept(with_id(), writer=sender.name) for _ in range(count)]
    documents = [record.document(msgspec.structs.replace(one, received_at=moment)) for one in accepted]
    dlq.stream.for_drain().park(documents, reason="database-down")
    return moment.date()


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


# --- The account of days ----------------------------------------------------------------------


def a_day() -> datetime:
    """A day that is this test's own."""
    return datetime(1971, 1, 1, 12, tzinfo=UTC) + timedelta(days=secrets.randbelow(9000))


def day_record(day: date) -> list[Record]:
    return list(Record.objects.filter(correlation_id=f"account-{day}").order_by("id"))


def write(day: date, now: datetime | None = None) -> int:
    follow()
    queue_counts.copy()
    return daily.write(now, first=day, last=day)


def test_a_day_is_recorded_once_with_the_figures_of_each_writer(sender: Sender) -> None:
    day = park_on(sender, a_day(), 2)
    drain.drain()
    assert (write(day), write(day)) == (1, 0)
    (found,) = day_record(day)
    assert (found.event_type, found.event_outcome) == ("audit.account.day", "success")
    assert found.event_data["writers"][sender.name]["received"] == 2
    assert daily.figures(day) == found.event_data["writers"]


def test_a_day_that_changed_is_corrected_by_a_record_that_names_the_one_before(sender: Sender) -> None:
    moment = a_day()
    day = park_on(sender, moment, 1)
    write(day)
    drain.drain()
    assert write(day) == 0
    assert write(day, datetime.now(UTC) + daily.CORRECTED_EVERY) == 1
    first, second = day_record(day)
    assert first.event_data["writers"][sender.name]["parked"] == 1
    assert second.event_data["writers"][sender.name]["stored_after_waiting"] == 1
    assert (second.event_data["corrects"], second.parent_event_id) == ([str(first.id)], first.id)


def test_a_crash_between_the_row_and_the_record_repeats_the_same_record(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = park_on(sender, a_day(), 1)
    drain.drain()
    with monkeypatch.context() as broken:
        broken.setattr(daily, "record", lambda events: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(day)
    assert day_record(day) == []
    assert write(day) == 1
    DayRecord.objects.filter(day=day).update(written_at=None)
    assert write(day) == 1
    (found,) = day_record(day)
    assert found.id == DayRecord.objects.get(day=day).event_id


def test_a_day_that_is_not_known_is_not_recorded(sender: Sender) -> None:
    day = park_on(sender, a_day(), 1)
    queue_counts.copy()
    drain.drain()
    assert daily.write(first=day, last=day) == 0
    assert day_record(day) == []


def test_a_day_that_does_not_balance_is_recorded_as_a_failure_and_told(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    day = park_on(sender, a_day(), 2)
    queue_counts.copy()
    wipe(dlq.stream.for_drain())
    write(day)
    (found,) = day_record(day)
    assert (found.event_outcome, found.event_data["writers"][sender.name]["lost"]) == ("failure", 2)
    assert any(str(day) in text and "2 lost" in text for text in texts)


def test_the_alarm_of_a_day_is_told_until_it_was_heard(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, texts = [False, True], list[str]()

    def tell(name: str, text: str, **figures: int) -> bool:
        texts.extend([text] if name == "audit.account" else [])
        return name != "audit.account" or heard[len(texts) - 1]

    monkeypatch.setattr("dlq.alarm.tell", tell)
    day = park_on(sender, a_day(), 2)
    queue_counts.copy()
    wipe(dlq.stream.for_drain())
    assert (write(day), write(day)) == (1, 0)
    for _ in range(3):
        deliver(retry_after=timedelta(0))
    assert [str(day) in text and "2 lost" in text for text in texts] == [True, True]
    assert len(day_record(day)) == 1


# --- Command and API --------------------------------------------------------------------------


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("account", *arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_command_says_the_equation_and_its_status(sender: Sender, capsys: pytest.CaptureFixture[str]) -> None:
    moment = a_day()
    day = park_on(sender, moment, 2)
    while drain.drain().remaining:
        pass
    follow()
    assert run("--day", str(day), "--writer", sender.name) == 0
    assert f"{sender.name}: balanced. 2 received = 2 stored + 0 parked" in capsys.readouterr().out
    park_on(sender, moment, 1)
    queue_counts.copy()
    wipe(dlq.stream.for_drain())
    assert run("--day", str(day), "--writer", sender.name) == 3
    assert "1 LOST" in capsys.readouterr().out
    assert run("--day", str(day), "--writer", "nobody") == 0
    assert f"{day}: nothing received." in capsys.readouterr().out


def test_where_nothing_was_received_nothing_is_balanced(sender: Sender) -> None:
    today = datetime.now(UTC).date()
    queue_counts.copy()
    assert balance.compute(today, today, writer=sender.name).state == "nothing received"
    later = datetime.now(UTC) + timedelta(minutes=10)
    assert balance.compute(today, today, writer=sender.name, now=later).state == "not yet"


def test_the_command_knows_nothing_where_nothing_was_copied(sender: Sender) -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert run("--writer", sender.name) == 4


def test_the_api_gives_the_account_of_days(sender: Sender) -> None:
    day = park_on(sender, a_day(), 1)
    queue_counts.copy()
    answer = sender.get(ACCOUNT, day=str(day), writer=sender.name)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["first_day"], body["last_day"], body["state"]) == (str(day), str(day), "balanced")
    (found,) = body["data"]
    assert (found["received"], found["parked"], found["not_yet"]) == (1, 1, None)
    assert body["total"]["received"] == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"day": "x"},
        {"day": "2026-02-30"},
        {"day": "2026-01-01", "until": "2025-01-01"},
        {"day": "2026-01-01", "until": "2026-12-31"},
        {"writer": "\x00"},
        {"days": "1"},
    ],
)
def test_what_cannot_be_asked_is_refused(sender: Sender, asked: dict[str, str]) -> None:
    assert sender.get(ACCOUNT, **asked).status_code == 400


def test_the_account_needs_the_scope_to_read(writer: Sender) -> None:
    assert writer.get(ACCOUNT).status_code == 403


def test_the_schedule_copies_and_records(sender: Sender) -> None:
    park(sender, 1)
    assert "lines copied" in tasks.account()
    assert queue_counts.copied_at() is not None
    assert "accounts of days recorded" in tasks.write_days()


def test_a_sum_that_cannot_be_explained_is_said_to_be_so() -> None:
    assert line_of(DayCounts(direct=1)).balanced
    assert line_of(DayCounts(queued=1)).unexplained == -1
    assert not line_of(DayCounts(queued=1)).balanced
