"""The quarantine, and the command that looks after the queue."""

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connections

import dlq.stream
from audit import tasks
from audit.errors import NothingKept
from audit.models import Quarantined, Record
from audit.queue import drain, quarantine
from dlq.drain import Summary
from dlq.message import Document, Message
from tests.admin.conftest import parked_message

pytestmark = pytest.mark.usefixtures("own_queue")


def odd_message(body: bytes = b'{"a": "\\u0000"}\xff') -> Message:
    """What no other table would take."""
    key = f"odd\x00{secrets.token_hex(6)}"
    digest = hashlib.sha256(b"\x00" + body).digest()
    document = Document(key, digest, body, "wr\x00iter", "kind", datetime.now(UTC))
    dlq.stream.for_drain().park([document], reason="tests")
    found = dlq.stream.for_drain().pages.find(key)
    assert found is not None
    return found


def test_a_message_is_kept_as_it_was_with_its_history() -> None:
    queue = dlq.stream.for_drain()
    parked = parked_message()
    queue.fail(parked, "DataError", "the first attempt")
    message = queue.pages.get(parked.id)
    assert message is not None
    before = queue.totals.stats()
    assert quarantine.quarantine([message], cause="tests", by="somebody") == 1
    kept = Quarantined.objects.get(message_id=message.id)
    assert (bytes(kept.body), bytes(kept.digest), kept.attempts) == (message.body, message.digest, 1)
    assert json.loads(kept.errors)[0]["error"] == "the first attempt"
    assert (kept.cause, kept.quarantined_by, kept.parked_at) == ("tests", "somebody", message.parked_at)
    after = queue.totals.stats()
    assert (after.quarantined, after.depth) == (before.quarantined + 1, before.depth - 1)
    noted = Record.objects.filter(event_type="audit.parked.quarantined").latest("event_timestamp")
    assert noted.event_data["events"] == {message.id: [message.key, message.digest.hex()]}


def test_whatever_was_in_the_queue_can_be_kept() -> None:
    message = odd_message()
    quarantine.quarantine([message], cause="tests", by="somebody")
    assert bytes(Quarantined.objects.get(message_id=message.id).body) == message.body


CHANGES = ("UPDATE audit_quarantine SET cause = ''", "DELETE FROM audit_quarantine", "TRUNCATE audit_quarantine")


@pytest.mark.parametrize("text", CHANGES)
@pytest.mark.parametrize("alias", ["default", "reader", "owner"])
def test_nobody_changes_the_quarantine(alias: str, text: str) -> None:
    quarantine.quarantine([parked_message()], cause="tests", by="somebody")
    with pytest.raises(DatabaseError), connections[alias].cursor() as cursor:
        cursor.execute(text)


def test_after_seven_days_a_message_leaves_redis_and_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, message, untried = dlq.stream.for_drain(), parked_message(), parked_message()
    queue.fail(message, "DataError", "the first attempt")
    monkeypatch.setattr(drain, "drain", lambda **options: Summary())
    tasks.tick()
    assert queue.pages.get(message.id) is not None
    monkeypatch.setattr(Message, "age", property(lambda self: 8 * 86_400.0))
    tasks.tick()
    assert queue.pages.get(message.id) is None
    assert Quarantined.objects.get(message_id=message.id).cause == quarantine.SEVEN_DAYS
    assert queue.totals.stats().balanced
    # After an outage of eight days the drain stores what was never tried: it is not put aside.
    assert queue.pages.get(untried.id) is not None
    queue.activity.pause("somebody")
    tasks.tick()
    queue.activity.resume()
    assert queue.pages.get(untried.id) is not None


