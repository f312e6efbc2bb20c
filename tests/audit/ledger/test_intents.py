"""What is sealed next is chosen and committed first; then it is taken as it was chosen, or not at all."""

from typing import Any

import pytest

from audit.errors import LogDamaged, NotReplicated
from audit.ledger import intents, seal
from audit.models import Leaf
from audit.postgres import sql
from tests.attacks.scene import Scene
from tests.audit.conftest import one, send

# Rows for the sealer alone: nobody looks for their records.
MANY = """
WITH queued AS (
    INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
    SELECT gen_random_uuid(), sha256(n::text::bytea), now() FROM generate_series(1, 3000) n RETURNING 1
) SELECT count(*) FROM queued
"""
READ = "SELECT coalesce(pg_stat_get_xact_tuples_returned('audit_unsealed'::regclass), 0)"


@pytest.fixture
def stopped(elsewhere: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sealer that has chosen three records, and was stopped before it signed."""

    def stop() -> None:
        raise NotReplicated

    send(3)
    with monkeypatch.context() as patch:
        patch.setattr(intents, "require_confirmed", stop)
        with pytest.raises(NotReplicated):
            seal.Sealer().once()
    assert one("SELECT count(*) FROM audit_unsealed") == 3


@pytest.mark.usefixtures("stopped")
def test_what_was_chosen_comes_before_what_came_since() -> None:
    before = one("SELECT max(index) FROM audit_leaf")
    chosen = one("SELECT records FROM audit_intent")
    one("WITH moved AS (UPDATE audit_unsealed SET stored_at = stored_at RETURNING 1) SELECT count(*) FROM moved")
    later = [event.id for event in send(2)]
    sealer = seal.Sealer()
    assert [sealer.once(from_start=True).added for _ in range(3)] == [3, 2, 0]
    leaves = Leaf.objects.filter(index__gt=before).order_by("index").values_list("record_id", flat=True)
    assert list(leaves) == [*chosen, *later]


@pytest.mark.usefixtures("elsewhere")
def test_a_pass_reads_what_it_seals_however_much_waits_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "BATCH", 50)
    one(MANY)
    assert seal.Sealer().once().added == 50
    read, take = list[int](), intents.take

    def counted(*given: Any, **named: Any) -> intents.Taken:
        before = sql.rows(READ)[0][0]
        taken = take(*given, **named)
        read.append(sql.rows(READ)[0][0] - before)
        return taken

    monkeypatch.setattr(intents, "take", counted)
    assert seal.Sealer().once().added == 50
    assert 50 <= sum(read) <= 300, "the rest of the blocks in which they stand, and no more"


@pytest.mark.usefixtures("elsewhere")
def test_a_sealer_takes_what_another_chose_since(monkeypatch: pytest.MonkeyPatch) -> None:
    """It chose, and stood still; another took that, chose what came since, and stands still in its turn."""
    first, second = seal.Sealer(), seal.Sealer()
    send(3)
    confirmed = intents.require_confirmed

    def stop() -> None:
        raise NotReplicated

    def stand_still() -> None:
        monkeypatch.setattr(intents, "require_confirmed", confirmed)
        assert second.once().added == 3
        one(MANY)  # in blocks of their own
        send(2)
        monkeypatch.setattr(intents, "require_confirmed", stop)
        with pytest.raises(NotReplicated):
            second.once()

    monkeypatch.setattr(intents, "require_confirmed", stand_still)
    assert first.once().added == 3_002


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM audit_unsealed WHERE ctid = (SELECT min(ctid) FROM audit_unsealed) RETURNING 1",
        "UPDATE audit_unsealed SET leaf_hash = sha256('x') RETURNING 1",
        "UPDATE audit_intent SET records = records[2:] || records[1] RETURNING 1",
    ],
)
def test_nothing_is_signed_over_another_choice(change: str) -> None:
    """Somebody who may write into the database changes what waits: the head over it may be signed already."""
    one(change)
    with pytest.raises(LogDamaged, match="somebody changed its queue"):
        seal.Sealer().once()


@pytest.mark.usefixtures("stopped")
def test_a_choice_beyond_what_is_signed_shows_a_restored_head() -> None:
    size = one("SELECT size FROM audit_head")
    one("UPDATE audit_intent SET size = size + 1 RETURNING 1")
    with pytest.raises(LogDamaged, match=f"went on from {size + 1} records, and {size} are signed"):
        seal.Sealer().once()


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("share", ["LIMIT 1", ""])
def test_a_choice_of_what_is_sealed_already_is_withdrawn(share: str) -> None:
    """Records of the log were put into the queue again, and chosen: no head can have been signed over them."""
    choose_again(share)
    sealer = seal.Sealer()
    added = 0
    while (found := sealer.once(from_start=True)).added:
        added += found.added
    assert added == 3 + 1  # and the record that tells of it
    assert one("SELECT count(*) = max(index) + 1 AND count(DISTINCT record_id) = count(*) FROM audit_leaf")


@pytest.mark.usefixtures("stopped")
def test_a_sealer_that_is_killed_while_it_withdraws_a_choice_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_again("LIMIT 1")

    def kill(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(intents.trail, "add", kill)
        with pytest.raises(KeyboardInterrupt):
            seal.Sealer().once(from_start=True)
    assert seal.Sealer().once(from_start=True).added == 3


def choose_again(share: str) -> None:
    """Put records of the log into the queue again, and among what is chosen."""
    sealed = f"SELECT record_id FROM audit_leaf WHERE index < 3 {share}"
    one(f"UPDATE audit_intent SET records = ARRAY({sealed}) || records[{'1:' if share else '4:'}] RETURNING 1")
    one(
        "INSERT INTO audit_unsealed SELECT record_id, leaf_hash, now() FROM audit_leaf "
        f"WHERE index < 3 {share} RETURNING 1"
    )
