"""A key that is in a token signs as one in a file does, and whatever becomes of the token, nobody waits for long."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audit.errors import KeyMissing, TokenFailed
from audit.formats import note
from audit.formats.note import NoteError
from audit.ledger import keys as ledger_keys
from audit.ledger.hsm import signer
from audit.ledger.hsm.address import Address
from audit.ledger.hsm.signer import TokenSigner
from bench.softtoken import SoftToken

LOG = "tests.example/log"


def pid() -> int:
    """The process that has the token open."""
    held = signer._holding._held
    assert held is not None
    return held[1]._process.pid


def test_a_key_that_was_made_in_a_token_signs_what_its_public_half_verifies(token: SoftToken) -> None:
    made = TokenSigner.make(LOG, token.address("log-1"))
    assert TokenSigner.make(LOG, token.address("log-1")) == made  # it was there
    assert TokenSigner.make(LOG, token.address("log-2")) != made
    read = ledger_keys.parse(made.encode())
    text = "a text\nof two lines\n"
    signed = note.join(text, [read.sign(text), read.cosign(text, 1_790_000_000)])
    both = [made.verifier, made.verifier.as_cosigner()]
    assert [each.moment for each in note.verify(signed, both)[1]] == [None, 1_790_000_000]


def test_a_key_by_its_number_is_the_one_of_its_label(token: SoftToken) -> None:
    made = TokenSigner.make(LOG, replace(token.address("log-1"), id=b"\x07"))
    text = "a text\n"
    by_id = TokenSigner(LOG, made.public, replace(token.address(""), id=b"\x07"))
    assert by_id.sign(text) == made.sign(text)


def another(made: TokenSigner, token: SoftToken) -> dict[str, Callable[[], TokenSigner]]:
    """Signers at which something is wrong, by what is said of it."""

    def at(key: str = "log-1", **changes: str) -> Callable[[], TokenSigner]:
        return lambda: TokenSigner(LOG, made.public, replace(token.address(key), **changes))

    return {
        "the module /nowhere.so cannot be loaded: install it": at(module="/nowhere.so"),
        "the token other is not there: plug it in": at(token="other"),
        "cannot be read: FileNotFoundError": at(pin_file="/nowhere"),
        "the token audit has no such key: correct object=": at("log-2"),
        "is not the one whose public half stands": lambda: TokenSigner(LOG, bytes(32), token.address("log-1")),
    }


def test_what_is_wrong_is_said_and_where_and_what_to_do(token: SoftToken) -> None:
    made = TokenSigner.make(LOG, token.address("log-1"))
    for complaint, wrong in another(made, token).items():
        with pytest.raises(TokenFailed, match=complaint) as refused:
            wrong().sign("a text\n")
        assert "12345678" not in str(refused.value)
    assert made.sign("a text\n")


def test_a_wrong_pin_is_tried_once_until_its_file_changes(token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens lock themselves after a few."""
    made = TokenSigner.make(LOG, token.address("log-1"))
    started: list[Any] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **named: started.append(given) or start(*given, **named))
    token.pin.write_text("87654321")
    for _ in range(3):
        with pytest.raises(TokenFailed, match=f"the PIN in {token.pin} is not the one of the token audit"):
            made.sign("a text\n")
    assert len(started) == 1
    token.pin.write_text("12345678\n")
    assert made.sign("a text\n")


def test_a_token_that_hangs_is_waited_for_so_long_and_asked_anew(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = TokenSigner.make(LOG, token.address("log-1"))
    assert made.sign("a text\n")
    hung = pid()
    monkeypatch.setattr(signer, "SIGN_S", 0.2)
    subprocess.run(["kill", f"-{signal.SIGSTOP.name[3:]}", str(hung)], check=True)
    with pytest.raises(TokenFailed, match="did not answer within"):
        made.sign("a text\n")
    monkeypatch.setattr(signer, "SIGN_S", 30)
    assert made.sign("a text\n")
    assert pid() != hung


def test_a_token_that_was_away_signs_once_it_is_back(token: SoftToken) -> None:
    made = TokenSigner.make(LOG, token.address("log-1"))
    assert made.sign("a text\n")
    token.take_away()
    subprocess.run(["kill", "-KILL", str(pid())], check=True)
    with pytest.raises(TokenFailed, match="the token audit is not there"):
        made.sign("a text\n")
    token.bring_back()
    assert made.sign("a text\n")
    subprocess.run(["kill", "-KILL", str(pid())], check=True)
    assert made.sign("a text\n")  # a crash while it is there is not even noticed


@pytest.mark.parametrize("end", ["", " pkcs11:token=a", " pkcs11:token=a;object=b?module-path=c&pin-value=1234"])
def test_a_file_that_does_not_say_where_the_key_is_is_refused(end: str) -> None:
    public = ledger_keys.load().verifiers[0]
    with pytest.raises(NoteError):
        ledger_keys.parse(f"{public}{end}")


def test_the_key_of_receipts_is_in_no_token(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Each request would wait for it."""
    public = ledger_keys.receipts().verifiers[0]
    in_token = TokenSigner(public.name, public.public, Address("p", "q", token="a", object="b"))
    settings.RECEIPT_KEY = in_token.encode()
    with pytest.raises(KeyMissing, match="Keep it in a file"):
        ledger_keys.receipts()
