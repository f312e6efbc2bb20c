"""The keys of the log: made once, kept out of the database, rotated without a break."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from audit.errors import KeyMissing, KeyUnknown
from audit.formats import note
from audit.formats.note import Signer
from audit.ledger import keys as ledger_keys
from audit.ledger import known_keys, seal, verify
from audit.models import Checkpoint, Leaf, Record
from tests.attacks.scene import Scene
from tests.audit.conftest import send


@pytest.fixture
def key_file(own_queue: None, tmp_path: Path) -> Iterator[Path]:
    """Where a key of its own is; beside a queue of its own, in which no process of another test says what it knows."""
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
        run = verify.verify()
        assert run.verdict == "UNKNOWN"  # the old key is not known any more, which is no second story
        assert "SEAL_PUBLIC_KEYS" in run.findings.filter(subject="checkpoint")[0].detail


def test_a_key_of_the_log_that_is_not_known_here_is_unknown_and_no_fork(elsewhere: Scene, settings: Any) -> None:
    known = ledger_keys.load()
    new = Signer(known.origin, bytes(range(7, 39)))
    settings.SEAL_KEY, settings.SEAL_PUBLIC_KEYS = new.encode(), "\n".join(map(str, (new, *known.verifiers)))
    assert seal.Sealer().once(sign_anyway=True).signed
    settings.SEAL_KEY, settings.SEAL_PUBLIC_KEYS = "", str(known.verifiers[0])  # a process that was not told
    assert verify.verify().verdict == "UNKNOWN"
    settings.SEAL_KEY = os.environ["SEAL_KEY"]
    with pytest.raises(KeyUnknown, match="SEAL_PUBLIC_KEYS"):
        seal.Sealer().once()
    settings.SEAL_KEY, settings.SEAL_PUBLIC_KEYS = "", str(Signer("other.example/log", bytes(32)))
    assert verify.verify().verdict == "FORKED"


def test_the_next_key_can_be_told_before_it_signs(
    elsewhere: Scene, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Signer.parse(os.environ["SEAL_KEY"])
    key_file.write_text(old.encode())
    ledger_keys.public_path(key_file).write_text(f"{old}\n")
    call_command("sealkey", "prepare")
    told = capsys.readouterr().out.strip()
    keys = ledger_keys.load()
    assert keys.signer == old and [str(each) for each in keys.verifiers] == [str(old), told]
    call_command("sealkey", "rotate")
    assert str(ledger_keys.load().signer) == told


def test_a_command_that_is_over_is_not_waited_for(elsewhere: Scene, key_file: Path) -> None:
    call_command("sealkey", "create", "--origin", "made.example/log")
    signer = ledger_keys.load().signer
    assert signer is not None
    unknown = Signer(signer.name, bytes(range(9, 41))).verifier
    for command in (("sealkey", "list"), ("keys",)):
        ledger_keys.load()
        assert known_keys.ignorant_of(unknown) == [known_keys.process_name()]
        call_command(*command)
        assert known_keys.ignorant_of(unknown) == []


def test_a_rotation_waits_until_every_process_knows_the_new_key(elsewhere: Scene, key_file: Path) -> None:
    old = Signer.parse(os.environ["SEAL_KEY"])
    key_file.write_text(old.encode())
    public = ledger_keys.public_path(key_file)
    public.write_text(f"{old}\n")
    signed = Checkpoint.objects.count()
    read_keys(SEAL_PUBLIC_KEYS=str(old))  # as in a container that mounts the file, not its directory
    for _ in range(2):
        with pytest.raises(CommandError, match=r"Nothing was rotated: .*manage.py shell"):
            call_command("sealkey", "rotate", "--wait", "0")
    announced = public.read_text().split()
    assert (announced[0], len(announced)) == (str(old), 2)
    assert ledger_keys.load().signer == old
    assert Checkpoint.objects.count() == signed
    assert not Record.objects.filter(event_type="audit.sealkey.rotated", event_data__public_key=announced[1]).exists()
    read_keys(SEAL_PUBLIC_KEYS_FILE=str(public))
    call_command("sealkey", "rotate", "--wait", "0")
    assert str(ledger_keys.load().signer) == announced[1]  # the key that was announced, not a third one
    assert public.read_text().split() == announced[::-1]
    assert verify.verify().verdict == "VERIFIED"


@pytest.mark.slow
def test_without_redis_nothing_is_rotated_for_nobody_says_who_knows_the_key(key_file: Path, redis_server: Any) -> None:
    old = Signer.parse(os.environ["SEAL_KEY"])
    key_file.write_text(old.encode())
    ledger_keys.public_path(key_file).write_text(f"{old}\n")
    says = r"Nothing was rotated: Redis does not answer \(\w+\), and only it can say whether every process knows"
    with redis_server.stopped(), pytest.raises(CommandError, match=says):
        call_command("sealkey", "rotate")
    assert key_file.read_text() == old.encode()


def read_keys(**environment: str) -> None:
    """Another process that reads the log's keys as these variables name them."""
    code = "from audit.ledger import keys; keys.load()"
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", code]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEAL_")}
    subprocess.run(command, check=True, env=clean | environment | {"DLQ_PREFIX": settings.DLQ_PREFIX}, timeout=120)
