"""Which signed heads stay: one in SEAL_KEEP_S, and each that is given out."""

import threading
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connections
from django.test import override_settings

from audit.errors import LogDamaged
from audit.formats import merkle
from audit.ledger import heads, reader, seal, verify
from audit.models import Checkpoint
from tests.attacks.catalogue import statement
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender, one, send


@pytest.fixture(autouse=True)
def _in_the_same_minute(settings: Any) -> None:
    """However long these tests take."""
    settings.SEAL_KEEP_S = 1_000_000


def sealed_sparingly(times: int = 1) -> Checkpoint:
    """Send and seal events one by one, as the sealer service does; return the newest head."""
    sealer = seal.Sealer()
    for _ in range(times):
        send(1)
        head = sealer.once(from_start=True, keep_each=False).checkpoint
    assert head is not None
    return head


def checkpoints() -> int:
    return Checkpoint.objects.count()


def test_of_many_heads_within_a_minute_none_stays(elsewhere: Scene) -> None:
    before, size = checkpoints(), reader.signed_size()
    head = sealed_sparingly(5)
    assert (checkpoints(), reader.signed_size(), head.size) == (before, size + 5, size + 5)
    assert reader.head() == head
    # What a verification ends at stays, for the sealer would replace it meanwhile.
    assert verify.verify().verdict == "VERIFIED"
    assert (checkpoints(), heads.newest_checkpoint()) == (before + 1, head)


def test_a_head_stays_once_the_last_that_did_is_old_enough_though_nothing_follows(elsewhere: Scene) -> None:
    before, head = checkpoints(), sealed_sparingly(2)
    sealer = seal.Sealer()
    assert not sealer.once(keep_each=False).kept
    with override_settings(SEAL_KEEP_S=0):
        assert sealer.once(keep_each=False).kept
        assert not sealer.once(keep_each=False).kept
    assert (checkpoints(), heads.newest_checkpoint()) == (before + 1, head)


def test_a_proof_is_under_a_checkpoint_that_stays_and_makes_one_only_where_none_covers_the_record(
    elsewhere: Scene,
) -> None:
    before = checkpoints()
    (accepted,) = send(1)
    seal.Sealer().once(from_start=True, keep_each=False)
    given = reader.evidence(accepted.id).checkpoint
    assert (checkpoints(), heads.newest_checkpoint()) == (before + 1, given)
    sealed_sparingly(2)
    assert reader.evidence(accepted.id).checkpoint == given
    assert checkpoints() == before + 1


def test_whoever_was_shown_a_head_that_did_not_stay_can_prove_that_the_log_continues_it(elsewhere: Scene) -> None:
    monitor, old = Sender("read"), sealed_sparingly()
    assert monitor.get("/api/v1/audit/checkpoint").content.decode().startswith(old.note)
    new = sealed_sparingly(3)
    assert not Checkpoint.objects.filter(size=old.size).exists()
    proof = reader.consistency(old.size, new.size)
    merkle.verify_consistency(old.size, new.size, proof, bytes(old.root), bytes(new.root))


def test_who_keeps_a_head_and_who_signs_the_next_leave_no_gap_and_no_double(elsewhere: Scene) -> None:
    done = threading.Event()

    def keep() -> None:
        while not done.is_set():
            heads.keep()
        connections.close_all()

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        head = sealed_sparingly(20)
    finally:
        done.set()
        keeper.join()
    assert one("SELECT count(*) = max(number) + 1 AND count(*) > 6 FROM audit_checkpoint")
    run = verify.verify()
    assert (run.verdict, run.findings.count(), run.last) == ("VERIFIED", 0, head.size)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_newest_head_whose_note_is_damaged_is_a_finding_that_nobody_signs_upon_or_keeps(
    store: psycopg.Connection[Any], is_kept: bool
) -> None:
    if not is_kept:
        sealed_sparingly()
    before, number = checkpoints(), one("SELECT number FROM audit_head")
    place = "audit_checkpoint" if is_kept else "audit_head"
    statement(f"UPDATE {place} SET note = 'torn' WHERE number = {number}")(store, None)  # type: ignore[arg-type]
    with pytest.raises(LogDamaged, match=f"Checkpoint {number} cannot be believed: this is no note"):
        seal.Sealer().once(sign_anyway=True)
    run = verify.verify()
    assert run.verdict == "FORKED"
    assert [finding.index for finding in run.findings.filter(kind="FORKED")] == [number]
    with nullcontext() if is_kept else pytest.raises(LogDamaged, match="cannot be believed"):
        heads.keep()
    assert checkpoints() == before


@pytest.mark.parametrize(
    "turned_back",
    [
        "UPDATE audit_head SET size = size - 1",
        "UPDATE audit_head SET number = number - 1",
        "UPDATE audit_head SET kept = false",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
    ],
)
def test_the_head_only_moves_on_whoever_asks(superuser: psycopg.Connection[Any], turned_back: str) -> None:
    seal.Sealer().once(sign_anyway=True)  # the head is a checkpoint
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        superuser.execute(turned_back.encode())


def test_the_application_may_not_skip_a_number() -> None:
    sealed_sparingly()
    with pytest.raises(IntegrityError, match="only moves on"), connections["default"].cursor() as cursor:
        cursor.execute("UPDATE audit_head SET number = number + 1")
    with pytest.raises(DatabaseError, match="permission denied"), connections["reader"].cursor() as cursor:
        cursor.execute("UPDATE audit_head SET kept = true")
