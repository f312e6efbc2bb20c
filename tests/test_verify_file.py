"""verify.py, the file for an auditor's laptop, against logs that this file builds by itself."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.auditor import ERASABLE, FILE, VECTORS, W1, W2, Notary, verify

LOG, OLD_KEY = Notary("audit.example/log", 1), Notary("audit.example/log", 2)


def mth(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(leaves[:middle]) + mth(leaves[middle:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if index < middle:
        return [*path(index, leaves[:middle]), mth(leaves[middle:])]
    return [*path(index - middle, leaves[middle:]), mth(leaves[:middle])]


def hashed(value: Any) -> bytes:
    return hashlib.sha256(b"\x00" + rfc8785.dumps(value)).digest()


def a_record(number: int) -> dict[str, Any]:
    event = {
        "event_id": f"01900000-0000-7000-8000-{number:012d}",
        "writer": "tests",
        "event_type": "gateway.signal.received",
        "event_data": {"text": "Zürich €", "number": 1.5 + number, "small": 1e-7, "nested": [True, None, {"": 0}]},
        "correlation_id": f"rr-{number}",
    }
    moment = f"2026-08-18T10:00:{number:02d}.000001Z"
    store = {"received_at": moment, "parked_at": moment if number == 3 else None, "stored_at": moment}
    return event | store | {"digest": hashed(event).hex(), "state": "sealed"}


def leaf(record: dict[str, Any]) -> bytes:
    return hashed({name: record[name] for name in ("digest", "event_id", "parked_at", "received_at", "stored_at")})


RECORDS = [a_record(number) for number in range(11)]
LEAVES = [leaf(record) for record in RECORDS]


def note(size: int, *lines: Any, leaves: list[bytes] = LEAVES, signer: Notary = LOG) -> str:
    text = f"{signer.name}\n{size}\n{base64.b64encode(mth(leaves[:size])).decode()}\n"
    made = [signer.sign(text), signer.cosign(text, 1_790_000_000), *(make(text) for make in lines)]
    return f"{text}\n{''.join(made)}"


def proof(index: int, checkpoint: str, size: int = 11, leaves: list[bytes] = LEAVES) -> str:
    hashes = [base64.b64encode(value).decode() for value in path(index, leaves[:size])]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {index}", *hashes, "", checkpoint])


def bundle(items: list[tuple[dict[str, Any], str]], keys: list[str] | None = None) -> bytes:
    header = {"bundle": "auditsite/v1", "keys": keys or [LOG.vkey()], "origin": LOG.name}
    lines = [header, *({"record": record, "proof": text} for record, text in items)]
    body = b"".join(rfc8785.dumps(line) + b"\n" for line in lines)
    end = {"records": len(items), "sha256": hashlib.sha256(body).hexdigest()}
    return body + rfc8785.dumps(end) + b"\n"


def honest(count: int = 11, *lines: Any) -> bytes:
    checkpoint = note(11, *lines)
    return bundle([(RECORDS[index], proof(index, checkpoint)) for index in range(count)])


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(body: bytes, *arguments: str) -> tuple[int, str]:
        file = tmp_path / "bundle.jsonl"
        file.write_bytes(body)
        status = verify.main([str(file), *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


PINNED = ("--key", LOG.vkey())


def test_an_honest_bundle_is_verified_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "bundle.jsonl"
    file.write_bytes(honest())
    command = [sys.executable, "-I", str(FILE), str(file), *PINNED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("VERDICT: VERIFIED\n")
    assert "11 records checked" in done.stdout
    assert "signed 2026-09-21" in done.stdout
    assert "that there are no other records" in done.stdout


def test_a_key_that_came_with_the_bundle_is_not_trusted(run: Any) -> None:
    status, printed = run(honest())
    assert status == 3
    assert "FIRST USE" in printed
    assert LOG.vkey() in printed
    assert printed.endswith("VERDICT: NOT COVERED\n")


def test_a_key_of_another_log_or_another_key_of_this_one_does_not_do(run: Any) -> None:
    assert run(honest(), "--key", Notary("other.example/log", 1).vkey())[0] == 2
    status, printed = run(honest(2), "--key", OLD_KEY.vkey())
    assert status == 3
    assert f"signed by a key of this origin that you did not give: {key_id(LOG)}\n" in printed
    assert "ALTERED" not in printed


def key_id(signer: Notary) -> str:
    """The name of a key and its id, as a signature line has them."""
    return signer.vkey().rpartition("+")[0]


def test_a_key_that_was_given_must_have_signed_well_whoever_else_signed(run: Any) -> None:
    def in_the_name_of_the_log(text: str) -> str:
        return OLD_KEY.sign(f"{text}x")  # a signature of other bytes

    both = ("--key", LOG.vkey(), "--key", OLD_KEY.vkey())
    signed_badly = honest(2, in_the_name_of_the_log)
    assert run(signed_badly, *PINNED)[0] == 0  # by a key that was given; the other's is not looked at
    status, printed = run(signed_badly, *both)
    assert status == 1
    assert "ALTERED" in printed and "a signature of audit.example/log does not hold" in printed
    assert run(signed_badly, "--key", OLD_KEY.vkey())[0] == 1


def test_a_checkpoint_without_any_signature_of_the_log_is_altered(run: Any) -> None:
    text, blank, _ = note(11).rpartition("\n\n")
    only_witnessed = f"{text}{blank}{W1.cosign(text + chr(10), 1_790_000_100)}"
    status, printed = run(bundle([(RECORDS[1], proof(1, only_witnessed))]), *PINNED, "--witness", W1.vkey(4))
    assert status == 1
    assert "no key of the log audit.example/log that you trust has signed the checkpoint" in printed


def test_keys_come_from_a_file_and_old_ones_count(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# the log's keys\n\n{LOG.vkey()}\n{OLD_KEY.vkey()}\n")
    old = [(RECORDS[2], proof(2, note(11, signer=OLD_KEY)))]
    assert run(bundle(old), "--keys", str(file))[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.long) for turn in range(1, 8))])
def test_no_bit_of_a_bundle_may_change(tmp_path: Path, turn: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One bit of every byte, another one of the next byte; all eight turns together are every bit."""
    body = honest(1, lambda text: W1.cosign(text, 5))
    file = tmp_path / "bundle.jsonl"
    passed = []
    for place in range(len(body)):
        damaged = bytearray(body)
        damaged[place] ^= 1 << (place + turn) % 8
        file.write_bytes(damaged)
        if verify.main([str(file), *PINNED]) == 0:
            passed.append(place)
        capsys.readouterr()
    assert passed == []


