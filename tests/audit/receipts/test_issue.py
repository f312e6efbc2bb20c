"""Receipts as they are answered: signed where there is a key, and no reason to refuse an event where there is none."""

import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

import dlq.client
from audit import checks
from audit.formats import note, receipt
from audit.formats.note import Signer
from audit.ledger import keys, known_keys
from audit.models import Record
from bench.load import wait_until
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.receipts.conftest import VERIFY, an_accepted, receipt_for, states
from tests.servers import RECEIPT_KEY


def test_an_answer_carries_a_receipt_that_the_public_key_verifies(service: Sender) -> None:
    answer = service.post(an_event()).json()
    keys = service.get("/api/v1/audit/receipts/keys").content.decode().split()
    promised = receipt.read(answer["receipt"], [note.Verifier.parse(key) for key in keys])
    assert dict(promised.events) == {answer["event_id"]: answer["digest"]}
    assert (promised.writer, promised.state, promised.origin) == (service.name, "stored", "tests.example/log")
    assert promised.sealed_by - promised.promised_at == timedelta(seconds=settings.SEAL_MERGE_DELAY_S)


def test_a_batch_has_one_receipt_that_names_every_event(writer: Sender) -> None:
    answer = writer.post([an_event() for _ in range(5)], BATCH).json()
    promised = receipt.read(answer["receipt"], keys.receipts().verifiers)
    assert list(promised.events) == answer["event_ids"]


@pytest.fixture
def key_file(own_queue: None, tmp_path: Path) -> Iterator[Path]:
    """Where a key of its own is; beside a queue of its own, in which nobody said what other tests have signed with."""
    path = tmp_path / "receipt_key"
    wait_until(lambda: known_keys._speaker is None, seconds=60, what="whoever tells of the key of a test before")
    known_keys._announced.clear()
    with override_settings(RECEIPT_KEY_FILE=path, RECEIPT_PUBLIC_KEYS_FILE=keys.public_path(path)):
        call_command("receiptkey", "create", verbosity=0)
        yield path


def test_receipts_of_a_rotated_key_hold_as_before(key_file: Path) -> None:
    event, before = an_accepted(), keys.receipts().signer
    assert before is not None
    assert (before.name, key_file.stat().st_mode & 0o777) == ("tests.example/log/receipts", 0o600)
    call_command("receiptkey", "rotate", stdout=StringIO(), stderr=StringIO())
    after = keys.receipts().signer  # a process that runs on sees it at its next event
    assert after is not None and after != before
    assert states(receipt_for(event, key=before), receipt_for(event, key=after)) == ["pending", "pending"]
    assert states(receipt_for(event)) == ["not ours"]
    noted = Record.objects.filter(event_type="audit.receiptkey.rotated", event_data__before=str(before)).get()
    assert noted.event_data["public_key"] == str(after)


def told() -> list[bytes]:
    """The ids of the keys that Redis was told this process signs with."""
    with dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS) as connection:
        keys: Any = connection.hget(known_keys._name("keys", known_keys.RECEIPTS), known_keys.process_name())
    return (keys or b"").split()


def wait_until_told(signer: Signer | None) -> None:
    assert signer is not None
    wait_until(lambda: told() == [signer.verifier.id.hex().encode()], seconds=60, what="the key in Redis")


def test_a_rotation_says_who_still_signs_with_another_key(key_file: Path, service: Sender) -> None:
    """Another process, which looks at a file of its own; it is done once that one signs with the new key, too."""
    own = key_file.with_name("own_key")
    own.write_text(key_file.read_text())
    with override_settings(RECEIPT_KEY_FILE=own):
        service.post(an_event())
        wait_until_told(keys.receipts().signer)
    named = f"signs from now on, but .*: {re.escape(known_keys.process_name())}.*mount the directory"
    with pytest.raises(CommandError, match=named):
        call_command("receiptkey", "rotate", "--wait", "0", stdout=StringIO(), stderr=StringIO())
    service.post(an_event())
    rotated = keys.receipts().signer
    wait_until_told(rotated)
    assert rotated is not None and known_keys.ignorant_of(rotated.verifier, known_keys.RECEIPTS) == []


@pytest.mark.slow
def test_without_redis_the_key_is_rotated_and_nobody_says_who_signs_with_it(key_file: Path, redis_server: Any) -> None:
    before = keys.receipts().signer
    says = r"signs from now on, but Redis does not answer \(\w+\), and only it can say whether each process signs with"
    with redis_server.stopped(), pytest.raises(CommandError, match=says):
        call_command("receiptkey", "rotate", stdout=StringIO(), stderr=StringIO())
    assert keys.receipts().signer != before


@pytest.mark.slow
def test_no_event_waits_until_redis_was_told_who_signs(
    key_file: Path, service: Sender, redis_server: Any, settings: Any
) -> None:
    """Redis hangs, and is waited for longer than the test lasts: events are answered before it hears of any key."""
    settings.DLQ_TIMEOUT_MS = 100_000
    service.post(an_event())
    wait_until_told(keys.receipts().signer)
    with redis_server.frozen():
        for _ in range(2):
            key_file.write_text(Signer("tests.example/log/receipts", secrets.token_bytes(32)).encode())
            assert service.post(an_event()).json()["receipt"]
        speaker = known_keys._speaker
        assert speaker is not None and speaker.is_alive()
    wait_until_told(keys.receipts().signer)  # the latest, though it signed while the one before was being told


@pytest.mark.slow
def test_what_redis_refused_to_hear_is_told_with_a_later_event(
    key_file: Path, service: Sender, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "ANNOUNCED_EVERY_S", 0.0)
    with redis_server.stopped():
        service.post(an_event())
        wait_until(lambda: known_keys._speaker is None, seconds=60, what="the attempt to be over")
    assert told() == []
    service.post(an_event())
    wait_until_told(keys.receipts().signer)


def unsigned(sender: Sender) -> bool:
    answer = sender.post(an_event())
    assert answer.status_code == 201
    batch = sender.post([an_event()], BATCH)
    assert batch.status_code == 201
    return answer.json()["receipt"] is None and batch.json()["receipt"] is None


def test_without_a_key_events_are_taken_and_a_check_says_so(writer: Sender, tmp_path: Path) -> None:
    assert checks.receipt_key(None) == []
    with override_settings(RECEIPT_KEY=""):
        assert unsigned(writer)
        assert [one.id for one in checks.receipt_key(None)] == ["audit.W005"]
        assert writer.post({"receipts": ["x"]}, VERIFY).status_code == 500
    for wrong in ("nonsense", RECEIPT_KEY.encode()[:-6], Signer("tests.example/log", bytes(32)).encode()):
        with override_settings(RECEIPT_KEY=wrong):
            assert unsigned(writer)
            assert [one.id for one in checks.receipt_key(None)] == ["audit.E009"]
    for unreadable in (tmp_path, tmp_path / "absent"):
        with override_settings(RECEIPT_KEY_FILE=unreadable, RECEIPT_PUBLIC_KEYS=str(RECEIPT_KEY)):
            assert unsigned(writer)


def test_with_public_keys_alone_receipts_are_verified_and_not_signed(writer: Sender) -> None:
    with override_settings(RECEIPT_KEY="", RECEIPT_PUBLIC_KEYS=str(RECEIPT_KEY)):
        assert unsigned(writer)
        assert checks.receipt_key(None) == []
        assert states(receipt_for(an_accepted())) == ["pending"]


def test_a_receipt_that_cannot_be_signed_does_not_keep_the_event_from_being_answered(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.formats.receipt.sign", lambda *arguments: 1 / 0)
    assert unsigned(writer)
