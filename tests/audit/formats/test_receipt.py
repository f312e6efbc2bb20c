"""The text of a receipt: what was signed is read back, and nothing else is."""

import json

import pytest

from audit.formats import receipt
from audit.formats.note import NoteError, Signer
from tests.audit.formats.conftest import KEY_OF_RECEIPTS, a_promise

OTHER = Signer("audit.example/log/receipts", bytes(range(1, 33)))


def signed(text: str) -> str:
    return f"{text}\n{KEY_OF_RECEIPTS.sign(text)}"


def test_the_text_is_as_documented() -> None:
    assert a_promise().text.split("\n")[:7] == [
        "auditsite/receipt/v1",
        "origin audit.example/log",
        "writer payments",
        "state stored",
        "promised 2026-08-18T10:00:00.123Z",
        "sealed-by 2026-08-18T10:01:00.123Z",
        f"0198bcf2-7e5c-7d3e-9a54-000000000000 {'0' * 64}",
    ]


@pytest.mark.parametrize("state", ["stored", "parked"])
def test_what_was_signed_is_read_back(state: str) -> None:
    promise = a_promise(state=state)
    assert receipt.read(receipt.sign(promise, KEY_OF_RECEIPTS), [OTHER.verifier, KEY_OF_RECEIPTS.verifier]) == promise


def test_a_thousand_events_fit_into_one_receipt() -> None:
    events = {f"0198bcf2-7e5c-7d3e-9a54-{number:012x}": "f" * 64 for number in range(1000)}
    assert (
        len(receipt.read(receipt.sign(a_promise(events=events), KEY_OF_RECEIPTS), [KEY_OF_RECEIPTS.verifier]).events)
        == 1000
    )


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_may_change(bit: int) -> None:
    body = receipt.sign(a_promise(), KEY_OF_RECEIPTS).encode()
    believed = []
    for place in range(len(body)):
        damaged = bytearray(body)
        damaged[place] ^= 1 << bit
        try:
            receipt.read(damaged.decode(), [KEY_OF_RECEIPTS.verifier])
            believed.append(place)
        except (NoteError, UnicodeDecodeError):
            pass
    assert believed == []


def test_another_key_of_the_same_name_does_not_do() -> None:
    with pytest.raises(NoteError, match="no key that is known"):
        receipt.read(receipt.sign(a_promise(), OTHER), [KEY_OF_RECEIPTS.verifier])


def test_a_key_of_another_log_does_not_sign_for_this_one() -> None:
    with pytest.raises(NoteError, match="another log's key"):
        receipt.read(receipt.sign(a_promise(origin="other.example/log"), KEY_OF_RECEIPTS), [KEY_OF_RECEIPTS.verifier])


MALFORMED = {
    "another version": lambda text: text.replace("/v1", "/v2"),
    "no events": lambda text: "".join(text.splitlines(keepends=True)[:6]),
    "an event twice": lambda text: text + text.splitlines()[-1] + "\n",
    "another state": lambda text: text.replace("state stored", "state kept"),
    "a time that is none": lambda text: text.replace("2026-08-18T10:01", "2026-13-18T10:01"),
    "a time in another form": lambda text: text.replace("10:01:00.123Z", "10:01:00Z"),
    "another order": lambda text: text.replace("origin", "x").replace("writer", "origin").replace("x", "writer"),
    "capitals": lambda text: text.replace("bcf2", "BCF2"),
    "half a digest": lambda text: text[:-20] + "\n",
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_signed_and_malformed_is_no_receipt(spoil: object) -> None:
    text = spoil(a_promise().text)  # type: ignore[operator]
    with pytest.raises(NoteError):
        receipt.read(signed(text), [KEY_OF_RECEIPTS.verifier])


@pytest.mark.parametrize("writer", ["two words", "a\nline", ""])
def test_a_name_that_would_break_a_line_is_not_signed(writer: str) -> None:
    with pytest.raises(NoteError):
        receipt.sign(a_promise(writer=writer), KEY_OF_RECEIPTS)


def test_a_file_holds_receipts_one_after_the_other_or_answers_a_line() -> None:
    one, two = receipt.sign(a_promise(), KEY_OF_RECEIPTS), receipt.sign(a_promise(writer="other"), KEY_OF_RECEIPTS)
    answers = [json.dumps({"event_id": "x", "receipt": one}), json.dumps({"receipt": two})]
    for text in (one + two, f"\n\n{one}\n\n{two.rstrip()}", "\n".join(answers), (one + two).replace("\n", "\r\n")):
        assert list(receipt.pieces(text.splitlines(keepends=True))) == [one, two]
    assert list(receipt.pieces([json.dumps({"count": 2, "receipts": [one, two]})])) == [one, two]
    assert list(receipt.pieces([one.splitlines()[0], "", *answers])) == ["auditsite/receipt/v1\n", one, two]


@pytest.mark.parametrize(
    "line",
    ['{"receipt": null}', '{"receipts": []}', '{"receipts": [1]}', "{", '{"receipt": 5}', '{"event_id": "x"}', "hello"],
)
def test_what_is_no_receipt_is_not_passed_over(line: str) -> None:
    (piece,) = receipt.pieces([line])
    with pytest.raises(NoteError):
        receipt.read(piece, [KEY_OF_RECEIPTS.verifier])


def test_an_empty_file_has_no_receipt() -> None:
    assert list(receipt.pieces(["\n", "  \n"])) == []
