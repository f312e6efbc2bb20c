"""The account of days: recorded once, corrected by a record that names the one before, told where it is wrong."""

from datetime import UTC, date, datetime, timedelta

import pytest

import dlq.counters
import dlq.spool
import dlq.stream
from audit import tasks
from audit.accounting import daily, queue_counts
from audit.ingest.notify import deliver
from audit.models import DayRecord, Record
from audit.queue import drain
from tests.audit.accounting.conftest import a_day, park, park_on, wipe
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import Sender

pytestmark = pytest.mark.usefixtures("own_queue")


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


def test_the_schedule_copies_and_records(sender: Sender) -> None:
    park(sender, 1)
    assert "lines copied" in tasks.account()
    assert queue_counts.copied_at() is not None
    assert "accounts of days recorded" in tasks.write_days()
