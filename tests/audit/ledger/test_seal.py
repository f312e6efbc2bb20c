"""Sealing: every record once, in one dense log, whatever happens to the sealer."""

import os
import random
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections
from django.test import override_settings

from audit.errors import ClocksDisagree, LogDamaged
from audit.formats import event, merkle, note
from audit.ingest.record import store
from audit.ledger import keys, reader, seal, verify
from audit.models import Checkpoint, Leaf, Record
from audit.postgres.gateway import gateway
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender, an_event, one, send


@pytest.fixture
def empty_queue() -> None:
    while seal.Sealer().once().more:
        pass


def test_a_stored_record_is_sealed_by_the_next_pass(writer: Sender) -> None:
    document = an_event()
    assert writer.post(document).status_code == 201
    record = Record.objects.get(correlation_id=document["correlation_id"])
    assert record.state == "stored"
    assert seal.Sealer().once().signed
    assert Record.objects.get(id=record.id).state == "sealed"
    evidence = reader.evidence(record.id)
    text, signed = note.verify(evidence.proof.note, keys.load().all_verifiers)
    assert [found.verifier.kind for found in signed] == [note.ED25519, note.COSIGNATURE]
    head = note.TreeHead.parse(text)
    leaf = bytes(evidence.leaf.leaf_hash)
    merkle.verify_inclusion(leaf, evidence.leaf.index, head.size, evidence.proof.hashes, head.root)


def sealed_of(events: Sequence[event.Accepted]) -> list[UUID]:
    """Those of these events that are sealed, a leaf each, in the order of the log: others may write beside a test."""
    ids = [accepted.id for accepted in events]
    return list(Leaf.objects.filter(record_id__in=ids).order_by("index").values_list("record_id", flat=True))


