"""Where a sealer stands still, millions wait: what is said of records among them costs the same, and says no more."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import transaction

from audit.formats import event
from audit.ingest.record import store as store_events
from audit.ledger import reader, verify
from audit.ledger.seal import Sealer
from audit.ledger.verify import pending, unsealed
from audit.models import Verification
from audit.postgres import sql
from tests import plans
from tests.attacks.catalogue import statement
from tests.audit.conftest import an_event, one
from tests.audit.ledger.conftest import QUEUED, READ

# So many wait before the records that are asked for, and so many of them are looked through.
BEFORE, FEW = 200, 50
STRAY = (
    "INSERT INTO audit_record SELECT (jsonb_populate_record(r, jsonb_build_object('id', "
    "'00000000-0000-7000-8000-000000000001'))).* FROM audit_record r WHERE id = '{id}'"
)


def send(count: int, correlation: str) -> None:
    accepted = [event.accept(an_event(correlation_id=correlation), writer="tests") for _ in range(count)]
    store_events(accepted, timeout_s=20)


@pytest.fixture
def correlation(store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """Three records that wait for the sealer behind more than are looked through."""
    monkeypatch.setattr(reader, "COUNTED", FEW)
    store.execute("VACUUM audit_unsealed")  # nothing fills a hole that was left before
    one(QUEUED, BEFORE)
    name = f"rr-{secrets.token_hex(4)}"
    send(3, name)
    return name


@contextmanager
def read_of_the_queue() -> Iterator[list[int]]:
    """How many rows of the queue the reader reads meanwhile."""
    read: list[int] = []
    with transaction.atomic("reader"):
        before = sql.rows(READ, using="reader")[0][0] or 0
        yield read
        read.append((sql.rows(READ, using="reader")[0][0] or 0) - before)


def unlooked(run: Verification) -> list[str]:
    return [text for text in run.not_covered if "not looked for in the queue" in text]


def test_a_correlation_is_compared_with_the_first_that_wait_and_says_what_was_not(
    correlation: str, store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with read_of_the_queue() as read:
        run = verify.verify("correlation", correlation_id=correlation)
    assert read == [FEW + 1]
    text = "Some of them were not looked for in the queue of the sealer, in which more than 50 records wait."
    assert (run.verdict, run.counts["unsealed"], unlooked(run)) == ("NOT COVERED", 3, [text])
    changed = f"UPDATE audit_record SET actor_id = 'nobody' WHERE correlation_id = '{correlation}'"
    statement(changed)(store, None)  # type: ignore[arg-type]
    run = verify.verify("correlation", correlation_id=correlation)
    assert run.verdict == "ALTERED", "what is not what was accepted needs no comparison"
    monkeypatch.setattr(reader, "COUNTED", 1_000)
    assert unlooked(verify.verify("correlation", correlation_id=correlation)) == []


def test_a_time_that_was_changed_while_the_record_waits_is_altered(
    correlation: str, store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "COUNTED", 1_000)
    assert verify.verify("correlation", correlation_id=correlation).verdict == "NOT COVERED"
    changed = f"UPDATE audit_record SET received_at = now() + interval '1 s' WHERE correlation_id = '{correlation}'"
    statement(changed)(store, None)  # type: ignore[arg-type]
    run = verify.verify("correlation", correlation_id=correlation)
    assert {finding.detail for finding in run.findings.all()} == {
        "The record was changed before it was sealed: its digest or one of its times (received, parked, stored) is not "
        "what was sealed."
    }


def test_sealed_records_of_a_correlation_need_no_look_at_the_queue(
    correlation: str, store: psycopg.Connection[Any]
) -> None:
    with read_of_the_queue() as read:
        assert verify.verify("correlation", correlation_id="rr-attacked-1").verdict == "VERIFIED"
    assert read == [0]


def test_a_walk_stays_before_records_that_may_wait_and_calls_none_of_them_a_stray(
    correlation: str, store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsealed, "CHUNK", 100)
    with read_of_the_queue() as read:
        run = verify.verify()
    assert read == [2 * (FEW + 1)], "once for the walk, and once for what waits"
    # The records of the scene are sealed: seven portions, the last with those that wait.
    assert (run.counts["ids"], run.ids_position < unsealed.MOST) == (600, True)
    (text,) = unlooked(run)
    assert text.startswith(f"Records without a leaf and with ids past {run.ids_position} were not looked for")
    assert "record" in run.skipped and not run.findings.filter(subject="record").exists()
    monkeypatch.setattr(reader, "COUNTED", 1_000)
    run = verify.verify()
    assert (run.ids_position, unlooked(run)) == (unsealed.MOST, [])


def test_a_run_that_stayed_there_does_not_go_on_when_it_is_resumed(
    correlation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = verify.resume(verify.begin(requested_by="somebody"))
    before = run.ids_position, unlooked(run)
    monkeypatch.setattr(reader, "COUNTED", 1_000)
    run = verify.resume(run)
    assert (run.ids_position, unlooked(run)) == before


def test_a_stray_among_records_that_wait_is_found_once_they_can_be_looked_through(
    correlation: str, store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    statement(STRAY)(store, None)  # type: ignore[arg-type]
    run = verify.verify()
    assert (run.ids_position, len(unlooked(run))) == (unsealed.LEAST, 1), "it stays before the first portion"
    monkeypatch.setattr(reader, "COUNTED", 1_000)
    run = verify.verify()
    found = run.findings.filter(kind="UNKNOWN", subject="record")
    assert [str(finding.record_id) for finding in found] == ["00000000-0000-7000-8000-000000000001"]


def test_what_waits_is_counted_up_to_the_bound(correlation: str) -> None:
    run = verify.verify("newest")
    (finding,) = run.findings.filter(subject="queue")
    assert finding.detail.startswith("About ") and "records wait for the sealer, the oldest for 360" in finding.detail


@pytest.fixture
def waiting_correlation(store: psycopg.Connection[Any], settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three records that wait for the sealer, of which two are waited for together."""
    settings.SEAL_WAIT_MS = 60_000
    monkeypatch.setattr(pending, "TOGETHER", 2)
    name = f"rr-{secrets.token_hex(4)}"
    send(3, name)
    return name


