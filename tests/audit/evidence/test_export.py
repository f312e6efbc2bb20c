"""Evidence bundles: made a part at a time, whole or not there, and refused by verify.py where tampered with."""

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client

from audit import tasks
from audit.errors import ExportsOff, Invalid
from audit.evidence import build, export, resumable_zip
from audit.evidence.request import Requester
from audit.formats import note
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Export, Leaf, Record
from audit.visibility import Scope
from tests.attacks.scene import Scene
from tests.audit.conftest import an_event
from tests.audit.evidence.conftest import (
    HOSTILE,
    ME,
    PINNED,
    leaves,
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
def checked(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def checked(where: Path, *arguments: str) -> tuple[int, str]:
        status = verify.main(["evidence", str(where), *(arguments or PINNED)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


@pytest.mark.usefixtures("small_volumes")
def test_a_query_is_exported_whole_and_verifies(checked: Any) -> None:
    correlation = sealed(12)
    bundle = made(query=f"correlation:{correlation}")
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert "12 records checked" in printed
    assert "that no other record matches the query" in printed
    assert len(bundle.volumes) == 3
    expected = Leaf.objects.filter(record_id__in=Record.objects.filter(correlation_id=correlation).values("id"))
    assert leaves(bundle) == sorted(expected.values_list("index", flat=True))


@pytest.mark.usefixtures("small_volumes")
def test_a_range_is_proved_whole(checked: Any) -> None:
    bundle = of_range()
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert f"these are all leaves from {bundle.first} to {bundle.last - 1}" in printed
    assert leaves(bundle) == list(range(bundle.first, bundle.last))


def test_everything_is_a_range() -> None:
    sealed(1)
    assert export.request(Requester(f"a-{secrets.token_hex(4)}"), query="").kind == "range"


def test_a_bundle_verifies_in_an_environment_without_this_site_and_without_a_network(tmp_path: Path) -> None:
    bundle = of_correlation(with_csv=True)
    with zipfile.ZipFile(path(bundle)) as whole:
        whole.extractall(tmp_path / "bundle")
    command = [sys.executable, "-I", str(tmp_path / "bundle" / "verify.py"), "evidence", str(tmp_path / "bundle")]
    if shutil.which("unshare") and not subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        command = ["unshare", "-rn", *command]
    done = subprocess.run([*command, *PINNED], cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.defpath})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("VERDICT: VERIFIED\n")


def test_keys_that_came_with_the_bundle_are_not_trusted(checked: Any) -> None:
    bundle = of_correlation()
    for arguments in (("--quorum", "0"), PINNED[:2], PINNED[2:]):
        status, printed = checked(path(bundle), *arguments)
        assert status == 3
        given = [option for option in ("--key", "--receipt-key") if option in arguments]
        assert printed.count("FIRST USE") == 2 - len(given)
        names = {"--key": "log signing key", "--receipt-key": "receipt signing key"}
        for option, name in names.items():
            assert (f"NOT COVERED  give the {name}: with {option}," in printed) is (option not in given)


def test_what_is_said_of_the_bundle_is_in_the_manifest(checked: Any) -> None:
    bundle = of_correlation()
    with zipfile.ZipFile(path(bundle)) as whole:
        manifest = json.loads(whole.read("manifest.json"))
        assert hashlib.sha256(whole.read("manifest.json")).hexdigest() == bundle.digest
        assert {"README.html", "manifest.json", "manifest.txt", *manifest["files"]} == set(whole.namelist())
        for name, facts in manifest["files"].items():
            assert hashlib.sha256(whole.read(name)).hexdigest() == facts["sha256"]
        statement = json.loads(whole.read("statement.json"))
    assert manifest["requested_by"] == "tests"
    assert manifest["records"] == 12
    assert manifest["time_zone"] == "UTC"
    assert statement["queue"].keys() == {"waiting", "dead"}
    assert manifest["completeness"]["asserted"][0].startswith("That no other record matches")


def test_making_a_bundle_is_recorded_with_its_digest_before_it_is_ready() -> None:
    bundle = of_correlation()
    acts = Record.objects.filter(correlation_id=f"export-{bundle.pk}").order_by("id")
    assert [act.event_type for act in acts] == ["audit.export.asked", "audit.export.made"]
    assert acts[1].event_data["digest"] == bundle.digest
    export.fetch(bundle, ME, bundle.name)
    assert acts.last().event_type == "audit.export.fetched"


# --- Whoever tampers: with the files alone, or with the key of receipts and everything but the log's key ---


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


MUTATIONS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "one missing": (lambda lines: lines[:2] + lines[3:], "a record of the range is left out"),
    "the last missing": (lambda lines: lines[:-1], "the range ends at leaf"),
    "one twice": (lambda lines: [*lines[:3], lines[2], *lines[3:]], "a record is out of its place, or twice"),
    "two swapped": (lambda lines: [lines[1], lines[0], *lines[2:]], "a record is out of its place, or twice"),
    "the content changed": (
        lambda lines: [lines[0].replace(b'"success"', b'"failure"'), *lines[1:]],
        "the digest of the event is not the one that the record names",
    ),
    "a time of the store changed": (
        lambda lines: [lines[0].replace(b'"stored_at":"2026', b'"stored_at":"2025'), *lines[1:]],
        "do not lead to the signed root",
    ),
}


@pytest.mark.parametrize("signs", [False, True], ids=["a stranger", "an insider"])
@pytest.mark.parametrize(("mutate", "words"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_records_that_were_tampered_with_are_refused(
    tmp_path: Path, checked: Any, mutate: Any, words: str, signs: bool
) -> None:
    folder = unpacked(of_range(), tmp_path / "bundle")
    put(folder, mutate(lines_of(folder)))
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
    assert "that none matches is said, not shown" in printed


# --- What is in it ---


def test_what_others_sent_comes_alive_neither_in_a_spreadsheet_nor_in_a_browser(checked: Any) -> None:
    data = {"a": "+1;=1", "b": HOSTILE, "n": 1e-7, "text": "Zürich €\u2028\n", "deep": [[{"": None}]]}
    correlation = sealed(2, actor_id=HOSTILE, resource_id='a;"=1+1', event_action="\uff1d1+1", event_data=data)
    bundle = made(Requester(HOSTILE), query=f"correlation:{correlation}", with_csv=True)
    assert checked(path(bundle))[0] == 0
    with zipfile.ZipFile(path(bundle)) as whole:
        table = list(csv.reader(io.StringIO(whole.read("records-0001.csv").decode("utf-8-sig"))))
        page = whole.read("README.html").decode()
        record = json.loads(whole.read("records-0001.jsonl").splitlines()[0])
    assert len(table) == 3
    assert not [text for row in table for text in row if text.startswith(("=", "+", "-", "@", "\uff1d", "\t", "\r"))]
    assert not [text for row in table for text in row if ";=" in text or ';"=' in text]
    assert record["actor_id"] == HOSTILE
    assert record["event_data"] == data
    assert "<script" not in page
    assert record["stored_at"].endswith("Z")
    assert datetime.fromisoformat(record["event_timestamp"]) == datetime(2026, 8, 18, 10, tzinfo=UTC)


def test_a_bundle_holds_nothing_that_the_one_who_asked_may_not_see() -> None:
    correlation = f"rr-{secrets.token_hex(6)}"
    both = [accept(an_event(correlation_id=correlation), writer=writer) for writer in ("tests", "others")]
    store(both, timeout_s=20)
    seal.Sealer().once()
    narrow = Requester(f"a-{secrets.token_hex(4)}", sight=(Scope(("others",), ()),))
    bundle = made(narrow, query=f"correlation:{correlation}")
    assert bundle.done == 1
    assert bundle.manifest["sees"] == [{"writers": ["others"], "categories": []}]
    with pytest.raises(Invalid, match="range"):
        export.request(narrow, first=0, last=1)
    with pytest.raises(Invalid, match="what you may see has changed"):
        export.fetch(bundle, narrow._replace(sight=()), bundle.name)


def test_what_cannot_be_asked_is_refused_with_the_reason(settings: Any) -> None:
    sealed(1)
    for asked in ({"first": 5, "last": 5}, {"first": -1}, {"last": 2**62}, {"query": "a\x00"}, {"query": "nope:1"}):
        with pytest.raises(Invalid):
            export.request(ME, **asked)
    settings.EXPORT_DIR = None
    with pytest.raises(ExportsOff):
        export.request(ME, query="outcome:failure")


def test_nobody_has_more_than_five_made_at_once() -> None:
    requester = Requester(f"a-{secrets.token_hex(4)}")
    sealed(1)
    for _ in range(5):
        export.request(requester, first=0, last=1)
    with pytest.raises(Invalid, match="5 bundles"):
        export.request(requester, first=0, last=1)


# --- Cut off, cancelled, expired ---


def test_all_bundles_together_are_bounded_by_the_disk_and_by_how_many_are_made(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_VOLUME, settings.EXPORT_MAX_MB, settings.EXPORT_DIR = 4, 1, tmp_path
    bundle = export.request(ME, query=f"correlation:{sealed(12)}")
    (tmp_path / "other.zip").write_bytes(bytes(1_000_001))
    build.resume(bundle)
    assert (bundle.state, bundle.done) == ("failed", 0)
    assert "EXPORT_MAX_MB is 1" in bundle.error
    with pytest.raises(Invalid, match="the bundles here take 1 MB"):
        export.request(ME, first=0, last=1)
    (tmp_path / "other.zip").unlink()
    assert export.reopen(bundle, ME)
    bundle.refresh_from_db()
    assert build.resume(bundle).state == "ready"
    settings.EXPORT_AT_ONCE = 0
    with pytest.raises(Invalid, match="are being made already"):
        export.request(ME, first=0, last=1)


@pytest.mark.usefixtures("small_volumes")
def test_a_bundle_is_made_a_part_at_a_time_and_is_the_same(checked: Any) -> None:
    correlation = sealed(12)
    bundle = export.request(ME, query=f"correlation:{correlation}")
    steps = 0
    while bundle.state in Export.UNDER_WAY:
        # Gone on with after the log has grown, too.
        sealed(1)
        bundle, steps = _volume_at_a_time(bundle), steps + 1
    assert bundle.state == "ready"
    assert steps >= 3
    assert checked(path(bundle))[0] == 0


def _volume_at_a_time(bundle: Export) -> Export:
    """As if the process died at the first row of the second volume."""

    class Killed(Exception):
        pass

    before = bundle.done

    def progress(done: int, total: int | None) -> None:
        if done > before + 5:
            raise Killed

    try:
        return build.resume(bundle, progress=progress)
    except Killed:
        return Export.objects.get(pk=bundle.pk)


@pytest.mark.usefixtures("small_volumes")
def test_a_cancelled_bundle_stops_and_can_be_gone_on_with(checked: Any) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(12)}")

    def progress(done: int, total: int | None) -> None:
        if done == 10:
            assert export.cancel(Export.objects.get(pk=bundle.pk), ME)

    stopped = build.resume(bundle, progress=progress)
    assert (stopped.state, stopped.done) == ("cancelled", 5)
    assert not path(bundle).exists()
    assert not export.cancel(stopped, ME)
    assert build.resume(stopped).state == "cancelled"
    assert export.reopen(stopped, ME)
    again = build.resume(stopped)
    assert again.state == "ready"
    assert checked(path(again))[0] == 0


def test_a_bundle_expires_and_its_files_with_it() -> None:
    bundle, other = of_correlation(), of_correlation()
    past = datetime.now(UTC) - timedelta(seconds=1)
    Export.objects.filter(pk=bundle.pk).update(expires_at=past)
    assert export.remove_expired() >= 1
    bundle.refresh_from_db()
    assert bundle.state == "expired"
    assert not path(bundle).exists()
    assert path(other).exists()
    with pytest.raises(Invalid, match="expired"):
        export.fetch(bundle, ME, bundle.name)


@pytest.mark.usefixtures("small_volumes")
def test_a_bundle_that_was_cut_off_has_the_bytes_of_one_that_was_not(tmp_path: Path, checked: Any) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(12)}", with_csv=True)
    work = build.work_folder(bundle)
    while bundle.state in Export.UNDER_WAY:
        if bundle.volumes:
            with (work / bundle.name).open("ab") as half:
                half.write(secrets.token_bytes(1000))  # as a kill in the middle of a volume may leave it
        bundle = _volume_at_a_time(bundle)
    assert checked(path(bundle))[0] == 0
    expected = tmp_path / "at-once.zip"
    with zipfile.ZipFile(path(bundle)) as cut_off, zipfile.ZipFile(expected, "w") as whole:
        for name in cut_off.namelist():
            with resumable_zip.member(whole, name) as file:
                file.write(cut_off.read(name))
    assert expected.read_bytes() == path(bundle).read_bytes()
    assert not work.exists()


@pytest.mark.usefixtures("small_volumes")
def test_a_bundle_killed_while_the_last_files_are_put_in_is_the_same(
    checked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(6)}")
    add, names = resumable_zip.add, []

    def killed(whole: Any, name: str, file: Path) -> None:
        names.append(name)
        if len(names) == 4:
            raise KeyboardInterrupt
        add(whole, name, file)

    monkeypatch.setattr(resumable_zip, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        build.resume(bundle)
    digest = Export.objects.get(pk=bundle.pk).digest
    made = build.resume(bundle)
    assert (made.state, made.digest) == ("ready", digest)
    assert checked(path(made))[0] == 0
    with zipfile.ZipFile(path(made)) as whole:
        assert len(whole.namelist()) == len({*whole.namelist()})


@pytest.mark.usefixtures("small_volumes")
@pytest.mark.parametrize("lost", ["", ".1"], ids=["the zip", "the list of the zip"])
def test_a_bundle_whose_files_were_lost_is_begun_anew(checked: Any, lost: str) -> None:
    bundle = _volume_at_a_time(export.request(ME, query=f"correlation:{sealed(12)}"))
    assert bundle.done == 5
    (build.work_folder(bundle) / f"{bundle.name}{lost}").unlink()
    again = build.resume(bundle)
    assert (again.state, again.done, len(again.volumes)) == ("ready", 12, 3)
    assert checked(path(again))[0] == 0


def test_two_processes_do_not_make_one_bundle_twice() -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(2)}")
    with build._locked(build.work_folder(bundle)) as mine:
        assert mine
        assert build.resume(bundle).state == "pending"
    assert build.resume(bundle).state == "ready"


def test_a_record_that_is_gone_ends_the_making_with_its_leaf(elsewhere: Scene, postgres: Any) -> None:
    bundle = export.request(ME, first=10, last=20)
    with psycopg.connect(postgres.url("postgres", f"{elsewhere.name}_now"), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("ALTER TABLE audit_record DISABLE TRIGGER USER")
        superuser.execute("DELETE FROM audit_record WHERE id = (SELECT record_id FROM audit_leaf WHERE index = 15)")
    failed = build.resume(bundle)
    assert failed.state == "failed"
    assert "leaves 10 to 19 only 9 are here" in failed.error


@pytest.mark.slow
def test_a_process_killed_in_the_middle_leaves_no_bundle_and_the_next_one_finishes_it(checked: Any) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(600)}")
    command = [sys.executable, "manage.py", "export", "--resume", str(bundle.pk)]
    environment = os.environ | {"EXPORT_VOLUME": "20"}
    process = subprocess.Popen(command, cwd=FILE.parent, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not 0 < Export.objects.get(pk=bundle.pk).done < 600:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not path(bundle).exists()
    half = Path(django_settings.EXPORT_DIR) / f"{bundle.pk}.partial"
    assert checked(half)[0] == 2
    assert checked(half / bundle.name)[0] == 2
    assert build.resume(bundle).state == "ready"
    status, printed = checked(path(bundle))
    assert status == 0
    assert "600 records checked" in printed


def test_the_schedule_goes_on_with_what_nobody_makes(settings: Any) -> None:
    bundle = export.request(Requester(f"a-{secrets.token_hex(4)}"), query=f"correlation:{sealed(2)}")
    Export.objects.filter(pk=bundle.pk).update(updated_at=datetime(2000, 1, 1, tzinfo=UTC))
    tasks.go_on_with_exports()
    bundle.refresh_from_db()
    assert bundle.state == "ready"
    settings.EXPORT_DIR = None
    assert tasks.go_on_with_exports() == "no bundles are made here"


def test_the_application_cannot_delete_what_is_known_of_bundles() -> None:
    from django.db import ProgrammingError

    bundle = of_correlation()
    with pytest.raises(ProgrammingError, match="permission denied"), connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_export WHERE id = %s", [bundle.pk])


def figures() -> dict[str, float]:
    """What /metrics says of bundles."""
    lines = Client().get("/metrics").content.decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if "audit_export" in line)
        if not name.startswith("#")
    }


def test_bundles_that_failed_and_those_that_do_not_move_are_metrics() -> None:
    before = figures()
    whole = build.resume(export.request(Requester("metrics"), query=f"correlation:{sealed(3)}"))
    stuck, failed = (export.request(Requester("metrics"), query=f"correlation:{sealed(1)}") for _ in range(2))
    Export.objects.filter(pk=stuck.pk).update(updated_at=datetime.now(UTC) - timedelta(hours=2))
    Export.objects.filter(pk=failed.pk).update(state="failed", ended_at=datetime.now(UTC))
    after = figures()
    assert after["audit_export_records_total"] - before["audit_export_records_total"] == whole.done == 3
    assert after['audit_exports{state="failed"}'] - before['audit_exports{state="failed"}'] == 1
    assert after["audit_export_still_seconds"] > 7000
    export.cancel(stuck, Requester("metrics"))


# --- What was received in a time ---


def received_then() -> tuple[datetime, Export]:
    """Two records of a time long ago, one of today between them in the log, and the bundle of that time."""
    moment = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=secrets.randbelow(10**8))
    for now in (moment, datetime.now(UTC), moment + timedelta(seconds=1)):
        early = an_event(event_timestamp=f"{moment:%Y-%m-%dT%H:%M:%SZ}")
        store([accept(early, writer="tests", now=now)], timeout_s=20)
        seal.Sealer().once()
    return moment, made(received=(moment.isoformat(), (moment + timedelta(seconds=2)).isoformat()))


def test_what_was_received_in_a_time_is_a_range_with_all_of_it(checked: Any) -> None:
    moment, bundle = received_then()
    assert bundle.kind == "range"
    assert bundle.received["records"] == 2
    assert bundle.last - bundle.first >= 3
    asked = Record.objects.get(correlation_id=f"export-{bundle.pk}", event_type="audit.export.asked")
    assert asked.event_data["received"] == bundle.received
    status, printed = checked(path(bundle))
    assert status == 0, printed
    assert f"shown: 2 of them were received from {moment:%Y-%m-%dT%H:%M:%S}" in printed
    with zipfile.ZipFile(path(bundle)) as whole:
        assert "that were received from" in whole.read("query.txt").decode()


def test_a_manifest_that_counts_fewer_as_received_then_is_refused(tmp_path: Path, checked: Any) -> None:
    folder = unpacked(received_then()[1], tmp_path / "bundle")
    signed_anew(folder, lambda manifest: manifest["received"].update(records=1))
    status, printed = checked(folder)
    assert status == 1
    assert "2 records of the range were received from" in printed


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (("x", "0s"), "received_since: is neither a span"),
        (("1h", "2h"), "is not after"),
        (("1980-01-01", "1980-01-02"), "no record that is sealed was received"),
    ],
)
def test_a_time_that_cannot_be_asked_for_is_refused(window: tuple[str, str], words: str) -> None:
    sealed(1)
    with pytest.raises(Invalid, match=words):
        export.request(ME, received=window)


def test_one_thing_is_asked_for_at_a_time() -> None:
    sealed(1)
    with pytest.raises(Invalid, match="goes by itself"):
        export.request(ME, query="outcome:failure", first=0)
    with pytest.raises(Invalid, match="goes by itself"):
        export.request(ME, received=("1h", "0s"), first=0)
    with pytest.raises(Invalid, match="you may see those of some"):
        export.request(ME._replace(sight=(Scope(("others",), ()),)), received=("1h", "0s"))
