"""The keys of the log: made once, kept out of the database, rotated without a break."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from audit.errors import KeyMissing
from audit.formats import note
from audit.formats.note import Signer
from audit.ledger import keys as ledger_keys
from audit.ledger import seal, verify
from audit.models import Checkpoint, Leaf, Record
from tests.attacks.scene import Scene
from tests.audit.conftest import send


@pytest.fixture
def key_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "seal_key"
    files = {"SEAL_KEY_FILE": path, "SEAL_PUBLIC_KEYS_FILE": ledger_keys.public_path(path)}
    with override_settings(**files):
        yield path


def test_without_any_key_nothing_is_signed() -> None:
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=""), pytest.raises(KeyMissing):
        seal.Sealer().once()


def test_with_public_keys_alone_one_verifies_but_does_not_sign() -> None:
    public = str(ledger_keys.load().verifiers[0])
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=public):
        assert ledger_keys.load().signer is None
        with pytest.raises(KeyMissing, match="only public keys"):
            seal.Sealer().once()


def test_the_development_key_is_for_development() -> None:
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS="", DEBUG=True):
        assert ledger_keys.load().signer == ledger_keys.DEVELOPMENT


def test_a_damaged_key_is_refused_and_not_shown() -> None:
    secret = ledger_keys.load().signer
    assert secret is not None
    with override_settings(SEAL_KEY=secret.encode()[:-6]), pytest.raises(KeyMissing) as refused:
        ledger_keys.load()
    assert secret.encode()[-20:-6] not in str(refused.value)


def test_keys_of_two_logs_are_refused() -> None:
    other = str(Signer("other.example/log", bytes(32)))
    with override_settings(SEAL_PUBLIC_KEYS=other), pytest.raises(KeyMissing, match="several logs"):
        ledger_keys.load()


def test_a_key_is_made_once_readable_by_its_owner_alone(key_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sealkey", "create", "--origin", "made.example/log")
    public = capsys.readouterr().out.strip()
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert str(ledger_keys.load().signer) == public
    assert ledger_keys.public_path(key_file).read_text().strip() == public
    call_command("sealkey", "create", "--origin", "made.example/log", "--if-missing")
    with pytest.raises(CommandError, match="exists"):
        call_command("sealkey", "create", "--origin", "made.example/log")
    call_command("sealkey", "list")
    assert capsys.readouterr().out == f"{public}  signs now\n"
    noted = Record.objects.filter(event_type="audit.sealkey.created").latest("event_timestamp")
    assert noted.event_data["public_key"] == public
    assert "PRIVATE" not in str(noted.event_data)


def test_a_name_that_is_none_is_refused(key_file: Path) -> None:
    with pytest.raises(CommandError):
        call_command("sealkey", "create", "--origin", "has spaces")
    assert not key_file.exists()


@pytest.mark.slow
def test_after_a_rotation_old_checkpoints_verify_and_the_new_key_signs(elsewhere: Scene, key_file: Path) -> None:
    old = Signer.parse(os.environ["SEAL_KEY"])
    key_file.write_text(old.encode())
    ledger_keys.public_path(key_file).write_text(f"{old}\n")
    sealer = seal.Sealer()  # a service that runs on
    sealer.once()
    call_command("sealkey", "rotate")
    keys = ledger_keys.load()
    assert keys.signer is not None
    assert [keys.verifiers[0], keys.verifiers[1]] == [keys.signer.verifier, old.verifier]
    rotation = Record.objects.filter(event_type="audit.sealkey.rotated").latest("event_timestamp")
    covering = Checkpoint.objects.filter(size__gt=Leaf.objects.get(record_id=rotation.id).index).order_by("number")[0]
    assert note.verify(covering.note, [old.verifier])  # the old key vouches for the new one
    assert rotation.event_data["public_key"] == str(keys.signer)
    send(3)
    head = sealer.once().checkpoint
    assert head is not None
    assert note.verify(head.note, [keys.signer.verifier])
    assert verify.verify().verdict == "VERIFIED"
    with override_settings(SEAL_PUBLIC_KEYS_FILE=None, SEAL_PUBLIC_KEYS=""):
        assert verify.verify().verdict == "FORKED"  # the old key is not known any more
