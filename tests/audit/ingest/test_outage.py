"""PostgreSQL or Redis stops, hangs or refuses: no event is lost, and answers stay fast."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import uuid_utils.compat
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client

import dlq.errors
import dlq.stream
from audit.access import api_keys
from audit.errors import Conflict, NothingKept
from audit.formats import canonical
from audit.formats.event import accept
from audit.ingest import record
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from dlq.message import Document
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event, with_id


@pytest.fixture(autouse=True)
def empty_queue() -> Iterator[None]:
    drain.drain(seconds=20)
    yield
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)


def stored(correlation_id: str) -> list[Record]:
    return list(Record.objects.filter(correlation_id=correlation_id))


@pytest.mark.slow
def test_while_postgresql_is_stopped_events_are_parked_and_stored_afterwards(service: Sender, postgres: Any) -> None:
    single, many = with_id(), [with_id() for _ in range(3)]
    service.post(an_event())
    depth = dlq.stream.default().totals.depth()  # dead ones of other tests
    with postgres.stopped():
        response = service.post(single)
        assert response.status_code == 202
        answer = response.json()
        assert "\nstate parked\n" in answer.pop("receipt")
        assert answer == {
            "status": "accepted",
            "message": "audit event queued for async processing",
            "event_id": single["event_id"],
            "state": "parked",
        }
        assert service.post(many, BATCH).status_code == 202
        # Clients of Data Storage know no 202 here, send no ids, and would send it again.
        minted = service.post([an_event(), with_id()], BATCH)
        assert (minted.status_code, minted.json()["state"]) == (201, "parked")
        assert service.post(single).status_code == 202
        parked = service.get(f"{EVENTS}/{single['event_id']}")
        ready = Client().get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        assert not ready.json()["parts"]["postgresql"]["ok"]
        assert Client().get("/livez").status_code == 200
        # The look at the parked event waits there as well.
        assert f"dlq_depth {depth + 7}.0" in Client().get("/metrics").content.decode()
        assert drain.drain().database_up is False
    assert (parked.status_code, parked.json()["state"]) == (200, "parked")
    assert gateway().breaker.wait_closed(20)
    summary = drain.drain()
    assert (summary.stored, summary.duplicate, summary.remaining) == (7, 0, depth)
    for document in (single, *many):
        (found,) = stored(document["correlation_id"])
        assert found.digest_holds
        assert found.parked_at is not None
        assert found.parked_at < found.stored_at


@pytest.mark.slow
def test_while_postgresql_hangs_no_answer_takes_longer_than_the_deadline(writer: Sender, postgres: Any) -> None:
    writer.post(an_event())
    with postgres.frozen():
        first, second = with_id(), with_id()
        assert writer.post(first).status_code == 202
        assert gateway().breaker.is_open
        assert writer.post(second).status_code == 202
    assert gateway().breaker.wait_closed(20)
    drain.drain()
    for document in (first, second):
        assert len(stored(document["correlation_id"])) == 1


@pytest.mark.slow
def test_writers_authenticate_while_postgresql_is_stopped_and_strangers_do_not(writer: Sender, postgres: Any) -> None:
    with postgres.stopped():
        api_keys.forget()
        assert writer.post(an_event()).status_code == 202
        stranger = Client().post(
            EVENTS, json.dumps(an_event()), content_type="application/json", headers={"X-API-Key": "aw_x"}
        )
        assert stranger.status_code == 401


@pytest.mark.slow
def test_people_get_a_page_that_explains_the_outage(postgres: Any) -> None:
    client = Client()
    client.cookies["sessionid"] = "x" * 32
    with postgres.stopped():
        response = client.get("/admin/")
    assert response.status_code == 503
    assert "PostgreSQL" in response.content.decode()


@pytest.mark.slow
def test_while_postgresql_hangs_pages_and_searches_are_refused_at_once_or_give_up(
    service: Sender, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.post(an_event())
    service.get()
    monkeypatch.setattr(connections["reader"], "patience", 0.2)
    connections["reader"].connection.patience = 0.2
    with postgres.frozen():
        assert service.get().status_code == 503  # nobody knew yet: it gave up by itself
        assert service.post(an_event()).status_code == 202
        assert gateway().breaker.is_open
        refused = service.get()
        assert refused.status_code == 503
        assert "PostgreSQL does not answer" in refused.json()["detail"]
        assert "narrow" not in refused.json()["detail"]
        assert Client().get("/admin/").status_code == 503


def test_a_search_that_takes_too_long_is_told_to_be_narrower(
    service: Sender, superuser: psycopg.Connection[Any]
) -> None:
    service.get()
    with superuser.transaction(), connections["reader"].cursor() as cursor:
        superuser.execute("LOCK TABLE audit_record IN ACCESS EXCLUSIVE MODE")  # so that no reader gets through
        cursor.execute("SET statement_timeout = 20")
        try:
            refused = service.get()
        finally:
            cursor.execute("SET statement_timeout = 5000")
    assert refused.status_code == 503
    assert "narrow it by time" in refused.json()["detail"]
    assert "does not answer" not in refused.json()["detail"]


@pytest.mark.slow
def test_a_redis_outage_alone_disturbs_no_201(writer: Sender, redis_server: Any) -> None:
    writer.post(an_event())
    with redis_server.stopped():
        assert writer.post(an_event()).status_code == 201
        api_keys.forget()
        assert writer.post(an_event()).status_code == 201
        assert Client().get("/readyz").json()["status"] == "degraded"
    with redis_server.frozen():
        api_keys.forget()
        assert writer.post(an_event()).status_code == 201


@pytest.mark.slow
def test_without_both_servers_nothing_is_kept_and_the_answer_says_so(
    writer: Sender, postgres: Any, redis_server: Any
) -> None:
    document = with_id()
    writer.post(an_event())
    with postgres.stopped(), redis_server.stopped():
        response = writer.post(document)
        assert response.status_code == 503
        assert response["Retry-After"] == "5"
        assert "nothing was kept" in response.json()["detail"]
        assert Client().get("/readyz").status_code == 503
    assert gateway().breaker.wait_closed(20)
    assert writer.post(document).status_code == 201


@pytest.mark.slow
def test_a_conflict_is_found_while_postgresql_is_stopped(writer: Sender, postgres: Any) -> None:
    document = with_id()
    with postgres.stopped():
        assert writer.post(document).status_code == 202
        assert writer.post(document | {"severity": "high"}).status_code == 409
    gateway().breaker.wait_closed(20)
    drain.drain()
    kept = {found.event_type: found for found in stored(document["correlation_id"])}
    assert kept.keys() == {document["event_type"], "audit.event.conflict"}
    assert kept[document["event_type"]].severity == "info"


def park(*documents: dict[str, Any], writer: str = "tests") -> list[Any]:
    accepted = [accept(document, writer=writer) for document in documents]
    record._park(accepted, record.Fault.DOWN)
    return accepted


def test_a_replay_of_what_was_committed_before_is_a_duplicate_not_a_failure(writer: Sender) -> None:
    document = with_id()
    writer.post(document)
    park(document, writer=writer.name)
    summary = drain.drain()
    assert (summary.stored, summary.duplicate) == (0, 1)
    assert len(stored(document["correlation_id"])) == 1


def kept_under_new_id(document: dict[str, Any]) -> Record:
    """The record of an acknowledged event whose id another one has."""
    conflicts = Record.objects.filter(event_type="audit.event.conflict", event_data__event_id=document["event_id"])
    act = conflicts.get(event_data__has_key="kept_as")
    kept = Record.objects.get(id=act.event_data["kept_as"])
    assert kept.digest_holds and act.digest_holds
    assert (str(kept.parent_event_id), kept.writer) == (document["event_id"], act.event_data["offered_by"])
    return kept


def test_a_parked_event_whose_id_is_taken_becomes_a_record_that_names_it(writer: Sender) -> None:
    document = with_id()
    assert writer.post(document).status_code == 201
    (accepted,) = park(document | {"severity": "high"}, writer=writer.name)
    assert drain.drain().dead == 0
    assert dlq.stream.default().pages.find(document["event_id"]) is None
    kept = kept_under_new_id(document)
    assert (kept.severity, kept.received_at) == ("high", accepted.received_at)
    assert Record.objects.get(id=document["event_id"]).severity == "info"


def test_a_drain_that_is_killed_before_it_takes_out_a_renamed_event_stores_it_once(writer: Sender) -> None:
    document = with_id()
    writer.post(document)
    park(document | {"severity": "high"}, writer=writer.name)
    message = dlq.stream.default().pages.find(document["event_id"])
    assert message is not None
    for _ in range(3):  # each stores, and none takes it out
        assert [outcome.verdict for outcome in drain.store_parked([message])] == ["stored"]
    drain.drain()
    kept_under_new_id(document)
    assert Record.objects.filter(correlation_id=document["correlation_id"]).count() == 3


def test_an_id_that_was_promised_in_a_spool_is_no_loss_to_whoever_was_promised_it(
    writer: Sender, postgres: Any, redis_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While both servers are away nobody can compare: another writer takes the id before the spool comes home."""
    monkeypatch.setattr(settings, "DLQ_SPOOL_DIR", tmp_path)
    document, thief = with_id(), Sender("write")
    writer.post(an_event())
    thief.post(an_event())
    with postgres.stopped(), redis_server.stopped():
        assert writer.post(document).status_code == 202
    assert gateway().breaker.wait_closed(20)
    assert thief.post(document | {"severity": "theirs"}).status_code == 201
    drain.drain(seconds=20)
    drain.drain(seconds=20)
    assert kept_under_new_id(document).writer == writer.name


