"""The verifier that is one file: receipts, checked without any store and found in a bundle."""

from pathlib import Path
from typing import Any

import pytest

from tests.auditor import ERASABLE, Notary, parts, verify
from tests.verify_file.conftest import LOG, PINNED, RECORDS, bundle, honest, key_id, leaf, note, proof

RECEIPTS_KEY = Notary("audit.example/log/receipts", 5)


def receipt_of(*records: dict[str, Any], signer: Notary = RECEIPTS_KEY, **changes: str) -> str:
    moment = "2026-08-18T10:00:00.000Z"
    members = {"origin": LOG.name, "writer": "tests", "state": "stored", "promised": moment, "sealed-by": moment}
    lines = [*members | changes, *(record["event_id"] for record in records)]
    values = [*(members | changes).values(), *(record["digest"] for record in records)]
    text = "".join(f"{name} {value}\n" for name, value in zip(lines, values, strict=True))
    return f"auditsite/receipt/v1\n{text}\n{signer.sign(f'auditsite/receipt/v1{chr(10)}{text}')}"


@pytest.fixture
def redeem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def redeem(text: str, *arguments: str, body: bytes | None = None) -> tuple[int, str]:
        file, evidence = tmp_path / "receipt.txt", tmp_path / "bundle.jsonl"
        file.write_text(text)
        if body is not None:
            evidence.write_bytes(body)
            arguments = (*arguments, "--bundle", str(evidence))
        status = verify.main(["receipt", str(file), "--receipt-key", RECEIPTS_KEY.vkey(), *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return redeem


def test_a_receipt_is_checked_without_any_store(redeem: Any) -> None:
    status, printed = redeem(receipt_of(RECORDS[1], RECORDS[2]))
    assert status == 0
    assert "receipt of 2 events" in parts(printed)["Checked"]
    assert "that the events are in the log" in parts(printed)["Stated"]
    assert printed.endswith("VERDICT: SIGNED\n")


def test_an_event_that_was_promised_with_other_salts_is_not_called_altered(redeem: Any) -> None:
    record = next(case["record"] for case in ERASABLE if case["name"] == "values in their places")
    leaves = [leaf(record)]
    body = bundle([(record, proof(0, note(1, leaves=leaves), 1, leaves))])
    assert redeem(receipt_of(record), *PINNED, body=body)[0] == 0
    status, printed = redeem(receipt_of(record | {"digest": "ab" * 32}), *PINNED, body=body)
    assert (status, "another digest each time that it is accepted" in printed) == (3, True)


def test_the_events_of_a_receipt_are_found_in_a_bundle(redeem: Any) -> None:
    text = receipt_of(RECORDS[1], RECORDS[2])
    status, printed = redeem(text, *PINNED, body=honest(3))
    assert (status, printed.splitlines()[-1]) == (0, "VERDICT: VERIFIED")
    assert redeem(text, body=honest(3))[0] == 3  # the key came with the bundle
    assert redeem(text, *PINNED, body=honest(2))[0] == 3
    status, printed = redeem(receipt_of(RECORDS[1], RECORDS[2] | {"digest": "0" * 64}), *PINNED, body=honest(3))
    assert status == 1
    assert f"ALTERED  {RECORDS[2]['event_id']}: it is not what the receipt promised" in printed


def test_no_byte_of_a_receipt_may_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body, file = receipt_of(RECORDS[1]).encode(), tmp_path / "receipt.txt"
    passed = []
    for place in range(len(body)):
        damaged = bytearray(body)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        if verify.main(["receipt", str(file), "--receipt-key", RECEIPTS_KEY.vkey()]) == 0:
            passed.append(place)
    assert passed == []


def test_a_key_of_another_log_does_not_sign_receipts(redeem: Any) -> None:
    another = Notary(RECEIPTS_KEY.name, 6)
    status, printed = redeem(receipt_of(RECORDS[1], signer=another))
    assert status == 3
    assert f"signed by a key of this origin that you did not give: {key_id(another)}\n" in printed
    assert redeem(receipt_of(RECORDS[1], origin="other.example/log"))[0] == 1
    assert redeem(receipt_of(RECORDS[1]), "--key", Notary("other.example/log", 1).vkey(), body=honest(2))[0] == 2
    assert redeem("hello")[0] == 2
    assert redeem(receipt_of())[0] == 2


def test_what_the_store_signs_the_file_reads() -> None:
    from audit.formats import receipt
    from tests.audit.formats.conftest import KEY_OF_RECEIPTS, a_promise

    promise = a_promise()
    receipt_read = verify.read_receipt(
        receipt.sign(promise, KEY_OF_RECEIPTS), [verify.read_key(str(KEY_OF_RECEIPTS), (1,))]
    )
    assert receipt_read.events == promise.events
    assert receipt_read.members["writer"] == promise.writer
