"""The account of days: recorded once, corrected by a record that names the one before, told where it is wrong."""

import secrets
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

import dlq.counters
import dlq.spool
import dlq.stream
from audit import tasks
from audit.accounting import daily, queue_counts
from audit.ingest.notify import deliver
from audit.models import Account, DayRecord, Passage, Promise, Record
from audit.queue import drain
from tests import plans
from tests.audit.accounting.conftest import a_day, park, park_on, wipe
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import Sender

pytestmark = pytest.mark.usefixtures("own_queue")

# Days of a thousand writers, changed on the day after, and three that were changed now.
ACCOUNTS = """
INSERT INTO audit_account (day, writer, direct, queued, spooled, changed_at)
SELECT day, writer, 1, 0, 0, CASE WHEN day = current_date - 60 AND writer IN ('7', '8', '9') THEN now()
    ELSE day + interval '1 day' END
FROM (SELECT current_date - n %% 100 AS day, (n / 100)::text AS writer FROM generate_series(0, %(count)s - 1) n) AS made
"""


class Undone(Exception):
    """Ends a transaction of which nothing stays."""


@pytest.fixture
def alone() -> Iterator[CursorWrapper]:
    """A cursor of the owner; nothing of what it does stays."""
    with pytest.raises(Undone), transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        yield cursor
        raise Undone


@pytest.fixture
def undone() -> Iterator[None]:
    """Nothing of what a test keeps stays."""
    with pytest.raises(Undone), transaction.atomic():
        yield
        raise Undone


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


def test_a_loss_of_a_day_long_ago_is_recorded_and_told(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    day = park_on(sender, a_day(), 2)
    write(day)
    wipe(dlq.stream.for_drain())
    queue_counts.copy()
    daily.write(datetime.now(UTC) + daily.CORRECTED_EVERY)
    first, second = day_record(day)
    assert (first.event_outcome, second.event_outcome) == ("success", "failure")
    assert second.event_data["writers"][sender.name]["lost"] == 2
    assert any(str(day) in text and "2 lost" in text for text in texts)


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize("model", [Account, Passage, Promise])
def test_a_day_long_ago_is_looked_at_where_it_changed_since_its_record_and_only_then(model: type[Model]) -> None:
    now, day = datetime.now(UTC), a_day().date()
    name, at = (
        f"late-{secrets.token_hex(4)}",
        {Account: "changed_at", Passage: "copied_at", Promise: "handed_at"}[model],
    )
    own = {Passage: {"queue": name, "first": "1-0"}, Promise: {"process": uuid.uuid4(), "parked": 1}}.get(model, {})
    row = model._default_manager.create(day=day, writer=name, **own, **{at: now})
    first = now.date() - timedelta(days=daily.DAYS_BACK)

    def is_looked_at(moment: datetime = now) -> bool:
        return day in daily._changed_late(first, moment)

    assert is_looked_at(), "it was never recorded"
    made = {"day": day, "part": 1, "document": {}, "written_at": now}
    DayRecord.objects.create(version=1, event_id=uuid.uuid4(), made_at=now - timedelta(hours=3), **made)
    assert is_looked_at()
    assert not is_looked_at(now + timedelta(days=daily.DAYS_BACK, hours=1)), "nothing is asked of all that ever changed"
    DayRecord.objects.create(version=2, event_id=uuid.uuid4(), made_at=now + timedelta(minutes=5), **made)
    assert is_looked_at(), "the change may have been committed after the record was made"
    DayRecord.objects.create(version=3, event_id=uuid.uuid4(), made_at=now + timedelta(minutes=15), **made)
    assert not is_looked_at()
    model._default_manager.filter(pk=row.pk).update(**{at: now + timedelta(minutes=20)})
    assert is_looked_at()


def test_the_record_of_a_day_long_ago_that_a_crash_kept_back_is_written_later(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = park_on(sender, a_day(), 1)
    drain.drain()
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(daily, "record", lambda events: 1 / 0)
        write(day)
    DayRecord.objects.filter(day=day).update(made_at=datetime.now(UTC) + timedelta(minutes=15))
    daily.write()
    assert len(day_record(day)) == 1


def test_days_that_changed_late_are_found_by_the_indexes_of_what_did(alone: CursorWrapper) -> None:
    alone.execute("TRUNCATE audit_account, audit_passage, audit_promise")
    alone.execute(ACCOUNTS, {"count": 20_000})
    alone.execute("ANALYZE audit_account")
    now = datetime.now(UTC)
    asked = {"first": now.date() - timedelta(days=40), "since": now - timedelta(days=40), "committed": timedelta(0)}
    found = plans.reads(daily._LATE_DAYS, asked, using="owner")
    assert sum(read.rows for read in found if " of audit_account" in read.node) == 3, plans.most(found)
