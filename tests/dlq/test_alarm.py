"""Alarms reach a person, once, without PostgreSQL, and not on the way of a request."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.conf import settings
from django.core import mail

from dlq import alarm
from dlq.stream import Stream
from tests.dlq.conftest import a_document, parked


class WebhookServer(HTTPServer):
    """A webhook receiver of our own, on loopback."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), WebhookHandler)


class WebhookHandler(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hook(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    server = WebhookServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    monkeypatch.setattr(settings, "DLQ_ALERT_EMAILS", ["ops@example.com"])
    monkeypatch.setattr(settings, "DLQ_ALERT_DEPTH", 3)
    monkeypatch.setattr("dlq.stream.for_drain", lambda: stream)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_depth_is_told_once_by_webhook_and_mail(stream: Stream, hook: WebhookServer) -> None:
    parked(stream, 3)
    alarm.notify()
    assert hook.received == []
    parked(stream, 2)
    alarm.notify()
    alarm.notify()
    assert [(alert["alarm"], alert["depth"]) for alert in hook.received] == [("dlq.depth", 5)]
    assert [message.subject for message in mail.outbox] == [f"[{settings.SITE_NAME}] dlq.depth"]


def test_a_new_crossing_is_told_again(stream: Stream, hook: WebhookServer) -> None:
    parked(stream, 5)
    alarm.notify()
    stream.acknowledge(stream.claim(9), "drained")
    alarm.notify()
    parked(stream, 5)
    alarm.notify()
    assert len(hook.received) == 2


def test_what_could_not_be_told_is_tried_again(stream: Stream, hook: WebhookServer) -> None:
    hook.status = 500
    parked(stream, 5)
    alarm.notify()
    hook.status = 200
    alarm.notify()
    alarm.notify()
    assert len(hook.received) == 2


def test_dead_messages_are_told_when_there_are_more_of_them(stream: Stream, hook: WebhookServer) -> None:
    for expected in (1, 2):
        stream.fail(parked(stream)[0], "Kind", "", dead=True)
        alarm.notify()
        alarm.notify()
        assert hook.received[-1]["dead"] == expected
        assert len(hook.received) == expected


def test_to_park_does_not_wait_for_a_webhook(stream: Stream, hook: WebhookServer) -> None:
    assert stream.park([a_document() for _ in range(5)], reason="").alarm_raised
    assert hook.received == []


def test_the_age_of_the_oldest_is_told_at_each_step_and_not_in_between(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlq.stream.for_drain", lambda: stream)
    told: list[str] = []

    def tell(name: str, text: str, **figures: int) -> bool:
        told.append(name)
        return True

    monkeypatch.setattr(alarm, "tell", tell)
    for hours, alarms in (
        (0.5, 0),
        (2, 1),
        (3, 1),
        (25, 2),
        (24 * 3.5, 3),
        (24 * 6.5, 4),
        (24 * 6.6, 4),
        (0.1, 4),
        (2, 5),
    ):
        monkeypatch.setattr(stream.pages, "oldest_age", lambda hours=hours: hours * 3600)
        alarm.notify()
        assert told.count("dlq.age") == alarms, hours


def test_a_webhook_that_answers_with_nonsense_was_not_told(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"no HTTP\r\n\r\n")

        threading.Thread(target=babble, daemon=True).start()
        monkeypatch.setattr(settings, "DLQ_ALERT_WEBHOOK", f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert alarm.tell("a.name", "text") is False


def test_a_silent_mail_server_ends_by_itself() -> None:
    assert 0 < settings.EMAIL_TIMEOUT <= 10
