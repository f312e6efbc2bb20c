"""The account as it is asked for, by the command and over the API."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings

import dlq.counters
import dlq.spool
import dlq.stream
from audit.accounting import balance, queue_counts
from audit.queue import drain
from tests.audit.accounting.conftest import ACCOUNT, a_day, park_on, wipe
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import Sender

pytestmark = pytest.mark.usefixtures("own_queue")


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
