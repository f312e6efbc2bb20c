"""The log is sealed by a key in a token: it signs outside of every lock and transaction, and only what was intended."""

import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings

from audit import checks
from audit.errors import TokenFailed
from audit.evidence import proof_bundle
from audit.formats import note
from audit.formats.note import Signer
from audit.ledger import keys as ledger_keys
from audit.ledger import seal, verify
from audit.ledger.hsm import signer
from audit.ledger.hsm.signer import TokenSigner
from audit.models import Checkpoint, Record
from bench.softtoken import SoftToken
from tests.attacks.scene import Scene
from tests.audit.conftest import one, send
from tests.servers import SEAL_KEY

ROOT = Path(__file__).parents[4]
QUEUED_AGAIN = """
INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
SELECT record_id, leaf_hash, now() FROM audit_leaf WHERE record_id = %s RETURNING 1
"""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture
def key_file(own_queue: None, tmp_path: Path) -> Iterator[Path]:
    """Where the log's key is; beside a queue of its own, in which no process of another test says what it knows."""
    path = tmp_path / "seal_key"
    path.write_text(SEAL_KEY.encode())
    public = ledger_keys.public_path(path)
    public.write_text(f"{SEAL_KEY}\n")
    with override_settings(SEAL_KEY_FILE=path, SEAL_PUBLIC_KEYS_FILE=public):
        yield path


