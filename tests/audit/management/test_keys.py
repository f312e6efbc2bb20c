"""`manage.py keys` names every key, says what comes next, and shows nothing secret."""

import os
import re
import secrets
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.access import api_keys
from audit.formats import event
from audit.formats.note import Signer
from audit.ingest.record import _park
from audit.ledger import keys as ledger_keys
from audit.management.commands import keys
from audit.models import WriterKey
from audit.postgres.faults import Fault
from audit.queue import drain
from tests.audit.conftest import Sender, an_event


def listed(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("keys", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_every_kind_of_key_is_named_and_none_is_shown(writer: Sender, settings: Any, monkeypatch: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = secrets.token_hex(32), ["of before" * 5]
    witness = Signer("w.example/w", bytes(32)).verifier.as_cosigner()
    settings.SEAL_WITNESSES = [f"={witness}"]
    monkeypatch.setenv("REDIS_URL", "redis://site:a-password@redis.example/0")
    lines = listed()
    log_key = ledger_keys.load().verifiers[0]
    for text in (
        *(f"{log_key.name}+{log_key.id.hex()}", "receipts", "the queue", "SECRET_KEY "),
        *(f"writer {writer.name}", f"w.example/w+{witness.id.hex()}", "site at redis.example"),
    ):
        assert any(text in line for line in lines), text
    signer = ledger_keys.load().signer
    assert signer is not None
    secrets_known = (settings.SECRET_KEY, "of before", "a-password", writer.key[12:], signer.encode()[-20:])
    assert not any(secret in line for secret in secrets_known for line in lines)


def test_a_key_that_is_prepared_signs_nothing_yet_and_the_command_that_comes_next_is_named(
    tmp_path: Path, settings: Any
) -> None:
    old = Signer.parse(os.environ["SEAL_KEY"])
    path = tmp_path / "seal_key"
    path.write_text(old.encode())
    settings.SEAL_KEY_FILE, settings.SEAL_PUBLIC_KEYS_FILE = path, ledger_keys.public_path(path)
    new = ledger_keys.prepare(path, settings.SEAL_PUBLIC_KEYS_FILE, old)
    (line,) = [line for line in listed() if new.verifier.id.hex() in line]
    assert "signs nothing yet" in line and "manage.py sealkey rotate" in line


def test_a_writers_key_of_before_says_when_it_stops() -> None:
    writer = Sender("write")
    api_keys.rotate(writer.writer, overlap=api_keys.overlap())
    ends = WriterKey.objects.get(writer=writer.writer, digest=api_keys.digest(writer.key)).expires_at
    own = [line for line in listed() if f"writer {writer.name} " in line]
    assert [f"stops at {ends:%Y-%m-%d}" in line for line in own] == [True, False]


def signed_by_nobody() -> int:
    """How many entries wait that no key has signed."""
    found = re.search(r"([\d,]+) entries are signed by no key known here", "\n".join(listed("--queue")))
    return int(found[1].replace(",", "")) if found else 0


@pytest.mark.slow
def test_the_old_key_of_the_queue_may_go_once_no_entry_waits_for_it(own_queue: None, settings: Any) -> None:
    session, old, new = settings.DLQ_ENTRY_KEY, secrets.token_bytes(32), secrets.token_bytes(32)

    def of_old() -> str:
        (line,) = [line for line in listed("--queue") if keys._fingerprint(old) in line]
        return line

    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = old, [session]
    _park([event.accept(an_event(), writer="keys")], Fault.DOWN)
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = new, [old, session]
    assert "1 entries wait" in of_old()
    assert signed_by_nobody() == 0
    settings.DLQ_ENTRY_OLD_KEYS = [session]
    assert signed_by_nobody() == 1
    settings.DLQ_ENTRY_OLD_KEYS = [old, session]
    drain.drain(seconds=20)
    assert "no entry waits" in of_old()
