"""What the store found about itself is told once, and until somebody heard it."""

import secrets
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.db import transaction
from django.db.models import F

from audit.errors import NothingKept
from audit.ingest import own_event
from audit.ingest.notify import deliver, notify, notify_anyway
from audit.models import OWN_WRITER, OutboxAlarm, Record


def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/hook"


def nothing() -> None:
    """What is told needs no mark."""


def bodies() -> list[str]:
    return [str(message.body) for message in mail.outbox]


def mails(text: str) -> int:
    return bodies().count(text)


def test_what_no_way_took_is_told_later_and_only_by_the_way_that_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"Something is missing: {secrets.token_hex(4)}."
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody_listens())
    notify("audit.tests", text, told=nothing, missing=3)
    deliver(retry_after=timedelta(0))
    row = OutboxAlarm.objects.get(text=text)
    assert (mails(text), row.heard_at, row.figures) == (1, None, {"missing": 3})
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", "")
    deliver(retry_after=timedelta(0))
    assert OutboxAlarm.objects.get(text=text).heard_at is not None
    assert mails(text) == 1


def test_a_way_that_fails_is_left_alone_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"Something is missing: {secrets.token_hex(4)}."
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody_listens())
    notify("audit.tests", text, told=nothing)
    tried = OutboxAlarm.objects.get(text=text).tried_at
    assert deliver() >= 1
    assert OutboxAlarm.objects.get(text=text).tried_at == tried
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", "")
    deliver(retry_after=timedelta(0))


def test_a_turn_is_bounded_and_what_is_refused_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(retry_after=timedelta(0), seconds=60)
    texts = [f"{number} is missing: {secrets.token_hex(4)}." for number in range(3)]
    OutboxAlarm.objects.bulk_create(OutboxAlarm(alarm="audit.tests", text=text) for text in texts)
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody_listens())
    tried = []
    for _turn in range(4):
        deliver(retry_after=timedelta(0), seconds=0)
        tried.append(
            OutboxAlarm.objects.filter(text__in=texts, heard_at=None)
            .order_by(F("tried_at").desc(nulls_last=True))[0]
            .text
        )
    assert tried == [*texts, texts[0]]
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", "")
    assert deliver(retry_after=timedelta(0)) == 0


def test_the_alarm_is_kept_in_the_transaction_of_what_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in between leaves neither: what it tells is found untold, and told by the next run."""
    text = f"Something is missing: {secrets.token_hex(4)}."
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    with pytest.raises(ZeroDivisionError):
        notify("audit.tests", text, told=lambda: 1 / 0)
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        notify("audit.tests", text, told=nothing)
        raise KeyboardInterrupt
    assert not OutboxAlarm.objects.filter(text=text).exists()
    assert mails(text) == 0


def test_it_is_recorded_before_it_is_told() -> None:
    correlation, told = f"notify-{secrets.token_hex(4)}", list[Record]()
    event = own_event.document("audit.tests.found", actor=OWN_WRITER, outcome="failure", correlation=correlation, n=1)
    notify("audit.tests", "One.", told=lambda: told.append(Record.objects.get(correlation_id=correlation)), event=event)
    assert told[0].event_data == {"n": 1}


@pytest.mark.slow
def test_what_cannot_be_recorded_is_not_told(postgres: Any, redis_server: Any) -> None:
    event = own_event.document("audit.tests.found", actor=OWN_WRITER, outcome="failure", correlation="notify")
    told: list[int] = []
    with postgres.stopped(), redis_server.stopped(), pytest.raises(NothingKept):
        notify("audit.tests", "One.", told=lambda: told.append(1), event=event)
    assert told == []


@pytest.fixture
def once_an_hour() -> str:
    """The name of an alarm that nobody told yet."""
    return f"audit.tests.{secrets.token_hex(4)}"


def test_an_alarm_about_the_site_waits_until_it_was_heard(monkeypatch: pytest.MonkeyPatch, once_an_hour: str) -> None:
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody_listens())
    assert notify_anyway(once_an_hour, "It hangs.")
    assert OutboxAlarm.objects.get(alarm=once_an_hour).heard_at is None
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", "")
    deliver(retry_after=timedelta(0))
    assert OutboxAlarm.objects.get(alarm=once_an_hour).heard_at is not None


def test_an_alarm_that_comes_again_and_again_is_told_once(monkeypatch: pytest.MonkeyPatch, once_an_hour: str) -> None:
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    for number in range(3):
        assert notify_anyway(once_an_hour, f"{once_an_hour}: {number}", not_again_for=timedelta(hours=1))
    # Alarms of others that nobody heard are sent beside it.
    assert [body for body in bodies() if body.startswith(once_an_hour)] == [f"{once_an_hour}: 0"]
    OutboxAlarm.objects.filter(alarm=once_an_hour).update(made_at=datetime.now(UTC) - timedelta(hours=2))
    assert notify_anyway(once_an_hour, f"{once_an_hour}: 3", not_again_for=timedelta(hours=1))
    assert mails(f"{once_an_hour}: 3") == 1


@pytest.mark.slow
def test_while_postgresql_is_away_an_alarm_about_the_site_is_sent_past_the_outbox(
    monkeypatch: pytest.MonkeyPatch, postgres: Any, once_an_hour: str
) -> None:
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    with postgres.stopped():
        assert notify_anyway(once_an_hour, once_an_hour, not_again_for=timedelta(hours=1))
        assert mails(once_an_hour) == 1
        monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody_listens())
        assert not notify_anyway(once_an_hour, once_an_hour)  # the caller tells it again
    assert not OutboxAlarm.objects.filter(alarm=once_an_hour).exists()
