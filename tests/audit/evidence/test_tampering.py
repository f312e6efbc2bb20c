"""Whoever tampers with a bundle, with the files alone or with the key of receipts, is refused by verify.py."""

import hashlib
import io
import json
import re
import secrets
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.formats import note
from tests.audit.evidence.conftest import (
    PINNED,
    lines_of,
    made,
    of_correlation,
    of_range,
    path,
    put,
    sealed,
    signed_anew,
    unpacked,
)
from tests.auditor import FILE, verify
from tests.servers import RECEIPT_KEY, SEAL_KEY


@pytest.fixture
def stride() -> int:
    """Every so many of the places where a byte is changed."""
    return 1


def test_one_changed_byte_in_any_file_is_found_and_the_file_named(tmp_path: Path, checked: Any, stride: int) -> None:
    folder = unpacked(of_range(3, with_csv=True), tmp_path / "bundle")
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) == 11
    for file in files:
        body = file.read_bytes()
        for place in (0, len(body) // 2, len(body) - 1)[::stride]:
            file.write_bytes(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
            status, printed = checked(folder)
            assert status in (1, 2), (file, place, printed)
            if status == 1 and file.stem != "manifest":
                assert f"{file.relative_to(folder)} was changed" in printed
        file.write_bytes(body)
    assert checked(folder)[0] == 0


def test_one_changed_byte_anywhere_in_the_records_of_the_zip_is_found(
    checked: Any, tmp_path: Path, stride: int
) -> None:
    body = bytearray(path(of_range(2)).read_bytes())
    start = body.index(b'{"event_timestamp"')
    damaged = tmp_path / "damaged.zip"
    for place in range(start, start + 700, 13 * stride):
        body[place] ^= 1
        damaged.write_bytes(body)
        body[place] ^= 1
        assert checked(damaged)[0] == 1


def test_a_zip_in_which_a_file_would_begin_before_its_beginning_is_damaged(checked: Any, tmp_path: Path) -> None:
    body, damaged = path(of_range(2)).read_bytes(), tmp_path / "damaged.zip"
    damaged.write_bytes(body[:40] + body[50:])  # the first of them by ten bytes
    assert checked(damaged) == (2, "cannot be used: the zip of the bundle is damaged or cut off\n")


def one_changed(was: bytes, becomes: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """In the first line that says it: the log may hold records of the site itself between those of a test."""

    def changed(lines: list[bytes]) -> list[bytes]:
        place = next(place for place, line in enumerate(lines) if re.search(was, line))
        return [*lines[:place], re.sub(was, becomes, lines[place], count=1), *lines[place + 1 :]]

    return changed


MUTATIONS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "one missing": (lambda lines: lines[:2] + lines[3:], "a record of the range is left out"),
    "the last missing": (lambda lines: lines[:-1], "the range ends at leaf"),
    "one twice": (lambda lines: [*lines[:3], lines[2], *lines[3:]], "a record is out of its place, or twice"),
    "two swapped": (lambda lines: [lines[1], lines[0], *lines[2:]], "a record is out of its place, or twice"),
    "the content changed": (
        one_changed(b'"success"', b'"failure"'),
        "the digest of the event is not the one that the record names",
    ),
    "a time of the store changed": (
        one_changed(rb'"stored_at":"2\d\d\d', b'"stored_at":"1999'),
        "do not lead to the signed root",
    ),
}


@pytest.mark.parametrize("signs", [False, True], ids=["a stranger", "an insider"])
@pytest.mark.parametrize(("mutate", "words"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_records_that_were_tampered_with_are_refused(
    tmp_path: Path, checked: Any, mutate: Any, words: str, signs: bool
) -> None:
    folder = unpacked(of_range(), tmp_path / "bundle")
    lines = lines_of(folder)
    put(folder, mutate(lines))
    assert lines_of(folder) != lines
    if signs:
        signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert words in printed
    assert ("records-0001.jsonl was changed" in printed) is not signs
    assert printed.endswith("VERDICT: ALTERED\n")


def test_a_range_with_a_record_left_out_and_the_others_renumbered_is_refused(tmp_path: Path, checked: Any) -> None:
    bundle = of_range()
    folder = unpacked(bundle, tmp_path / "bundle")
    rows = [json.loads(line) for line in lines_of(folder)]
    del rows[4]
    for place, row in enumerate(rows):
        row["leaf_index"] = bundle.first + place
    put(folder, [json.dumps(row).encode() + b"\n" for row in rows])

    def shorter(manifest: dict[str, Any]) -> None:
        manifest["records"] -= 1
        manifest["volumes"][0]["count"] -= 1
        manifest["range"]["last"] -= 1

    signed_anew(folder, shorter)
    status, printed = checked(folder)
    assert status == 1
    assert "lead to the signed root" in printed or "the proof is cut off" in printed or "too long" in printed


def test_an_added_record_is_refused_though_the_manifest_counts_it(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    lines = lines_of(folder)
    extra = json.loads(lines[-1]) | {"event_id": "01900000-0000-7000-8000-000000000001"}
    extra["leaf_index"] += 1
    put(folder, [*lines, json.dumps(extra).encode() + b"\n"])
    signed_anew(folder, lambda manifest: manifest["volumes"][0].update(count=13) or manifest.update(records=13))
    status, printed = checked(folder)
    assert status == 1
    assert "its content was changed" in printed or "is not in the log of" in printed


@pytest.mark.parametrize("signs", [False, True], ids=["a stranger", "an insider"])
def test_a_truncated_proof_is_refused(tmp_path: Path, checked: Any, signs: bool) -> None:
    sealed()  # of a log that holds nothing else there is nothing to prove
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    file = folder / "proofs" / "records-0001.txt"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    if signs:
        signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert "the proof is cut off" in printed


def test_a_swapped_manifest_is_refused(tmp_path: Path, checked: Any) -> None:
    folder, other = unpacked(of_range(), tmp_path / "bundle"), unpacked(of_range(), tmp_path / "other")
    shutil.copy(other / "manifest.json", folder)
    status, printed = checked(folder)
    assert status == 1
    assert "manifest.json is not the manifest that was signed" in printed
    shutil.copy(other / "manifest.txt", folder)
    status, printed = checked(folder)
    assert status == 1
    assert "records-0001.jsonl was changed" in printed


@pytest.mark.parametrize("signs", [False, True], ids=["a stranger", "an insider"])
def test_an_older_checkpoint_is_refused(tmp_path: Path, checked: Any, signs: bool) -> None:
    older = unpacked(of_range(), tmp_path / "older")
    folder = unpacked(of_range(), tmp_path / "bundle")
    shutil.copy(older / "checkpoint.txt", folder)
    if signs:
        signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert "checkpoint.txt is an older checkpoint" in printed


def test_a_foreign_key_is_refused(tmp_path: Path, checked: Any) -> None:
    bundle = of_range()
    foreign = note.Signer(RECEIPT_KEY.name, secrets.token_bytes(32))
    status, printed = checked(path(bundle), *PINNED[:2], "--receipt-key", str(foreign))
    assert status == 3
    assert f"NOT COVERED  signed by a key of this origin that you did not give: {key_id(RECEIPT_KEY)}\n" in printed
    assert "ALTERED" not in printed
    foreign = note.Signer(SEAL_KEY.name, secrets.token_bytes(32))
    status, printed = checked(path(bundle), "--key", str(foreign), *PINNED[2:])
    assert status == 3
    assert f"NOT COVERED  signed by a key of this origin that you did not give: {key_id(SEAL_KEY)}\n" in printed
    other_log = note.Signer("other.example/log/receipts", secrets.token_bytes(32))
    status, printed = checked(path(bundle), *PINNED[:2], "--receipt-key", str(other_log.verifier))
    assert status == 1
    assert "signed with a foreign key" in printed


def test_a_file_that_was_changed_is_that_whoever_signed_the_checkpoint(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(of_range(), tmp_path / "bundle")
    (folder / "statement.json").write_bytes(b"{}")
    foreign = note.Signer(SEAL_KEY.name, secrets.token_bytes(32))
    status, printed = checked(folder, "--key", str(foreign), *PINNED[2:])
    assert status == 1
    assert "ALTERED  statement.json was changed" in printed and "NOT COVERED  signed by a key" in printed


def key_id(signer: note.Signer) -> str:
    """The name of a key and its id, as a signature line has them."""
    return f"{signer.name}+{signer.verifier.id.hex()}"


def test_a_file_too_many_or_too_few_is_named(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(of_range(), tmp_path / "bundle")
    (folder / "note.txt").write_text("trust me")
    assert "note.txt is in the bundle, and the manifest does not name it" in checked(folder)[1]
    (folder / "note.txt").unlink()
    (folder / "query.txt").unlink()
    status, printed = checked(folder)
    assert status == 1
    assert "query.txt is missing" in printed


def test_a_file_that_the_manifest_names_and_no_volume_has_is_refused(tmp_path: Path, checked: Any) -> None:
    """Nothing is compared with it, and it lay beside what was VERIFIED: records that the log never had, a table."""
    folder = unpacked(of_range(), tmp_path / "bundle")
    names = ("records-0002.jsonl", "records-0001.csv", "purges.jsonl")
    for name in names:
        (folder / name).write_bytes(lines_of(folder)[0].replace(b'"success"', b'"failure"'))
    signed_anew(folder, lambda manifest: manifest["files"].update({name: {} for name in names}))
    status, printed = checked(folder)
    assert status == 1
    for name in names:
        assert f"ALTERED  {name} is named by the manifest, and is no file of a bundle" in printed


def test_a_table_that_says_something_else_than_the_records_is_refused(tmp_path: Path, checked: Any) -> None:
    bundle = made(query=f"correlation:{sealed(2, actor_id='a;=1+1')}", with_csv=True)
    folder = unpacked(bundle, tmp_path / "bundle")
    file = folder / "records-0001.csv"
    as_before = file.read_text(encoding="utf-8-sig").replace("a;'=1+1", "a;=1+1")
    file.write_text(as_before, encoding="utf-8", newline="")
    signed_anew(folder)
    assert checked(folder)[0] == 0, "a table as bundles had it before is still the same"
    file.write_bytes(file.read_bytes().replace(b",success,", b",failure,", 1))
    signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert "records-0001.csv does not say what records-0001.jsonl says" in printed


# --- What a manifest says of itself: whoever has the key of receipts may sign it, and the records say otherwise ---

LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a kind that nobody checks": (
        lambda manifest: manifest.update(kind="queries"),
        "a bundle is of a query, a range or a",
    ),
    "another query": (
        lambda manifest: manifest["terms"][0].update(equals=["other"]),
        "does not match the query of the bundle",
    ),
    "a query that leaves out what is there": (
        lambda manifest: manifest["terms"][0].update(negated=True),
        "does not match the query of the bundle",
    ),
    "an earlier first event": (
        lambda manifest: manifest.update(first_event="2020-01-01T00:00:00.000000Z"),
        "first_event of the bundle is 2026-08-18T10:00:00.000000Z, the manifest names 2020",
    ),
    "a later last event": (lambda manifest: manifest.update(last_event="2030"), "last_event of the bundle is"),
    "another first leaf": (lambda manifest: manifest.update(first_leaf=-1), "first_leaf of the bundle is"),
    "another last leaf": (lambda manifest: manifest.update(last_leaf=10**9), "last_leaf of the bundle is"),
    "a volume that begins elsewhere": (
        lambda manifest: manifest["volumes"][1].update(first=-1),
        "first of records-0002.jsonl is",
    ),
    "a volume of another time": (
        lambda manifest: manifest["volumes"][1].update(until="9"),
        "until of records-0002.jsonl is",
    ),
    "a later state of the log": (
        lambda manifest: manifest.update(as_of="2030-01-01T00:00:00.000000Z"),
        "the manifest is as of 2030-01-01T00:00:00.000000Z, its checkpoint was signed 20",
    ),
    "a time that is none": (lambda manifest: manifest.update(as_of="now"), "'now' is not a time like"),
}


@pytest.mark.usefixtures("small_volumes")
@pytest.mark.parametrize(("lie", "words"), LIES.values(), ids=LIES.keys())
def test_a_manifest_that_lies_about_its_records_is_refused_though_it_is_signed(
    tmp_path: Path, checked: Any, lie: Any, words: str
) -> None:
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    signed_anew(folder, lie)
    status, printed = checked(folder)
    assert status == 1, printed
    assert words in printed


@pytest.mark.parametrize("changes", [{"volumes": None}, {"terms": [{}]}, {"kind": []}, {"log": []}])
def test_a_manifest_that_lacks_something_ends_in_words_with_every_command(
    tmp_path: Path, checked: Any, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unpacked(of_correlation(), tmp_path / "bundle")
    manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
    body = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(body)
    origin = SEAL_KEY.name
    text = f"auditsite/evidence/v1\n{origin}\n{manifest['id']}\n{hashlib.sha256(body).hexdigest()}\n"
    (folder / "manifest.txt").write_text(note.join(text, [RECEIPT_KEY.sign(text)]), encoding="utf-8")
    assert checked(folder)[0] in (1, 2)
    assert verify.main(["sample", str(folder), str(folder), *PINNED]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_record_that_is_called_something_else_than_sealed_is_refused(tmp_path: Path, checked: Any) -> None:
    """The state is the one member that neither the digest nor the leaf covers."""
    folder = unpacked(of_range(), tmp_path / "bundle")
    put(folder, [line.replace(b'"state":"sealed"', b'"state":"disputed"') for line in lines_of(folder)])
    signed_anew(folder)
    status, printed = checked(folder)
    assert status == 1
    assert "its state is said to be 'disputed'" in printed


def packed_anew(body: bytes, to: Path, method: int, **instead: bytes) -> Path:
    with zipfile.ZipFile(io.BytesIO(body)) as whole, zipfile.ZipFile(to, "w", method) as other:
        for name in whole.namelist():
            other.writestr(name, instead.get(name.split("-")[0], whole.read(name)))
    return to


def test_a_zip_that_was_packed_anew_verifies_and_a_bomb_in_it_is_not_read(tmp_path: Path) -> None:
    body, zeros = path(of_range(2)).read_bytes(), bytes(64 << 20)
    done = subprocess.run(
        [sys.executable, "-I", FILE, "evidence", packed_anew(body, tmp_path / "z", zipfile.ZIP_LZMA), *PINNED],
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout
    bomb = packed_anew(body, tmp_path / "bomb.zip", zipfile.ZIP_DEFLATED, records=zeros)
    done = subprocess.run([sys.executable, "-I", FILE, "evidence", bomb, *PINNED], capture_output=True)
    assert (done.returncode, b"has 67108864 bytes, the manifest names" in done.stdout) == (1, True), done.stdout


def test_a_zip_that_is_damaged_ends_in_words_with_every_command(tmp_path: Path) -> None:
    body = path(of_range(2)).read_bytes()
    with zipfile.ZipFile(io.BytesIO(body)) as whole:
        start = whole.start_dir
    damaged = tmp_path / "damaged.zip"
    for place in range(start, start + 60):
        damaged.write_bytes(body[:place] + bytes([body[place] ^ 255]) + body[place + 1 :])
        assert verify.main(["evidence", str(damaged), *PINNED]) in (0, 1, 2)
    damaged.write_bytes(body[:-9])
    assert verify.main(["sample", str(damaged), str(damaged), *PINNED]) == 2
    for packed in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        again = bytearray(packed_anew(body, damaged, packed).read_bytes())
        again[400:440] = bytes(40)
        damaged.write_bytes(again)
        assert verify.main(["evidence", str(damaged), *PINNED]) in (1, 2)


def test_a_bundle_of_nothing_is_not_called_verified(checked: Any) -> None:
    sealed(1)
    bundle = made(query=f"correlation:{secrets.token_hex(8)}")
    status, printed = checked(path(bundle))
    assert status == 3
    assert "NOT COVERED  the bundle holds no record: that none matches is stated, not checked" in printed
