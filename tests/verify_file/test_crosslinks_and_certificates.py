"""Cross-links of a restored log and certificates of purges, as verify.py reads them and what it says of them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.auditor import Notary, parts, verify
from tests.verify_file.conftest import LEAVES, LOG, RECORDS, bundle, leaf, mth, note, proof

NEW = Notary("audit.example/log/resumed-1", 5)
RECEIPTS = Notary("audit.example/log/receipts", 6)
RESTORED, KNOWN = 6, 11
AFTER = [*LEAVES[:RESTORED], *(hashlib.sha256(bytes([number])).digest() for number in range(3))]
"""The leaves of the log that goes on: those that were restored, and others."""
AT = "2026-10-01T00:00:00Z"
TRUSTED, SIGNED_BY = ("--key", LOG.vkey()), ("--receipt-key", RECEIPTS.vkey())
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The exit status and what is printed, by a command of verify.py for a file."""

    def run(way: str, file: Path, *arguments: str) -> tuple[int, str]:
        status = verify.main([*([way] if way else []), str(file), *arguments])
        return status, "".join(capsys.readouterr())

    return run


def head(name: str, size: int, leaves: list[bytes] = LEAVES) -> str:
    return f"{name} {size} {verify.base64.b64encode(mth(leaves[:size])).decode()}"


def crosslink(*signers: Notary, **instead: str) -> str:
    """A cross-link after a restore to 6 leaves of 11; with other values where they are given."""
    values = {
        "restored": head(LOG.name, RESTORED),
        "known": head(LOG.name, KNOWN),
        "continues": NEW.vkey(),
        "at": AT,
        "asked-by": "olga",
        "approved-by": "carla",
        "reason": "the disk burned",
    }
    text = "auditsite/crosslink/v1\n" + "".join(f"{name} {value}\n" for name, value in (values | instead).items())
    return f"{text}\n{''.join(signer.sign(text) for signer in signers or (LOG, NEW))}"


