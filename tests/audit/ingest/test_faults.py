"""PostgreSQL refuses, deadlocks or ends a connection: what is not the sender's fault is parked."""

from typing import Any

import psycopg
import pytest
import uuid_utils.compat
from django.db import connections

import dlq.errors
import dlq.stream
from audit.errors import Conflict, NothingKept
from audit.formats.event import accept
from audit.ingest import record
from audit.postgres.gateway import gateway
from audit.queue import drain
from bench.load import wait_until
from tests import servers
from tests.audit.conftest import Sender, an_event, with_id
from tests.audit.ingest.conftest import stored

pytestmark = pytest.mark.usefixtures("empty_queue")

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
    if servers.pooler is not None and fail in (FAULTS["read-only"][0], FAULTS["no more connections"][0]):
        pytest.skip("a pooler keeps the connections that it has, of which neither is true")
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


def test_a_full_disk_that_takes_what_is_small_counts_against_no_event(
    writer: Sender, superuser: psycopg.Connection[Any]
) -> None:
    """Each would be tried again after minutes, and after six tries by a person alone."""
    document = with_id()
    superuser.execute(
        b"CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'x' USING ERRCODE = '53100'; "
        b"END $$; CREATE TRIGGER full_disk BEFORE INSERT ON audit_record FOR EACH ROW EXECUTE FUNCTION no_room()"
    )
    try:
        assert writer.post(document).status_code == 202
        assert gateway().breaker.wait_closed(20), "PostgreSQL answers"
        assert drain.drain().stored == 0
        message = dlq.stream.default().pages.find(document["event_id"])
        assert message is not None and (message.attempts, message.state) in {(0, "due"), (0, "waiting")}
    finally:
        superuser.execute("DROP FUNCTION no_room CASCADE")
    wait_until(lambda: drain.drain().stored == 1, seconds=20, what="the event to be due again")
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
