"""What the store found about itself is told until somebody heard it."""

import secrets
import socket

import pytest
from django.conf import settings
from django.core import mail

from audit.errors import NothingKept
from audit.ingest import own_event
from audit.ingest.notify import notify
from audit.models import OWN_WRITER, Record


def test_what_no_way_took_is_not_told_and_what_each_took_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"http://127.0.0.1:{server.getsockname()[1]}/hook"
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", nobody)
    assert not notify("audit.tests", "Something is missing.", told=lambda: told.append("at a closed port"))
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", "")
    assert notify("audit.tests", "Something is missing.", told=lambda: told.append("by mail"), missing=3)
    assert told == ["by mail"]
    assert mail.outbox[-1].body == "Something is missing."


def test_it_is_recorded_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    correlation, told = f"notify-{secrets.token_hex(4)}", []
    event = own_event.document(
        "audit.tests.found", actor=OWN_WRITER, outcome="failure", correlation=correlation, count=1
    )
    notify("audit.tests", "One.", told=lambda: told.append(Record.objects.get(correlation_id=correlation)), event=event)
    assert told[0].event_data == {"count": 1}


def test_what_cannot_be_recorded_is_not_told(monkeypatch: pytest.MonkeyPatch, postgres, redis_server) -> None:  # type: ignore[no-untyped-def]
    event = own_event.document("audit.tests.found", actor=OWN_WRITER, outcome="failure", correlation="notify")
    told: list[int] = []
    with postgres.stopped(), redis_server.stopped(), pytest.raises(NothingKept):
        notify("audit.tests", "One.", told=lambda: told.append(1), event=event)
    assert told == []