def test_what_was_promised_first_keeps_its_id(writer: Sender) -> None:
    document = with_id()
    park(document, writer=writer.name)
    assert writer.post(document | {"severity": "high"}).status_code == 409
    assert writer.post([with_id(), document | {"severity": "high"}], BATCH).json()["field_errors"].keys() == {
        "1.event_id"
    }
    assert writer.post(document).status_code == 201  # the same again is no conflict
    assert drain.drain().duplicate >= 1
    assert stored(document["correlation_id"])[0].severity == document.get("severity", "info")


def test_one_that_can_never_be_stored_does_not_hold_up_the_others() -> None:
    sound = [with_id() for _ in range(5)]
    park(*sound[:3])
    body = canonical.canonical({"event_id": sound[0]["event_id"][:-4] + "ffff", "version": None})
    poison = accept(with_id(), writer="tests")
    record._park([msgspec.structs.replace(poison, body=body, digest=canonical.digest(body))], record.Fault.DOWN)
    park(*sound[3:])
    summary = drain.drain()
    assert summary.stored == 5
    assert summary.dead + summary.failed == 1
    message = dlq.stream.default().pages.find(str(poison.id))
    assert message is not None
    assert message.state == "dead"


def test_a_body_changed_in_redis_is_dead_not_stored() -> None:
    (event,) = [accept(with_id(), writer="tests")]
    forged = msgspec.structs.replace(event, body=event.body.replace(b"success", b"failure"))
    record._park([forged], record.Fault.DOWN)
    assert drain.drain().dead == 1
    message = dlq.stream.default().pages.find(str(event.id))
    assert message is not None
    assert message.last_error_class == "Damaged"