def test_a_correlation_is_pending_until_each_of_its_records_is_sealed(
    waiting_correlation: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer, polls = Sealer(), list[float]()

    def seal_what_waits(seconds: float) -> None:
        polls.append(seconds)
        sealer.once(from_start=True)
        if len(polls) == 1:
            send(1, waiting_correlation)  # beside what is waited for, which is sealed

    # Other threads sleep by the module itself.
    monkeypatch.setattr(pending, "time", SimpleNamespace(sleep=seal_what_waits, monotonic=time.monotonic))
    with read_of_the_queue() as read:
        assert pending.wait(waiting_correlation)
    assert (len(polls), read) == (2, [0])
    settings.SEAL_WAIT_MS = 0
    assert pending.wait(waiting_correlation)
    send(1, waiting_correlation)
    assert not pending.wait(waiting_correlation)


def test_of_each_record_its_leaf_is_looked_up_and_none_beside(store: psycopg.Connection[Any]) -> None:
    store.execute("ANALYZE audit_leaf, audit_record")
    records = [row[0] for row in sql.rows("SELECT record_id FROM audit_leaf ORDER BY record_id LIMIT 20")]
    bounds = [unsealed.LEAST, None, records[-1]]
    of_ids = plans.reads(unsealed.NO_LEAF, bounds, using="reader")
    of_correlation = plans.reads(pending.UNSEALED, ["rr-attacked-1", 10], using="reader")
    still = plans.reads(pending.STILL, [records], using="reader")
    for reads, count in ((of_ids, 20), (of_correlation, 120), (still, 20)):
        of_leaf = [read for read in reads if "audit_leaf" in read.node]
        assert of_leaf and sum(read.rows for read in of_leaf) <= count, plans.most(reads)