def sealkey(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("sealkey", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def sealed(sealer: seal.Sealer) -> Checkpoint:
    head = sealer.once(from_start=True).checkpoint
    assert head is not None
    return head


@pytest.mark.slow
def test_the_key_moves_into_a_token_and_back_while_the_log_goes_on(
    elsewhere: Scene, key_file: Path, token: SoftToken, tmp_path: Path
) -> None:
    sealer = seal.Sealer()  # a service that runs on
    told = sealkey("prepare", "--pkcs11", str(token.address("log-1")))
    assert sealkey("rotate") == told
    assert "PRIVATE" not in key_file.read_text()
    first = bundle_by(sealer, told, tmp_path / "first.jsonl")
    back = sealkey("rotate")
    assert key_file.read_text().startswith("PRIVATE+KEY+")
    second = bundle_by(sealer, back, tmp_path / "second.jsonl")
    assert verify.verify().verdict == "VERIFIED"
    for bundle, key in ((first, told), (second, back)):
        command = [sys.executable, "verify.py", str(bundle), "--key", key]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.endswith("VERDICT: VERIFIED\n"), done.stdout + done.stderr


def bundle_by(sealer: seal.Sealer, key: str, path: Path) -> Path:
    """Records with their proofs, of events that are sealed by this key."""
    events = send(3)
    assert note.verify(sealed(sealer).note, [note.Verifier.parse(key)])
    path.write_bytes(b"".join(proof_bundle.lines(Record.objects.filter(pk__in=[event.id for event in events]))))
    return path


@pytest.mark.slow
def test_while_a_token_signs_nothing_is_locked_and_no_transaction_is_open(
    elsewhere: Scene, key_file: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealkey("rotate", "--pkcs11", str(token.address("log-1")))
    seen: list[tuple[int, bool]] = []
    sign = TokenSigner._signature

    def look(self: TokenSigner, message: bytes) -> bytes:
        seen.append((one(LOCKS), connections["default"].in_atomic_block))
        return sign(self, message)

    monkeypatch.setattr(TokenSigner, "_signature", look)
    send(3)
    sealer = seal.Sealer()
    assert sealer.once(from_start=True).added == 3
    assert sealer.once(sign_anyway=True).signed
    assert seen == [(0, False)] * 4


@pytest.mark.slow
def test_while_a_token_is_away_nothing_is_sealed_and_the_same_tree_afterwards(
    elsewhere: Scene, key_file: Path, token: SoftToken
) -> None:
    sealkey("rotate", "--pkcs11", str(token.address("log-1")))
    before = one("SELECT max(index) FROM audit_leaf")
    token.pin.rename(token.pin.with_name("hidden"))
    events = send(3)
    sealer = seal.Sealer()
    signer._holding.end()  # as of a sealer that has just been started
    for _ in range(2):
        with pytest.raises(TokenFailed, match="cannot be read"):
            sealer.once()
    assert [str(message.id) for message in checks.seal_token(None)] == ["audit.E015"]
    assert one("SELECT max(index) FROM audit_leaf") == before
    chosen = one("SELECT records FROM audit_intent")
    send(2)
    token.pin.with_name("hidden").rename(token.pin)
    assert [sealer.once(from_start=True).added for _ in range(2)] == [3, 2]
    assert sorted(chosen) == sorted(event.id for event in events)
    assert verify.verify().verdict == "VERIFIED"
    assert checks.seal_token(None) == []


def test_a_key_that_does_not_sign_takes_nobodys_place(elsewhere: Scene, key_file: Path, token: SoftToken) -> None:
    address = str(token.address("log-1"))
    told = sealkey("prepare", "--pkcs11", address)
    with pytest.raises(CommandError, match=re.escape(f"Another key is prepared, {told}")):
        sealkey("rotate", "--pkcs11", str(token.address("log-2")))
    token.pin.write_text("87654321")
    with pytest.raises(CommandError, match="the PIN in"):
        sealkey("rotate")
    assert ledger_keys.load().signer == SEAL_KEY
    token.pin.write_text("12345678")
    assert sealkey("rotate", "--pkcs11", address) == told
    with pytest.raises(CommandError, match="signs already: name another one by object="):
        sealkey("rotate", "--pkcs11", address)
    with pytest.raises(CommandError, match="--pkcs11: cannot be read: it needs"):
        sealkey("rotate", "--pkcs11", "pkcs11:token=audit")


class Elsewhere(Signer):
    """A key that is not at hand; keeps what it has signed."""

    is_at_hand = False
    signed: list[bytes]

    def _signature(self, message: bytes) -> bytes:
        self.signed.append(message)
        return super()._signature(message)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """The key of the tests' log, as if it were in a token."""
    key = Elsewhere(SEAL_KEY.name, SEAL_KEY.seed)
    object.__setattr__(key, "signed", [])
    load = ledger_keys.load
    monkeypatch.setattr(ledger_keys, "load", lambda: ledger_keys.Keys(key, load().verifiers))
    return key


def test_a_head_is_signed_again_where_another_sealer_was_faster(
    elsewhere: Scene, far: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it signed meanwhile is of the same tree, or of the one before."""
    send(3)
    cosign, others = Elsewhere.cosign, []

    def slowly(self: Elsewhere, text: str, moment: int) -> str:
        monkeypatch.setattr(Elsewhere, "cosign", cosign)
        others.append(seal.Sealer().once(from_start=True).added)
        return cosign(self, text, moment)

    monkeypatch.setattr(Elsewhere, "cosign", slowly)
    sealer = seal.Sealer()
    assert (sealer.once().checkpoint, others) == (None, [3])
    trees = {note.TreeHead.parse(text.decode()) for text in far.signed if text.startswith(b"tests.example/log\n")}
    assert len({tree.root for tree in trees if tree.size == 603}) == 1
    send(2)
    assert sealer.once(from_start=True).added == 2
    assert verify.verify().verdict == "VERIFIED"


def test_nothing_is_signed_over_records_that_are_sealed_already(elsewhere: Scene, far: Elsewhere) -> None:
    """The choice changes then, and a head over the one of before would be another story."""
    (event, *_), sealer = send(3), seal.Sealer()
    assert sealer.once().added == 3
    one(QUEUED_AGAIN, event.id)
    send(1)
    far.signed.clear()
    sealer.once(from_start=True)  # it records what it found
    sizes = {int(text.split(b"\n")[1]) for text in far.signed if text.startswith(b"tests.example/log\n")}
    assert sizes <= {604, 605} and len(sizes) == 1
    assert verify.verify().verdict == "VERIFIED"
