"""The verifier that is one file: what an auditor runs on records, without this site, and what it must never say."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from tests.auditor import ERASABLE, FILE, W1, W2, Notary, parts, verify
from tests.verify_file.conftest import (
    LEAVES,
    LOG,
    OLD_KEY,
    PINNED,
    RECORDS,
    bundle,
    hashed,
    honest,
    key_id,
    leaf,
    note,
    proof,
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(body: bytes, *arguments: str) -> tuple[int, str]:
        file = tmp_path / "bundle.jsonl"
        file.write_bytes(body)
        status = verify.main([str(file), *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


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


def test_of_records_that_do_not_hold_nothing_is_said_to_be_as_it_was_sealed(run: Any) -> None:
    whole = parts(run(honest(), *PINNED)[1])
    assert "each record is in the log, and as it was sealed" in whole["Checked"]
    assert whole["Stated"] == "that there are no other records\n"
    altered = parts(run(bundle([(RECORDS[0], proof(1, note(11)))]), *PINNED)[1])
    assert "1 records checked" in altered["Checked"]
    assert "as it was sealed" not in altered["Checked"]


def test_a_key_of_another_log_or_another_key_of_this_one_does_not_do(run: Any) -> None:
    assert run(honest(), "--key", Notary("other.example/log", 1).vkey())[0] == 2
    status, printed = run(honest(2), "--key", OLD_KEY.vkey())
    assert status == 3
    assert f"signed by a key of this origin that you did not give: {key_id(LOG)}\n" in printed
    assert "ALTERED" not in printed


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
        assert status != 0 or "the signature of" in parts(printed)["Stated"], place


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
    assert "the signature of w1.example" in parts(run(witnessed, *PINNED)[1])["Stated"]


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
    said = parts(printed)
    assert status == 0
    assert "of 4 erased members the log has commitments" in said["Checked"]
    assert "that 4 members were erased under Art. 17(1)(b) on 2026-11-28, by request 3" in said["Stated"]
    assert "that these erasures were approved" in said["Stated"]


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