def test_leaves_follow_each_other_in_the_order_of_storage(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    superuser.execute("VACUUM FULL audit_unsealed")  # in a hole that was left before, a later row stands earlier
    events = [*send(3), *send(2)]
    seal.Sealer().once()
    assert sealed_of(events) == [accepted.id for accepted in events]


def test_a_backlog_is_sealed_in_batches(elsewhere: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "BATCH", 100)
    send(250)
    sealer = seal.Sealer()
    passes = [sealer.once() for _ in range(3)]
    assert [(found.added, found.more) for found in passes] == [(100, True), (100, True), (50, False)]
    assert verify.verify().verdict == "VERIFIED"


def test_the_whole_queue_is_looked_at_now_and_then_and_on_demand(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    """Vacuum makes room before the place where the sealer left off, and new rows land there."""
    sealer = seal.Sealer()
    send(300)
    sealer.once()
    sealer._memory.full_scan_at = float("inf")
    superuser.execute("VACUUM audit_unsealed")
    events = send(2)
    sealer._memory.block = 10_000
    assert sealer.once().added == 0
    sealer.once(from_start=True)
    assert len(sealed_of(events)) == 2


def test_a_replay_is_not_sealed_twice(empty_queue: None) -> None:
    events = send(3)
    for _ in range(2):
        store(events, timeout_s=20)
        seal.Sealer().once()
        assert len(sealed_of(events)) == 3


def test_nothing_new_is_not_signed_until_an_hour_was_silent(elsewhere: Scene) -> None:
    sealer = seal.Sealer()
    sealer.once(sign_anyway=True)
    before = Checkpoint.objects.count()
    assert not sealer.once().signed
    assert Checkpoint.objects.count() == before
    with override_settings(SEAL_IDLE_S=0):
        assert sealer.once().signed
    newest, previous = Checkpoint.objects.all()[:2]
    assert (newest.number, newest.size) == (previous.number + 1, previous.size)
    assert newest.created_at > previous.created_at


def test_silence_is_signed_with_its_time(empty_queue: None) -> None:
    head = seal.Sealer().once(sign_anyway=True).checkpoint
    assert head is not None
    moments = [found.moment for found in note.verify(head.note, keys.load().all_verifiers)[1]]
    assert abs((moments[1] or 0) - datetime.now(UTC).timestamp()) < 60


def test_the_logs_time_does_not_turn_around_with_the_clock(empty_queue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seal.Sealer().once(sign_anyway=True).checkpoint

    class HalfAMinuteAgo(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(seconds=30)

    monkeypatch.setattr(seal, "datetime", HalfAMinuteAgo)
    after = seal.Sealer().once(sign_anyway=True).checkpoint
    assert before is not None
    assert after is not None
    assert after.created_at >= before.created_at


def test_one_sealer_at_a_time(superuser: psycopg.Connection[Any]) -> None:
    send(1)
    with superuser.transaction():
        superuser.execute("SELECT pg_advisory_xact_lock(hashtext('audit_seal'))")
        assert seal.Sealer().once() == seal.Sealed(None)
    assert seal.Sealer().once().added >= 1


def test_two_sealers_turn_about_make_one_log(empty_queue: None) -> None:
    sealers = [seal.Sealer(), seal.Sealer()]
    for turn in range(6):
        events = send(2)
        sealers[turn % 2].once(from_start=True)  # vacuum may have made room before its place
        assert len(sealed_of(events)) == 2
    assert verify.verify().verdict == "VERIFIED"


def test_a_record_that_commits_late_is_sealed_late_and_nothing_is_skipped(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    """The queue rows of a transaction that began earlier show up before those that were sealed already."""
    slow, fast = (event.accept(an_event(), writer="tests") for _ in range(2))
    sealer = seal.Sealer()
    with gateway().connection(10) as connection, connection.transaction():
        from audit.ingest.record import _insert

        _insert(connection, [slow], None)
        threading.Thread(target=store, args=([fast],), kwargs={"timeout_s": 20}).start()
        while not Record.objects.filter(id=fast.id).exists():
            pass
        sealer.once()
        assert sealed_of([slow, fast]) == [fast.id]
    sealer._memory.full_scan_at = 0.0  # a quarter of a second later
    sealer.once()
    assert sealed_of([slow, fast]) == [fast.id, slow.id]


def test_records_put_into_the_queue_again_are_dropped_and_recorded(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    (accepted,) = send(1)
    seal.Sealer().once()
    sealer = seal.Sealer()
    sealer.once()
    superuser.execute(
        "INSERT INTO audit_unsealed SELECT record_id, leaf_hash, now() FROM audit_leaf WHERE record_id = %s",
        [accepted.id],
    )
    fresh = send(2)
    assert sealer.once().added >= 2
    sealer.once()
    assert all(Leaf.objects.filter(record_id=found.id).count() == 1 for found in fresh)
    noted = Record.objects.filter(event_type="audit.seal.repeated").latest("event_timestamp")
    assert noted.event_data == {"dropped": 1}


@pytest.mark.parametrize(
    ("breaks", "complaint"),
    [
        ("DELETE FROM audit_leaf WHERE index = 599", "599 leaves, but 600 were signed"),
        ("UPDATE audit_leaf SET leaf_hash = sha256('x') WHERE index = 599", "do not lead to the root"),
        ("UPDATE audit_checkpoint SET size = 599 WHERE number = 5", "600 leaves, but 599"),
        ("UPDATE audit_checkpoint SET root = sha256('x') WHERE number = 5", "says other than what was signed"),
        ("UPDATE audit_checkpoint SET note = replace(note, 'tests', 'toast') WHERE number = 5", "is of another log"),
        ("DELETE FROM audit_node", "node 0 of level 1 is missing"),
    ],
)
@pytest.mark.slow
def test_nothing_is_signed_on_top_of_a_tree_that_was_not(elsewhere: Scene, breaks: str, complaint: str) -> None:
    send(1)
    with connections["owner"].cursor() as cursor:
        for table in ("audit_leaf", "audit_node", "audit_checkpoint"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(breaks)
    with pytest.raises(LogDamaged, match=complaint):
        seal.Sealer().once()
    assert one("SELECT count(*) FROM audit_unsealed") == 1
    assert one("SELECT max(number) FROM audit_checkpoint") == 5


@pytest.mark.slow
def test_a_sealer_that_runs_notices_a_restore_also_without_an_anchor(elsewhere: Scene) -> None:
    sealer = seal.Sealer()
    send(1)
    sealer.once()
    elsewhere.restore_early()
    for _ in range(2):
        with pytest.raises(LogDamaged, match="Checkpoint 6 was signed and is gone"):
            sealer.once()


@pytest.mark.slow
def test_a_database_that_was_restored_from_an_older_copy_is_not_sealed_on(elsewhere: Scene) -> None:
    elsewhere.restore_early()
    send(1)
    with elsewhere.outside(anchor=elsewhere.anchor), pytest.raises(LogDamaged, match="restored from an older copy"):
        seal.Sealer().once()


def killed_at(step: int) -> int:
    """In a child, seal and be killed -9 right before (even) or after (odd) a statement; return the child's status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    done = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal done
        for _ in range(2):
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            if done % 2:
                result = execute(*arguments)
        return result

    try:
        for alias in connections:
            # The parent's connections are not ours to close.
            connections[alias].connection = None
        with connections["default"].execute_wrapper(count):
            seal.Sealer().once(sign_anyway=True)
    finally:
        os._exit(0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork() beside threads: the child only seals
@pytest.mark.parametrize("turns", [25, pytest.param(200, marks=pytest.mark.long)])
def test_a_sealer_killed_again_and_again_leaves_no_gap_no_double_and_no_fork(elsewhere: Scene, turns: int) -> None:
    steps = 0
    while killed_at(steps):
        steps += 1
    assert steps > 8  # before and after each statement between the lock and the commit
    killed = 0
    for turn in range(turns):
        send(random.randrange(1, 200) if turn % 10 == 0 else 2)
        connections.close_all()
        killed += killed_at(turn % steps) != 0
        if turn % 25 == 24:
            seal.Sealer().once()
            assert verify.verify().verdict == "VERIFIED"
    assert killed == turns
    seal.Sealer().once()
    run = verify.verify()
    assert (run.verdict, run.findings.count()) == ("VERIFIED", 0)
    assert one("SELECT count(*) FROM audit_unsealed") == 0
    assert one("SELECT count(*) = max(index) + 1 AND count(DISTINCT record_id) = count(*) FROM audit_leaf")
    assert one("SELECT count(*) = max(number) + 1 FROM audit_checkpoint")
    assert one("SELECT count(*) FROM audit_record") == one("SELECT count(*) FROM audit_leaf")


def jump(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Set the clock of this process."""
    now = datetime.now
    monkeypatch.setattr(seal, "_host_time", lambda: now(UTC) + timedelta(hours=hours))


@pytest.mark.parametrize("hours", [-2, 2])
def test_no_time_is_signed_that_postgresql_contradicts(
    elsewhere: Scene, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    sealer, count = seal.Sealer(), Checkpoint.objects.count()
    with monkeypatch.context() as patch:
        jump(patch, hours)
        send(1)
        with pytest.raises(ClocksDisagree, match="ahead" if hours > 0 else "behind"):
            sealer.once()
        with pytest.raises(ClocksDisagree):
            sealer.once(sign_anyway=True)
        assert Checkpoint.objects.count() == count
    head = sealer.once().checkpoint
    assert head is not None
    assert abs((datetime.now(UTC) - head.created_at).total_seconds()) < 30
    assert Checkpoint.objects.count() == count + 1


def test_a_head_from_the_future_does_not_make_the_next_ones_repeat_its_time(
    elsewhere: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        jump(patch, 3)
        patch.setattr(seal, "CLOCK_TOLERANCE_S", 1e9)  # as before the clocks were compared
        ahead = seal.Sealer().once(sign_anyway=True).checkpoint
    head = seal.Sealer().once().checkpoint  # nothing is new, and yet a true time is signed at once
    assert ahead is not None and head is not None
    assert head.number == ahead.number + 1
    assert abs((datetime.now(UTC) - head.created_at).total_seconds()) < 30
    assert verify.verify().verdict == "VERIFIED"