def test_what_is_in_the_quarantine_is_parked_again_and_stored(client: Any, capsys: Any) -> None:
    message = parked_message()
    quarantine.quarantine([message], cause="tests", by="somebody")
    found = Quarantined.objects.get(key=message.key)
    person = User.objects.create_superuser(f"releaser-{secrets.token_hex(4)}")
    client.force_login(person)
    url = f"/admin/audit/quarantined/{found.n}/release/"
    assert "in the queue again" in client.post(url, follow=True).content.decode()
    call_command("dlq", "release", message.key)
    assert f"{message.key}: duplicate" in capsys.readouterr().out
    drain.drain(seconds=20)
    assert Record.objects.get(id=message.key).digest_holds
    page = client.get(f"/admin/audit/quarantined/{found.n}/change/").content.decode()
    assert "There is a <a" in page and "Return to the queue" not in page
    assert Quarantined.objects.filter(key=message.key).count() == 1
    assert Record.objects.filter(event_type="audit.parked.released", actor_id=person.username).count() == 1
    with pytest.raises(CommandError, match="in the quarantine"):
        call_command("dlq", "release", "unknown")
    assert client.get(url).status_code == 405
    assert client.post("/admin/audit/quarantined/999999999/release/").status_code == 404


def test_a_crash_between_commit_and_removal_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    message = parked_message()

    def crash(*arguments: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dlq.stream.Stream, "acknowledge", crash)
        with pytest.raises(KeyboardInterrupt):
            quarantine.quarantine([message], cause="tests", by="somebody")
    assert dlq.stream.for_drain().pages.get(message.id) is not None
    quarantine.quarantine([message], cause="tests", by="somebody")
    assert Quarantined.objects.filter(message_id=message.id).count() == 2
    assert dlq.stream.for_drain().pages.get(message.id) is None


def test_what_cannot_be_recorded_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise NothingKept

    message = parked_message()
    monkeypatch.setattr("audit.ingest.trail.record", refuse)
    with pytest.raises(NothingKept):
        quarantine.quarantine([message], cause="tests", by="somebody")
    assert dlq.stream.for_drain().pages.get(message.id) is not None
    assert not Quarantined.objects.filter(message_id=message.id).exists()


# --- manage.py dlq -----------------------------------------------------------------------------


def run(capsys: Any, *arguments: str) -> str:
    capsys.readouterr()
    call_command("dlq", *arguments)
    return str(capsys.readouterr().out)


def test_ls_and_export_show_what_the_filters_let_pass(capsys: Any) -> None:
    kind = f"kind{secrets.token_hex(4)}.parked"
    messages = [parked_message(event_type=kind) for _ in range(3)]
    dlq.stream.for_drain().fail(messages[0], "DataError", "no", dead=True)
    assert sum(message.key in run(capsys, "ls", "--type", kind) for message in messages) == 3
    dead = run(capsys, "ls", "--state", "dead", "--type", kind, "--error", "DataError")
    assert [message.key in dead for message in messages] == [True, False, False]
    lines = [json.loads(line) for line in run(capsys, "export", "--type", kind).splitlines()]
    assert [line["event_id"] for line in lines] == [message.key for message in messages]
    assert all(line["digest_holds"] for line in lines)
    assert json.loads(lines[0]["body"])["event_type"] == kind
    assert run(capsys, "export", "--type", kind, "--older", "3600") == ""


def test_show_gives_one_message_whole(capsys: Any) -> None:
    message = parked_message()
    shown = json.loads(run(capsys, "show", message.key))
    assert (shown["event_id"], shown["digest"]) == (message.key, message.digest.hex())
    with pytest.raises(CommandError, match="No parked event has the id absent"):
        call_command("dlq", "show", "absent")


def test_retry_and_snooze_act_on_what_is_named_and_leave_a_record(capsys: Any) -> None:
    queue = dlq.stream.for_drain()
    message = parked_message()
    queue.fail(message, "DataError", "no", dead=True)
    assert "1 messages" in run(capsys, "snooze", message.key, "--for", "2h")
    snoozed = queue.pages.get(message.id)
    assert snoozed is not None
    assert snoozed.state == "waiting"
    run(capsys, "retry", message.key)
    retried = queue.pages.get(message.id)
    assert retried is not None
    assert (retried.state, retried.attempts) == ("due", 0)
    acts = Record.objects.filter(correlation_id="dead-letter-queue", event_data__event_ids__contains=[message.key])
    assert set(acts.values_list("event_type", flat=True)) == {"audit.parked.snoozed", "audit.parked.retried"}