def written(folder: Path, name: str, body: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(body.encode() if isinstance(body, str) else body)
    return file


def of_new(folder: Path) -> Path:
    """A bundle of a restored record, by the log that goes on."""
    checkpoint = note(len(AFTER), leaves=AFTER, signer=NEW)
    items = [(RECORDS[2], proof(2, checkpoint, len(AFTER), AFTER))]
    return written(folder, "bundle.jsonl", bundle(items, [NEW.vkey()], NEW.name))


def test_a_cross_link_says_what_was_cut_and_which_key_goes_on(run: Run, tmp_path: Path) -> None:
    status, printed = run("crosslink", written(tmp_path, "links.txt", crosslink()), *TRUSTED)
    assert (status, printed.splitlines()[-1]) == (0, "VERDICT: VERIFIED")
    said = parts(printed)["Checked"]
    assert "cross-link of 2026-10-01 00:00Z: the log was restored, the disk burned\n" in said
    assert "  asked by olga, approved by carla\n" in said
    assert f"  {LOG.name} had 11: 5 after those are gone\n  it goes on as {NEW.vkey()}\n" in said


def test_with_the_cross_link_the_key_of_before_leads_to_a_bundle_of_now(run: Run, tmp_path: Path) -> None:
    links, found = written(tmp_path, "links.txt", crosslink()), of_new(tmp_path)
    status, printed = run("", found, *TRUSTED)
    assert status == 2
    assert "where the log was restored, give its cross-link with --crosslink" in printed
    status, printed = run("", found, *TRUSTED, "--crosslink", str(links))
    assert (status, printed.splitlines()[-1]) == (0, "VERDICT: VERIFIED")
    assert f"it goes on as {NEW.vkey()}" in printed


def test_what_was_cut_off_is_proved_still(run: Run, tmp_path: Path) -> None:
    links = written(tmp_path, "links.txt", crosslink())
    found = written(tmp_path, "bundle.jsonl", bundle([(RECORDS[9], proof(9, note(11)))]))
    assert run("", found, *TRUSTED, "--crosslink", str(links))[0] == 0


STRANGER = Notary(LOG.name, 9)
BROKEN: dict[str, tuple[str, str]] = {
    "changed": (crosslink().replace("the disk burned", "a planned move"), "a signature of"),
    "not by a key of before": (crosslink(STRANGER, NEW), "no key that you trust has signed the cross-link"),
    "not by the new key": (crosslink(LOG), "the key that goes on has not signed the cross-link"),
    "at no time": (crosslink(at="yesterday"), "'yesterday' is no time of a cross-link"),
    "with no head": (crosslink(restored=f"{LOG.name} six x"), "is no head: name, leaves, root"),
    "without a member": (crosslink().replace("known ", "knew "), "and has its members in their order"),
    "of nothing": ("auditsite/crosslink/v1", "a checkpoint is text, a blank line, and signature lines"),
}


@pytest.mark.parametrize(("text", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_cross_link_that_does_not_hold_teaches_nothing(run: Run, tmp_path: Path, text: str, words: str) -> None:
    links = written(tmp_path, "links.txt", text)
    status, printed = run("crosslink", links, *TRUSTED)
    assert (status, words in printed) == (2, True), printed
    status, printed = run("", of_new(tmp_path), *TRUSTED, "--crosslink", str(links))
    assert (status, words in printed) == (2, True), printed


def later(name: Notary, size: int, moment: int, leaves: list[bytes]) -> str:
    """A checkpoint that was signed at a moment."""
    text = f"{name.name}\n{size}\n{verify.base64.b64encode(mth(leaves[:size])).decode()}\n"
    return f"{text}\n{name.sign(text)}{name.cosign(text, moment)}"


BEFORE_IT, AFTER_IT = 1_790_000_000, 1_800_000_000
MORE = [*LEAVES, leaf(RECORDS[0])]


@pytest.mark.parametrize(
    ("checkpoint", "size", "leaves", "words"),
    [
        (later(LOG, 12, BEFORE_IT, MORE), 12, MORE, "and the cross-link knew of less"),
        (later(LOG, 11, AFTER_IT, LEAVES), 11, LEAVES, "was closed by a cross-link, and has signed a checkpoint after"),
    ],
    ids=["more than was known", "signed after it was closed"],
)
def test_a_checkpoint_that_the_cross_link_does_not_explain_is_told(
    run: Run, tmp_path: Path, checkpoint: str, size: int, leaves: list[bytes], words: str
) -> None:
    links = written(tmp_path, "links.txt", crosslink())
    found = written(tmp_path, "bundle.jsonl", bundle([(RECORDS[2], proof(2, checkpoint, size, leaves))]))
    status, printed = run("", found, *TRUSTED, "--crosslink", str(links))
    assert (status, words in printed) == (1, True), printed
    assert run("", found, *TRUSTED)[0] == 0, "without the cross-link nothing is known of it"


# --- Certificates of purges ---

RANGES = [[600, 603], [607, 609]]


def certificate(signer: Notary = RECEIPTS, **instead: Any) -> str:
    facts = {
        "plan": 17,
        "system": "Audit store",
        "asked_by": "ann",
        "asked_at": "2026-11-01T00:00:00.000000Z",
        "reason": "their time is over",
        "approved_by": "ben",
        "approved_at": "2026-11-02T00:00:00.000000Z",
        "run_by": "ben",
        "cut": "2026-11-01T00:00:00.000000Z",
        "records": 5,
        "ranges": 2,
        "named": RANGES,
        "ranges_sha256": hashlib.sha256(b"600 603\n607 609\n").hexdigest(),
        "counts": {"gateway": {"2019-10": 3, "2019-11": 1}, "auth": {"2019-11": 1}},
        "made_at": "2026-11-03T00:00:00.000000Z",
    }
    text = f"auditsite/purge/v1\n{LOG.name}\n{json.dumps(facts | instead, sort_keys=True)}\n"
    return f"{text}\n{signer.sign(text)}"


def test_a_certificate_says_what_was_removed_by_whom_and_why(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "certificate.txt", certificate())
    status, printed = run("purge", file, *SIGNED_BY, "--leaf", "602")
    assert (status, printed.splitlines()[-1]) == (0, "VERDICT: SIGNED"), printed
    said = parts(printed)
    assert "PURGED  leaf 602: it is among what the certificate says was removed\n" in said["Checked"]
    assert "5 records of 2 ranges of leaves, due at 2026-11-01T00:00:00.000000Z\n" in said["Stated"]
    assert "  auth: 1, stored in 2019-11 to 2019-11\n  gateway: 4, stored in 2019-10 to 2019-11\n" in said["Stated"]
    assert "requested by ann at 2026-11-01T00:00:00.000000Z: their time is over\n" in said["Stated"]
    assert "that these records were due and held by nobody; the leaves are in the log as before\n" in said["Stated"]


def test_a_certificate_names_the_archives_or_says_why_there_is_none(run: Run, tmp_path: Path) -> None:
    archive = {"archive": "0a", "digest": "0b", "first": 512, "last": 1024, "checked_at": "2026-11-01T00:00:00.000000Z"}
    file = written(tmp_path, "certificate.txt", certificate(archives=[archive], without_archive=""))
    status, printed = run("purge", file, *SIGNED_BY)
    assert status == 0
    told = "the archive 0a holds leaves 512 to 1023, by its check of 2026-11-01T00:00:00.000000Z\n"
    assert told in parts(printed)["Stated"] and "no archive" not in printed
    file = written(tmp_path, "certificate.txt", certificate(archives=[], without_archive="copies lie elsewhere"))
    status, printed = run("purge", file, *SIGNED_BY)
    assert "no archive of it was needed: copies lie elsewhere\n" in parts(printed)["Stated"]


def test_a_leaf_that_a_certificate_does_not_name_is_not_covered(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "certificate.txt", certificate())
    for place in ("599", "603", "606", "609"):
        status, printed = run("purge", file, *SIGNED_BY, "--leaf", place)
        assert (status, f"leaf {place} is not among what it says was removed" in printed) == (3, True), printed


def test_ranges_that_a_certificate_does_not_name_are_given_beside_it(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "certificate.txt", certificate(named=RANGES[:1]))
    assert run("purge", file, *SIGNED_BY)[0] == 0
    status, printed = run("purge", file, *SIGNED_BY, "--leaf", "608")
    assert (status, "it names 1 of its 2 ranges: give all of them with --ranges" in printed) == (3, True), printed
    ranges = written(tmp_path, "ranges.txt", "600 603\n607 609\n")
    assert run("purge", file, *SIGNED_BY, "--leaf", "608", "--ranges", str(ranges))[0] == 0
    ranges = written(tmp_path, "ranges.txt", "600 603\n607 610\n")
    status, printed = run("purge", file, *SIGNED_BY, "--ranges", str(ranges))
    assert (status, "these ranges are not those that it was signed for" in printed) == (1, True), printed
    ranges = written(tmp_path, "ranges.txt", "600 603\nand more\n")
    status, printed = run("purge", file, *SIGNED_BY, "--ranges", str(ranges))
    assert (status, "its ranges are not lines of two numbers, FIRST LAST" in printed) == (2, True), printed


WRONG: dict[str, tuple[str, int, str]] = {
    "changed": (certificate().replace('"records": 5', '"records": 6'), 1, "a signature of"),
    "by another key of the name": (certificate(Notary(RECEIPTS.name, 9)), 3, "signed by a key of this origin that you"),
    "by another log": (certificate(Notary("other.example/receipts", 9)), 1, "that you trust has signed this"),
    "counted wrong": (certificate(records=4), 1, "have not as many log entries as it says records were removed"),
    "of other ranges": (certificate(named=[[600, 603], [607, 610]]), 1, "are not those that it was signed for"),
    "lacking its counts": (certificate(counts=None), 2, "lacks something that it should have"),
    "of two lines": (certificate().replace("\n\n", "\nand more\n\n"), 2, "this is no certificate of a purge"),
}


@pytest.mark.parametrize(("text", "status", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_certificate_that_does_not_hold_is_refused(
    run: Run, tmp_path: Path, text: str, status: int, words: str
) -> None:
    found, printed = run("purge", written(tmp_path, "certificate.txt", text), *SIGNED_BY)
    assert (found, words in printed) == (status, True), printed
