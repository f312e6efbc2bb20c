"""PostgreSQL and Redis both away: local files keep what is promised, and a drain brings it home first."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

import dlq.spool
import dlq.stream
from audit.formats.event import accept
from audit.ingest import record
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from dlq import policy
from tests.admin.conftest import parked_message
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event, with_id


@pytest.fixture(autouse=True)
def folder(empty_queue: None, settings: Any, tmp_path: Path) -> Path:
    settings.DLQ_SPOOL_DIR = tmp_path
    return tmp_path


def stored(*documents: dict[str, Any]) -> list[Record]:
    return [Record.objects.get(id=document["event_id"]) for document in documents]


@pytest.mark.slow
def test_what_both_servers_refuse_is_accepted_and_stored_without_redis(
    writer: Sender, postgres: Any, redis_server: Any, folder: Path
) -> None:
    single, many = with_id(), [with_id() for _ in range(3)]
    writer.post(an_event())
    with redis_server.stopped():
        with postgres.stopped():
            answer = writer.post(single)
            assert (answer.status_code, answer.json()["state"]) == (202, "parked")
            assert writer.post(many, BATCH).status_code == 202
            ready = Client().get("/readyz")
            assert ready.status_code == 200 and ready.json()["parts"]["spool"] == {"ok": True}
            assert drain.empty_spool() == 0  # neither takes it: it stays
            assert "dlq_spool_files 1.0" in Client().get("/metrics").content.decode()
        assert gateway().breaker.wait_closed(20)
        assert drain.empty_spool() == 4
        found = stored(single, *many)
        assert all(one.digest_holds and one.parked_at for one in found)
        assert not list(folder.iterdir())


@pytest.mark.slow
def test_the_queue_takes_it_where_redis_is_back_first(
    writer: Sender, postgres: Any, redis_server: Any, folder: Path
) -> None:
    document = with_id()
    writer.post(an_event())
    with postgres.stopped():
        with redis_server.stopped():
            assert writer.post(document).status_code == 202
        assert drain.empty_spool() == 1
        message = dlq.stream.for_drain().pages.find(document["event_id"])
        assert message is not None and message.digest_ok
        assert not list(folder.iterdir())
        assert writer.post(document).status_code == 202
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    assert stored(document)
    assert dlq.stream.for_drain().totals.stats().balanced


@pytest.mark.slow
def test_a_full_spool_is_a_503_that_promises_nothing(
    writer: Sender, postgres: Any, redis_server: Any, settings: Any
) -> None:
    writer.post(an_event())
    settings.DLQ_SPOOL_MAX_MB = 0
    with postgres.stopped(), redis_server.stopped():
        assert writer.post(with_id()).status_code == 503
        ready = Client().get("/readyz")
        assert ready.status_code == 503 and not ready.json()["parts"]["spool"]["ok"]


def spooled(*documents: dict[str, Any]) -> None:
    events = [accept(document, writer="tests") for document in documents]
    dlq.spool.append([record.document(event) for event in events], reason="tests")


def test_while_a_person_has_paused_drains_the_spool_waits_too() -> None:
    document = with_id()
    spooled(document)
    dlq.stream.for_drain().activity.pause("somebody")
    try:
        assert drain.empty_spool() == 0
    finally:
        dlq.stream.for_drain().activity.resume()
    drain.drain(seconds=20)
    assert stored(document)


def test_what_was_spooled_under_an_id_that_is_taken_is_stored_under_a_new_one(writer: Sender, folder: Path) -> None:
    taken = with_id()
    writer.post(taken)
    spooled(taken | {"event_action": "another"})
    assert drain.empty_spool() == 1
    assert not list(folder.iterdir())
    kept = Record.objects.get(parent_event_id=taken["event_id"])
    assert (kept.event_action, kept.writer) == ("another", "tests")


def test_one_broken_tier_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> int:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(dlq.spool, "empty", broken)
    assert drain.drain(seconds=20).database_up


@pytest.mark.slow
def test_what_waits_for_seven_days_without_postgresql_is_copied_and_stays(
    postgres: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = parked_message()
    monkeypatch.setattr(policy, "LONGEST_WAIT_S", -1.0)
    assert drain.copy_old_to_spool() == 0  # PostgreSQL is up: there is the quarantine
    with postgres.stopped():
        assert drain.copy_old_to_spool() >= 1
        assert drain.copy_old_to_spool() == 0
    (path,) = folder.glob("*.kept")
    assert message.key in [copy.key for copy in dlq.spool.Reader(path)]
    assert dlq.stream.for_drain().pages.get(message.id) is not None


def test_dlq_restore_parks_what_a_file_holds(folder: Path, capsys: Any) -> None:
    document = with_id()
    spooled(document)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes() + b"damaged\n")
    call_command("dlq", "restore", str(path))
    printed = capsys.readouterr()
    assert "1 events are in the queue" in printed.out and "line 2 cannot be read" in printed.err
    assert dlq.stream.for_drain().pages.find(document["event_id"]) is not None
    with pytest.raises(CommandError, match="No such file"):
        call_command("dlq", "restore", str(folder / "missing"))


def test_the_event_that_waits_is_shown_by_its_id_once_it_is_in_the_queue(service: Sender) -> None:
    document = with_id()
    dlq.stream.for_drain().activity.pause("somebody")
    try:
        spooled(document)
        queue = dlq.stream.for_drain()
        dlq.spool.empty(lambda messages: dlq.restore.restore(queue, messages), answers=lambda: True)
        assert service.get(f"{EVENTS}/{document['event_id']}").json()["state"] == "parked"
    finally:
        dlq.stream.for_drain().activity.resume()
