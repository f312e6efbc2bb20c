"""Two primaries, each with a sealer: an old one that is cut off but lives, and one that was promoted.

Whatever was signed on the one, shown or not, is a prefix of what is signed on the other.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.test import override_settings

from audit.errors import LogDamaged, NotReplicated
from audit.formats.note import TreeHead
from audit.ledger import outside, reader, seal
from audit.ledger.publish import Publisher
from audit.models import Checkpoint
from bench.load import wait_until
from tests.audit.conftest import one, send
from tests.audit.replicated import Pair

pytestmark = pytest.mark.slow
PATIENCE_S = 1.0


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[TreeHead]:
    """Each head that is signed from here on, whatever became of it."""
    heads: list[TreeHead] = []
    sign = seal.sign_head

    def note(cursor: Any, before: Any, edge: Any, signer: Any, **options: Any) -> Checkpoint:
        heads.append(TreeHead(signer.name, edge.size, edge.root()))
        return sign(cursor, before, edge, signer, **options)

    monkeypatch.setattr(seal, "sign_head", note)
    return heads


def seal_impatiently(sealer: seal.Sealer) -> None:
    """Seal on a server whose commits nobody confirms."""
    connections["default"].ensure_connection()
    connections["default"].connection.patience = PATIENCE_S
    with pytest.raises(DatabaseError):
        sealer.once()
    connections.close_all()


def shuffle_queue(pair: Pair) -> None:
    """Have the first record of the queue stand after the others, as a later write into a hole of it does."""
    first = "(SELECT min(ctid) FROM audit_unsealed)"
    pair.run(pair.standby, f"UPDATE audit_unsealed SET stored_at = stored_at WHERE ctid = {first}")


def are_of_one_log(heads: list[TreeHead]) -> bool:
    return all(reader.root(head.size, "default") == head.root for head in heads)


def test_a_head_that_was_signed_and_lost_is_signed_again_by_the_server_that_takes_over(
    pair: Pair, signed: list[TreeHead], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old primary is cut off between the signature and its commit."""
    send(5)
    note: Callable[..., Checkpoint] = seal.sign_head

    def cut_off(*arguments: Any, **options: Any) -> Checkpoint:
        pair.cut()
        return note(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(seal, "sign_head", cut_off)
        seal_impatiently(seal.Sealer())
    assert len(signed) == 1
    pair.promote()
    shuffle_queue(pair)
    pair.use(pair.standby)
    send(3)
    sealer = seal.Sealer()
    while sealer.once(from_start=True).added:
        pass
    assert signed[1] == signed[0]
    assert signed[-1].size == signed[0].size + 3
    assert are_of_one_log(signed)


def test_nothing_is_signed_where_no_standby_has_confirmed_what_comes_next(pair: Pair, signed: list[TreeHead]) -> None:
    send(5)
    pair.cut()
    seal_impatiently(seal.Sealer())
    assert signed == []
    # Somebody gives the wait up; another sealer meets what is committed on this server alone.
    wait_until(lambda: pair.cancel_waits() == 1, seconds=60, what="the wait of the first sealer")
    wait_until(lambda: one("SELECT count(*) FROM audit_intent") == 1, seconds=60, what="the intent")
    seal_impatiently(seal.Sealer())
    assert signed == []
    pair.promote()
    shuffle_queue(pair)
    pair.use(pair.standby)
    assert seal.Sealer().once().added == 5
    assert are_of_one_log(signed)


def test_a_cancelled_wait_is_no_confirmation(pair: Pair, signed: list[TreeHead]) -> None:
    send(5)
    pair.cut()
    threading.Timer(0.1, lambda: wait_until(lambda: pair.cancel_waits() == 1, seconds=20, what="a wait")).start()
    sealer = seal.Sealer()
    with pytest.raises(NotReplicated):
        sealer.once()
    assert signed == []
    pair.join()
    assert sealer.once().added == 5


def test_two_primaries_without_a_synchronous_standby_are_told_apart_by_the_anchor(pair: Pair, tmp_path: Path) -> None:
    """Nothing in the databases can tell: each has what it was told. Both sealers reach the anchor."""
    pair.run(pair.primary, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    with override_settings(SEAL_ANCHOR_FILE=tmp_path / "anchor", SEAL_ANCHOR_S=0):
        old = seal.Sealer()
        send(2)
        head = old.once().checkpoint
        assert head is not None
        assert Publisher().publish(head) == []
        wait_until(
            lambda: pair.run(pair.standby, "SELECT size FROM audit_head") == (head.size,), seconds=20, what="the head"
        )
        pair.cut()
        pair.promote()
        pair.use(pair.standby)
        send(3)
        new = seal.Sealer().once().checkpoint
        assert new is not None
        assert Publisher().publish(new) == []
        pair.use(pair.primary)
        send(4)
        with pytest.raises(LogDamaged, match="the end of the anchor file"):
            old.once()
        assert one("SELECT max(size) FROM audit_head") == head.size
        # Whoever publishes beside a sealer has that one ask anew, witnesses too.
        (complaint,) = Publisher().publish(head)
        assert complaint.startswith(f"The head of {head.size} records is not anchored.")
        assert outside.refused.is_set()
        outside.refused.clear()
