"""Clocks that differ are seen and told; no writer is refused for one of ours."""

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client

import dlq.stream
from audit.formats import times
from audit.ingest import clock_alarm, notify
from audit.models import OutboxAlarm
from audit.postgres import clock
from tests.admin.conftest import logged_in, person
from tests.audit.conftest import BATCH, Sender, an_event


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However long PostgreSQL takes on a busy machine, it is heard."""
    monkeypatch.setattr(clock, "TIMEOUT_S", 20.0)
    clock.forget()
    yield
    clock.forget()


def told_by_mail() -> list[str]:
    """The alarms about clocks; those of others that nobody heard are sent beside them."""
    return [str(message.body) for message in mail.outbox if message.subject == f"[{settings.SITE_NAME}] audit.clock"]


def behind(monkeypatch: pytest.MonkeyPatch, **span: float) -> None:
    """This process's own clock is behind, as after a resume without a time service."""
    monkeypatch.setattr(clock, "local_now", lambda: datetime.now(UTC) - timedelta(**span))


def test_an_event_of_now_is_taken_by_a_server_whose_clock_is_behind(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind(monkeypatch, hours=3)
    now = {"event_timestamp": times.timestamp_text(datetime.now(UTC))}
    assert writer.post(an_event(**now)).status_code == 201
    assert writer.post([an_event(**now), an_event(**now)], BATCH).status_code == 201


def test_an_event_from_the_future_is_refused_all_the_same(writer: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    behind(monkeypatch, hours=3)
    ahead = times.timestamp_text(datetime.now(UTC) + timedelta(hours=2))
    assert writer.post(an_event(event_timestamp=ahead)).status_code == 400


@pytest.mark.slow
def test_clocks_that_agree_are_no_skew_and_are_shown() -> None:
    assert clock.skew().widest_s < 1
    metrics = Client().get("/metrics").content.decode()
    assert 0 <= float(re.search(r"^audit_clock_skew_seconds (\S+)$", metrics, re.MULTILINE)[1]) < 1
    assert "Clocks" in logged_in(person(None, is_superuser=True)).get("/admin/").content.decode()


def test_a_skew_is_told_once_until_the_clocks_agree_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    with monkeypatch.context() as patch:
        behind(patch, seconds=60.4)  # of which an answer that is slow takes something
        clock_alarm.alarm()
        clock_alarm.alarm()
        (text,) = told_by_mail()
        assert "60 s apart" in text
    clock.forget()
    clock_alarm.alarm()
    assert not dlq.stream.for_drain().alarms.read().get(clock_alarm.told_name())


def test_a_host_whose_clock_is_right_takes_no_alarm_of_another_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    for _ in range(2):
        with monkeypatch.context() as wrong:
            wrong.setattr(clock_alarm.socket, "gethostname", lambda: "behind.example")
            wrong.setattr(clock_alarm, "skew", lambda: clock.Skew(60.0, 60.0))
            clock_alarm.alarm()
        with monkeypatch.context() as right:
            right.setattr(clock_alarm, "skew", lambda: clock.Skew(0.0, 0.0))
            clock_alarm.alarm()
    assert len(told_by_mail()) == 1
    dlq.stream.for_drain().alarms.remember("skew_told:behind.example", "")


def test_an_alarm_that_no_way_took_waits_in_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody_listens = f"http://127.0.0.1:{server.getsockname()[1]}/hook"
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody_listens)
    monkeypatch.setattr(clock_alarm, "told_name", lambda: "skew_told:tests")
    with monkeypatch.context() as patch:
        behind(patch, seconds=77.4)
        clock_alarm.alarm()
        clock_alarm.alarm()
    (waiting,) = OutboxAlarm.objects.filter(alarm="audit.clock", heard_at=None)
    assert "77 s apart" in waiting.text
    clock.forget()
    clock_alarm.alarm()
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", "")
    notify.deliver(retry_after=timedelta(0))
    waiting.refresh_from_db()
    assert waiting.heard_at is not None


def test_while_neither_server_tells_its_clock_the_own_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "skew", lambda: clock.Skew(None, None))
    assert abs(clock.latest_now() - datetime.now(UTC)) < timedelta(minutes=5)