def test_all_that_match_are_counted_first_and_then_acted_on(capsys: Any) -> None:
    kind = f"kind{secrets.token_hex(4)}.many"
    messages = [parked_message(event_type=kind) for _ in range(4)]
    assert "4 messages match; nothing was done" in run(capsys, "quarantine", "--all", "--type", kind, "--dry-run")
    assert all(dlq.stream.for_drain().pages.get(message.id) for message in messages)
    assert "4 messages" in run(capsys, "quarantine", "--all", "--type", kind)
    assert Quarantined.objects.filter(kind=kind).count() == 4
    assert not any(dlq.stream.for_drain().pages.get(message.id) for message in messages)


NONSENSE = ("retry", "retry x --all", "snooze x --for soon", "snooze x --for 30d", "retry absent")


@pytest.mark.parametrize("arguments", NONSENSE)
def test_what_makes_no_sense_is_refused(arguments: str) -> None:
    with pytest.raises(CommandError):
        call_command("dlq", *arguments.split())


def test_pause_and_resume_say_who(capsys: Any) -> None:
    run(capsys, "pause")
    try:
        assert json.loads(run(capsys, "stats"))["paused_by"]
        assert drain.drain(seconds=1).paused
    finally:
        run(capsys, "resume")
    assert json.loads(run(capsys, "stats"))["paused_by"] is None
    assert Record.objects.filter(event_type__in=["audit.parked.paused", "audit.parked.resumed"]).count() >= 2


def test_check_finds_an_index_that_is_wrong_and_rebuild_mends_it(capsys: Any) -> None:
    parked_message()
    queue = dlq.stream.for_drain()
    run(capsys, "check", "--rebuild")
    assert "balanced" in run(capsys, "check")
    queue.redis.zadd(queue.keys.due, {"1-1": 0})
    with pytest.raises(SystemExit) as ended:
        run(capsys, "check")
    assert ended.value.code == 3
    assert "balanced now; it was not before" in run(capsys, "check", "--rebuild")


@pytest.mark.slow
def test_the_command_needs_no_postgresql(capsys: Any, postgres: Any) -> None:
    message = parked_message()
    with postgres.stopped():
        connections.close_all()
        assert message.key in run(capsys, "show", message.key)
        assert json.loads(run(capsys, "stats"))["depth"] >= 1
        run(capsys, "retry", message.key)  # its record is parked as well
        with pytest.raises(CommandError, match="Nothing was done"):
            run(capsys, "quarantine", message.key)
    assert dlq.stream.for_drain().pages.get(message.id) is not None


@pytest.mark.slow
def test_without_redis_the_command_says_so(redis_server: Any) -> None:
    with redis_server.stopped(), pytest.raises(CommandError, match="REDIS_URL"):
        call_command("dlq", "stats")


def test_the_pages_of_the_quarantine_show_it_as_it_was(client: Any, superuser: psycopg.Connection[Any]) -> None:
    from tests.admin.conftest import logged_in, person

    message = odd_message()
    quarantine.quarantine([message], cause="tests", by="somebody")
    kept = Quarantined.objects.get(message_id=message.id)
    auditor = logged_in(person("auditor"))
    assert str(kept.n) in auditor.get("/admin/audit/quarantined/").content.decode()
    page = auditor.get(f"/admin/audit/quarantined/{kept.n}/change/").content.decode()
    assert "Content hash matches" in page
    assert "not readable as JSON" in page
    assert auditor.get("/admin/audit/quarantined/999999999/change/").status_code == 404
    assert logged_in(person(None)).get("/admin/audit/quarantined/").status_code == 403