@pytest.mark.slow
def test_no_bit_may_change_where_the_digest_of_the_bundle_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What protects against people is the signature, not the last line."""
    body = honest(1)
    cut = body.rindex(b'{"records"')
    file = tmp_path / "bundle.jsonl"
    header = body.index(b"\n") + 1  # claims of keys, which a pinned key overrides
    for place in range(header, cut):
        damaged = bytearray(body[:cut])
        damaged[place] ^= 1
        end = {"records": 1, "sha256": hashlib.sha256(damaged).hexdigest()}
        file.write_bytes(bytes(damaged) + rfc8785.dumps(end) + b"\n")
        status = verify.main([str(file), *PINNED])
        printed = capsys.readouterr().out
        # A signature line of the log that became a stranger's leaves the other one, and is named.
        assert status != 0 or "not checked: the signature of" in printed, place


ALTERATIONS: dict[str, Any] = {
    "its content": lambda record: record["event_data"].update(text="Zurich"),
    "its correlation": lambda record: record.update(correlation_id="rr-other"),
    "its time of storage": lambda record: record.update(stored_at="2026-08-18T11:00:00.000001Z"),
    "that it was parked": lambda record: record.update(parked_at="2026-08-18T10:00:00.000001Z"),
    "a field that was not there": lambda record: record.update(severity="low"),
    "its writer": lambda record: record.update(writer="somebody"),
}


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_an_altered_record_is_named(run: Any, alter: Any) -> None:
    record = json.loads(json.dumps(RECORDS[4]))
    alter(record)
    status, printed = run(bundle([(RECORDS[3], proof(3, note(11))), (record, proof(4, note(11)))]), *PINNED)
    assert status == 1
    assert f"ALTERED  {record['event_id']}" in printed
    assert printed.endswith("VERDICT: ALTERED\n")


def test_a_record_altered_together_with_its_digest_is_named(run: Any) -> None:
    event = {name: value for name, value in RECORDS[4].items() if name not in verify.STORE_MEMBERS}
    event["correlation_id"] = "rr-other"
    record = RECORDS[4] | event | {"digest": hashed(event).hex()}
    assert run(bundle([(record, proof(4, note(11)))]), *PINNED)[0] == 1


def test_proofs_of_others_do_not_do(run: Any) -> None:
    swapped = [(RECORDS[1], proof(2, note(11))), (RECORDS[2], proof(1, note(11)))]
    status, printed = run(bundle(swapped), *PINNED)
    assert status == 1
    assert printed.count("ALTERED  ") == 2


def test_two_trees_of_one_size_are_a_fork(run: Any) -> None:
    other = [*LEAVES[:-1], hashed("another end")]
    items = [(RECORDS[1], proof(1, note(11))), (RECORDS[1], proof(1, note(11, leaves=other), leaves=other))]
    status, printed = run(bundle(items), *PINNED)
    assert status == 1
    assert printed.endswith("VERDICT: FORKED\n")


def test_witnesses_count_when_asked_for(run: Any) -> None:
    witnessed = honest(2, lambda text: W1.cosign(text, 1_790_000_100))
    both = ("--witness", W1.vkey(4), "--witness", W2.vkey(4))
    assert run(witnessed, *PINNED, "--witness", W1.vkey(4))[0] == 0
    assert run(witnessed, *PINNED, *both)[0] == 3
    assert run(witnessed, *PINNED, *both, "--quorum", "1")[0] == 0
    assert "cosigned by w1.example" in run(witnessed, *PINNED, *both, "--quorum", "1")[1]
    assert run(witnessed, *PINNED, *both, "--quorum", "3")[0] == 2
    forged = honest(2, lambda text: W1.cosign(text + "x", 5))
    assert run(forged, *PINNED, "--witness", W1.vkey(4))[0] == 1
    assert "not checked: the signature of w1.example" in run(witnessed, *PINNED)[1]


@pytest.mark.parametrize("case", ERASABLE, ids=[case["name"] for case in ERASABLE])
def test_each_value_that_can_be_erased_is_compared_with_its_commitment(case: dict[str, Any]) -> None:
    try:
        verify.leaf_of(case["record"])
        fault = ""
    except verify.Altered as error:
        fault = str(error)
    assert fault == case["fault"]


def test_a_record_of_which_something_was_erased_is_verified_and_says_so(run: Any) -> None:
    record = next(case["record"] for case in ERASABLE if case["name"] == "all values were erased")
    leaves = [leaf(record)]
    status, printed = run(bundle([(record, proof(0, note(1, leaves=leaves), 1, leaves))]), *PINNED)
    assert (status, printed.count("\n4 members erased under Art. 17(1)(b) on 2026-11-28, by request 3")) == (0, 1)
    assert "not shown: why they were erased" in printed


def test_a_file_that_another_command_verifies_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for body, command in ((b"PK\x03\x04", "evidence"), (b"auditsite/statement/v1\n", "statement")):
        file = tmp_path / "bundle"
        file.write_bytes(body)
        assert verify.main([str(file), "--key", LOG.vkey()]) == 2
        assert f"run verify.py {command} bundle" in capsys.readouterr().err


def test_an_empty_bundle_covers_nothing(run: Any) -> None:
    assert run(bundle([]), *PINNED)[0] == 3


def test_one_record_with_its_proof(tmp_path: Path) -> None:
    record, evidence = tmp_path / "r.json", tmp_path / "r.tlog-proof"
    record.write_text(json.dumps(RECORDS[5], indent=2))
    evidence.write_text(proof(5, note(11)))
    assert verify.main(["--record", str(record), "--proof", str(evidence), *PINNED]) == 0
    assert verify.main(["--record", str(record), "--proof", str(evidence)]) == 2
    evidence.write_text(proof(5, note(11)).replace("index 5\n", "extra aGVsbG8=\nindex 5\n"))
    assert verify.main(["--record", str(record), "--proof", str(evidence), *PINNED]) == 0


def test_many_records_with_a_directory_of_proofs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tmp_path / "records.jsonl"
    records.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    for index, record in enumerate(RECORDS):
        (tmp_path / f"{record['event_id']}.tlog-proof").write_text(proof(index, note(11)))
    arguments = ["--records", str(records), "--proofs", str(tmp_path), *PINNED]
    assert verify.main(arguments) == 0
    (tmp_path / f"{RECORDS[7]['event_id']}.tlog-proof").unlink()
    assert verify.main(arguments) == 3
    assert f"NOT COVERED  {RECORDS[7]['event_id']}" in capsys.readouterr().out


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
    assert "receipt of 2 events" in printed
    assert "not shown: that the events are in the log" in printed
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


MALFORMED = {
    "nothing": b"",
    "not JSON": b"hello\n",
    "not UTF-8": b"\xff\xfe\n",
    "half a character": b'{"bundle":"\\ud800","keys":[],"origin":""}\n',
    "deep": b"[" * 100_000 + b"\n",
    "a long number": honest(1).replace(b'"index', b'"index').replace(b"1.5", b"1" * 400),
    "cut off": honest(2)[:-80],
    "without the last line": honest(2)[: honest(2).rindex(b'{"records"')],
    "another version": honest(1).replace(b"auditsite/v1", b"auditsite/v2"),
    "more after the end": honest(1) + b"{}\n",
    "no keys": bundle([], keys=[""]),
    "spaces": honest(1).replace(b'":"', b'": "', 1),
    "a name twice": honest(1).replace(b'{"bundle"', b'{"bundle":"x","bundle"'),
    "a record that is a list": bundle([([], proof(1, note(11)))]),  # type: ignore[list-item]
    "a record without a digest": bundle([({"state": "sealed"}, proof(1, note(11)))]),
    "a record that is not sealed": bundle([(RECORDS[1] | {"state": "stored"}, proof(1, note(11)))]),
    "a time that is none": bundle([(RECORDS[1] | {"stored_at": 5}, proof(1, note(11)))]),
    "a proof that is none": bundle([(RECORDS[1], "hello")]),
    "a checkpoint that is none": bundle([(RECORDS[1], proof(1, "hello\n\nworld\n"))]),
    "a size that is none": bundle([(RECORDS[1], proof(1, note(11).replace("\n11\n", "\n011\n")))]),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_said_to_be_and_never_verified(run: Any, body: bytes) -> None:
    for arguments in (PINNED, ()):
        status, printed = run(body, *arguments)
        assert status == 2
        assert "cannot be used" in printed
        assert "Traceback" not in printed


@pytest.mark.parametrize("arguments", [[], ["--record", "x"], ["b", "--records", "r", "--proofs", "p"], ["--nonsense"]])
def test_arguments_that_do_not_fit_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        verify.main(arguments)
    assert ended.value.code == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(tmp_path / "absent.jsonl"), *PINNED]) == 2
    assert "absent.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_canonical_form_is_as_published(case: dict[str, str]) -> None:
    assert verify.canonical(json.loads(case["input"])).hex() == case["canonical_hex"]


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_canonical_form_is_the_one_of_another_implementation(value: Any) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)


def test_the_published_proof_verifies() -> None:
    from tests.audit.formats.conftest import LOG_KEY as KEY
    from tests.audit.formats.conftest import PROOF, WITNESS

    proof_read = verify.read_proof(PROOF)
    trust = verify.Trust([verify.read_key(KEY, (1,))], [verify.read_key(WITNESS, (4,))], 1)
    checkpoint = trust.checkpoint(proof_read.note)
    leaf_hash = hashlib.sha256(b"\x00" + bytes.fromhex("40414243")).digest()
    verify.check_inclusion(leaf_hash, proof_read.index, checkpoint.size, proof_read.hashes, checkpoint.root)
    assert checkpoint.witnessed == {"witness.example/w1": 1679315147}