FAULTS: dict[str, tuple[str, str]] = {
    "missing table": ("ALTER TABLE audit_record RENAME TO away", "ALTER TABLE away RENAME TO audit_record"),
    "missing column": (
        "ALTER TABLE audit_record RENAME severity TO away",
        "ALTER TABLE audit_record RENAME away TO severity",
    ),
    "missing right": (
        "REVOKE INSERT ON audit_record FROM audit_app",
        "GRANT INSERT ON audit_record TO audit_app",
    ),
    "missing partition": (
        "ALTER TABLE audit_record DETACH PARTITION audit_record_default",
        "ALTER TABLE audit_record ATTACH PARTITION audit_record_default DEFAULT",
    ),
    "a trigger that raises": (
        "CREATE TRIGGER boom BEFORE INSERT ON audit_record FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()",
        "DROP TRIGGER boom ON audit_record",
    ),
    **{
        f"a value that fits no column, {state}": (
            f"CREATE FUNCTION too_narrow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'x' USING ERRCODE = "
            f"'{state}'; END $$; CREATE TRIGGER narrow BEFORE INSERT ON audit_record FOR EACH ROW "
            "EXECUTE FUNCTION too_narrow()",
            "DROP FUNCTION too_narrow CASCADE",
        )
        for state in ("22001", "22003", "22P02", "23502")
    },
    "read-only": (
        "ALTER ROLE audit_app SET default_transaction_read_only = on",
        "ALTER ROLE audit_app RESET default_transaction_read_only",
    ),
    "statement timeout": (
        "ALTER ROLE audit_app SET statement_timeout = 1",
        "ALTER ROLE audit_app RESET statement_timeout",
    ),
    "no more connections": ("ALTER ROLE audit_app NOLOGIN", "ALTER ROLE audit_app LOGIN"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("fail", "mend"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_that_is_not_the_senders_parks_the_event(
    writer: Sender, superuser: psycopg.Connection[Any], fail: str, mend: str
) -> None:
    # An id from before the first partition: it needs the default one.
    document = an_event(event_id="0188fc28-9c00-7000-8000-" + uuid_utils.compat.uuid7().hex[-12:])
    gateway().close()  # so that a role's new settings hold for the connections of this test
    superuser.execute(fail.encode())
    try:
        response = writer.post(document)
    finally:
        superuser.execute(mend.encode())
        gateway().close()
    if fail.startswith("ALTER ROLE audit_app SET statement_timeout"):
        assert response.status_code in (201, 202)
    else:
        assert response.status_code == 202
    assert gateway().breaker.wait_closed(20)
    message = dlq.stream.default().pages.find(document["event_id"])
    if message is not None:
        dlq.stream.default().retry_now([message.id])
    drain.drain()
    assert len(stored(document["correlation_id"])) == 1


def test_a_drain_before_a_migration_leaves_the_event_to_be_tried_again(
    writer: Sender, superuser: psycopg.Connection[Any]
) -> None:
    document = with_id()
    fail, mend = FAULTS["a value that fits no column, 22001"]
    superuser.execute(fail.encode())
    try:
        assert writer.post(document).status_code == 202
        message = dlq.stream.default().pages.find(document["event_id"])
        assert message is not None
        (outcome,) = drain.store_parked([message])
        assert (outcome.verdict, outcome.kind) == ("failed", "StringDataRightTruncation")
    finally:
        superuser.execute(mend.encode())
    dlq.stream.for_drain().retry_now([message.id])
    drain.drain()
    assert len(stored(document["correlation_id"])) == 1


LONG_WAIT = """
SELECT count(*) FROM pg_stat_activity WHERE usename = 'audit_app' AND wait_event_type = 'Lock'
AND clock_timestamp() - query_start > interval '400 milliseconds'
"""


def test_a_slow_write_is_waited_for_while_postgresql_answers_others(
    writer: Sender, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 60_000)
    monkeypatch.setattr(settings, "HEARTBEAT_TIMEOUT_MS", 60_000)
    writer.post(an_event())
    answers: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with superuser.transaction():
            superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
            answer = pool.submit(lambda: answers.append(writer.post(an_event()).status_code))
            while superuser.execute(LONG_WAIT).fetchone() == (0,):
                assert not answer.done()
                superuser.execute("SELECT pg_stat_clear_snapshot()")  # else the transaction sees what it saw first
        answer.result()
        pool.submit(connections.close_all).result()
    assert answers == [201]
    assert not gateway().breaker.is_open


def test_three_that_took_too_long_in_a_row_make_the_next_ones_short_until_one_is_stored(
    writer: Sender, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HEARTBEAT_TIMEOUT_MS", 60_000)
    assert writer.post(an_event()).status_code == 201
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 30)
    monkeypatch.setattr(settings, "RECORD_TIMEOUT_MS", 20)
    with superuser.transaction():
        superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
        assert [writer.post(an_event()).status_code for _ in range(2)] == [202, 202]
        assert not gateway().breaker.is_open and gateway().patience.seconds == 0.03
        assert writer.post(an_event()).status_code == 202
        assert gateway().patience.seconds == 0.02
    assert gateway().breaker.wait_closed(20)
    monkeypatch.setattr(settings, "RECORD_TIMEOUT_MS", 60_000)
    assert writer.post(an_event()).status_code == 201
    assert gateway().patience.seconds == 0.03


@pytest.mark.slow
def test_every_write_that_waits_is_given_up_at_once_when_postgresql_falls_silent(
    writer: Sender, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 3_600_000)
    writer.post(an_event())
    with postgres.frozen():
        assert writer.post(an_event()).status_code == 202
        assert gateway().breaker.reason == "Silent"
    assert gateway().breaker.wait_closed(20)


def test_a_write_behind_a_lock_is_parked_within_the_deadline(
    writer: Sender, superuser: psycopg.Connection[Any]
) -> None:
    document = with_id()
    writer.post(an_event())
    with superuser.transaction():
        superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
        assert writer.post(document).status_code == 202
    assert gateway().breaker.wait_closed(20)
    drain.drain()
    assert len(stored(document["correlation_id"])) == 1


def test_a_killed_backend_costs_no_event(writer: Sender, superuser: psycopg.Connection[Any]) -> None:
    writer.post(an_event())
    superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'audit_app'")
    document = with_id()
    assert writer.post(document).status_code in (201, 202)
    gateway().close()
    connections.close_all()
    assert gateway().breaker.wait_closed(20)
    drain.drain()
    assert len(stored(document["correlation_id"])) == 1


def test_a_deadlock_is_tried_once_more_before_it_is_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    event = accept(with_id(), writer="tests")
    real, seen = record.store, []

    def deadlocked(*args: Any, **options: Any) -> Any:
        seen.append(args)
        if len(seen) == 1:
            raise psycopg.errors.DeadlockDetected
        return real(*args, **options)

    monkeypatch.setattr("audit.ingest.record.store", deadlocked)
    assert record.record([event])[0].state == "stored"


def test_record_refuses_with_values_not_with_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    event = accept(with_id(), writer="tests")
    monkeypatch.setattr("audit.ingest.record.store", lambda *a, **k: (_ for _ in ()).throw(KeyError("a bug")))
    (receipt,) = record.record([event])
    assert receipt.state == "parked"


@pytest.mark.slow
def test_drain_dlq_says_what_it_did_and_whether_dead_ones_are_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    park(with_id(), with_id())
    with pytest.raises(SystemExit) as exit_status:
        call_command("drain_dlq")
    assert exit_status.value.code in (0, 3)
    assert "stored 2" in capsys.readouterr().out


@pytest.mark.slow
def test_drain_dlq_shows_the_queue_while_postgresql_is_stopped_and_touches_nothing(
    postgres: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    park(with_id())
    depth = dlq.stream.default().totals.depth()
    with postgres.stopped(), pytest.raises(SystemExit) as exit_status:
        call_command("drain_dlq")
    printed = capsys.readouterr().out
    assert exit_status.value.code == 4
    assert f"remaining {depth} " in printed
    assert "PostgreSQL is not up" in printed


def test_a_batch_that_takes_too_long_is_halved_not_taken_for_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is up, and runs into the deadline with more than two at once: that was a livelock."""
    accepted = park(*(with_id() for _ in range(7)))
    sizes: list[int] = []
    store = drain.store_promised

    def slow(events: Any, **options: Any) -> Any:
        sizes.append(len(events))
        if len(events) > 2:
            raise psycopg.OperationalError("the deadline")
        return store(events, **options)

    monkeypatch.setattr(drain, "store_promised", slow)
    summary = drain.drain(seconds=20)
    assert (summary.stored, summary.released, summary.database_up) == (7, 0, True)
    assert max(sizes) == 7 and Record.objects.filter(id__in=[one.id for one in accepted]).count() == 7


def test_a_single_event_that_always_takes_too_long_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    (accepted,) = park(with_id())

    def slow(events: Any, **options: Any) -> Any:
        raise psycopg.OperationalError("the deadline")

    with monkeypatch.context() as patch:
        patch.setattr(drain, "store_promised", slow)
        summary = drain.drain(seconds=20)
    assert (summary.failed, summary.database_up) == (1, True)
    message = dlq.stream.for_drain().pages.find(str(accepted.id))
    assert message is not None and (message.state, message.attempts) == ("waiting", 1)
    dlq.stream.for_drain().retry_now([message.id])


def test_what_is_damaged_in_the_queue_is_not_shown_as_the_event(service: Sender) -> None:
    (accepted,) = park(with_id())
    queue = dlq.stream.for_drain()
    for body, shown in ((accepted.body.replace(b"info", b"none"), "does not match"), (b"[1]", "cannot be read")):
        key = str(uuid_utils.compat.uuid7())
        digest = accepted.digest if shown == "does not match" else canonical.digest(body)
        queue.park([Document(key, digest, body, "tests", "a.kind", accepted.received_at)], reason="tests")
        answer = service.get(f"{EVENTS}/{key}")
        assert answer.status_code == 200
        assert shown in answer.json()["damaged"] and "severity" not in answer.json()
        message = queue.pages.find(key)
        assert message is not None
        queue.acknowledge([message], "discarded")


def test_a_503_names_the_ids_to_send_the_events_again_with(monkeypatch: pytest.MonkeyPatch, writer: Sender) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise dlq.errors.Refused

    document = an_event()
    document.pop("event_id", None)
    monkeypatch.setattr(record, "store", lambda *arguments, **options: refuse_store())
    monkeypatch.setattr(dlq.stream.Stream, "park", refuse)
    answer = writer.post(document)
    assert answer.status_code == 503
    (event_id,) = answer.json()["event_ids"]
    monkeypatch.undo()
    assert writer.post(document | {"event_id": event_id}).status_code in (200, 201)


def refuse_store() -> Any:
    raise psycopg.errors.UndefinedTable


def test_a_large_batch_has_more_time_than_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr(
        "audit.ingest.record.store", lambda events, timeout_s: given.append(timeout_s) or ["stored"] * len(events)
    )
    small = accept(with_id(event_data={}), writer="tests")
    for size in (2, 1000):
        record.record([small] * size)
    extra = 998 * (record.SECONDS_PER_EVENT + len(small.body) / 2**20 * record.SECONDS_PER_MIB)
    assert given[1] - given[0] == pytest.approx(extra)


def test_nothing_kept_and_conflict_are_refusals_of_the_tree() -> None:
    assert "nothing was kept" in str(NothingKept())
    assert Conflict([3]).positions == [3]
