"""Checkpoints in a verification: those of one size are taken in portions, and none past what a part covers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from audit.formats import note
from audit.ledger import anchor, keys, reader, resume, verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.ledger.verify import checkpoints, leaves, unsealed
from audit.models import Verification
from tests.attacks.catalogue import statement
from tests.attacks.scene import Scene, send
from tests.servers import SEAL_KEY


def sign_again(superuser: psycopg.Connection[Any], times: int) -> int:
    """Sign the end of the log so many times more, as an idle log is; return the number of the first."""
    head, signer = reader.signed_head(), keys.load().signer
    assert signer is not None
    text = note.TreeHead(signer.name, head.size, bytes(head.root)).text
    for number in range(head.number + 1, head.number + 1 + times):
        at = head.created_at.replace(microsecond=0)
        signed = note.join(text, [signer.sign(text), signer.cosign(text, int(at.timestamp()))])
        superuser.execute(
            "INSERT INTO audit_checkpoint VALUES (%s, %s, %s, %s, %s)", [number, head.size, head.root, signed, at]
        )
    superuser.execute(
        "UPDATE audit_head SET kept = true, (number, note, created_at) = (SELECT number, note, created_at"
        " FROM audit_checkpoint ORDER BY number DESC LIMIT 1)"
    )
    return head.number + 1


@pytest.fixture
def few_checkpoints(small_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHUNK", 5)
    monkeypatch.setattr(leaves, "CHECKPOINTS", 10)


def in_parts(run: Verification) -> list[Verification]:
    """The run after each part of it, to its end."""
    parts = []
    while run.ended_at is None:
        run = verify.resume(Verification.objects.get(pk=run.pk), seconds=-1)
        parts.append(run)
        assert len(parts) < 100
    return parts


def test_checkpoints_of_one_size_are_taken_in_portions_and_each_once(
    store: psycopg.Connection[Any], few_checkpoints: None
) -> None:
    first = sign_again(store, 95)
    send(20)
    Sealer().once(from_start=True)
    parts = in_parts(verify.begin(requested_by="somebody"))
    assert parts[-1].verdict == "VERIFIED"
    assert [parts[-1].counts[name] for name in ("records", "leaves", "roots")] == [620, 620, first + 96]
    assert parts[-1].counts["checkpoints"] == first + 96
    places = [part.checkpoints_position for part in parts if part.position == 600]
    assert len(places) >= 9 and places == sorted(set(places)), "each part goes on where the one before ended"


def test_what_is_wrong_among_checkpoints_of_one_size_is_found_by_a_run_in_parts(
    store: psycopg.Connection[Any], few_checkpoints: None
) -> None:
    first = sign_again(store, 50)
    statement(f"UPDATE audit_checkpoint SET root = sha256('') WHERE number = {first + 33}")(store, None)  # type: ignore[arg-type]
    statement(f"DELETE FROM audit_checkpoint WHERE number = {first + 41}")(store, None)  # type: ignore[arg-type]
    parts = in_parts(verify.begin(requested_by="somebody"))
    assert (parts[-1].verdict, parts[-1].counts["checkpoints"]) == ("ALTERED", first + 49)
    found = {(finding.kind, finding.index) for finding in parts[-1].findings.all()}
    assert found == {("ALTERED", first + 33), ("MISSING", first + 41)}


def test_checkpoints_that_nobody_signed_are_taken_in_portions_too(
    store: psycopg.Connection[Any], few_checkpoints: None
) -> None:
    first = sign_again(store, 50)
    forged = f"UPDATE audit_checkpoint SET note = replace(note, '+', '/') WHERE number >= {first}"
    statement(forged)(store, None)  # type: ignore[arg-type]
    parts = in_parts(verify.begin(requested_by="somebody"))
    places = [part.checkpoints_position for part in parts if part.position == 600]
    assert len(places) >= 5 and parts[-1].verdict == "FORKED"


@pytest.fixture
def anchored(settings: Any, tmp_path: Path) -> Path:
    """An anchor of a file and a folder, each with 40 checkpoints of one size; a line of the file is torn."""
    settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_DIR = tmp_path / "anchor.jsonl", tmp_path / "days"
    settings.SEAL_ANCHOR_DIR.mkdir()
    head = reader.signed_head()
    text = reader.full_note(head)
    for number in range(40):
        anchor.anchor(head, text)
        head.number += 1
        if number == 20:
            with settings.SEAL_ANCHOR_FILE.open("a") as file:
                file.write('{"note": "torn\n')
    return tmp_path / "anchor.jsonl"


def test_anchored_checkpoints_of_one_size_are_taken_in_portions_and_each_once(
    store: psycopg.Connection[Any], few_checkpoints: None, anchored: Path
) -> None:
    parts = in_parts(verify.begin(requested_by="somebody"))
    counts = parts[-1].counts
    assert (parts[-1].verdict, counts["anchored checkpoints"], counts[checkpoints.TORN]) == ("VERIFIED", 80, 1)
    torn = [text for text in parts[-1].not_covered if "of the anchor are torn" in text]
    assert len(torn) == 1 and torn[0].startswith("1 checkpoints")
    places = [part.anchor_place for part in parts if part.position == 600]
    assert len(set(places)) >= 8, "each part goes on where the one before ended"
    assert places[-1].startswith(anchor.IN_FOLDER)


def test_what_is_wrong_among_anchored_checkpoints_of_one_size_is_found_by_a_run_in_parts(
    store: psycopg.Connection[Any], few_checkpoints: None, anchored: Path
) -> None:
    lines, signer = anchored.read_bytes().splitlines(keepends=True), keys.load().signer
    assert signer is not None
    text = note.TreeHead(signer.name, reader.signed_size(), bytes(32)).text
    lines[33] = json.dumps({"note": note.join(text, [signer.sign(text)])}).encode() + b"\n"
    anchored.write_bytes(b"".join(lines))
    parts = in_parts(verify.begin(requested_by="somebody"))
    assert parts[-1].verdict == "FORKED"
    assert ["line 34" in finding.detail for finding in parts[-1].findings.all()] == [True]


def test_a_part_of_the_log_passes_over_anchored_checkpoints_of_other_sizes_in_portions(
    store: psycopg.Connection[Any], few_checkpoints: None, anchored: Path
) -> None:
    parts = in_parts(verify.begin("range", first=0, last=120, requested_by="somebody"))
    assert parts[-1].verdict == "VERIFIED"
    assert "anchored checkpoints" not in parts[-1].counts
    assert len({part.anchor_place for part in parts}) >= 2


def test_an_anchor_that_was_cut_off_meanwhile_is_read_from_its_beginning(
    store: psycopg.Connection[Any], anchored: Path
) -> None:
    entries = list(anchor.anchored())
    assert [entry.where for entry in anchor.anchored(entries[-2].place)] == [entries[-1].where]
    assert len(list(anchor.anchored(entries[30].place))) == len(entries) - 31
    anchored.write_bytes(anchored.read_bytes().splitlines(keepends=True)[0])
    assert next(entry.where for entry in anchor.anchored(entries[30].place)) == "anchor.jsonl line 1"
    with anchored.open("ab") as file:
        file.write(b'{"note": "being written')
    *_, last = (entry for entry in anchor.anchored() if entry.where.startswith("anchor.jsonl"))
    assert (last.note, next(entry.where for entry in anchor.anchored(last.place))) == (None, "anchor.jsonl line 3")


def test_a_part_of_the_log_reads_no_checkpoint_past_its_end(store: psycopg.Connection[Any]) -> None:
    sign_again(store, 50)
    found = verify.verify("range", first=120, last=130)
    assert (found.verdict, found.counts["checkpoints"]) == ("VERIFIED", 2)
    with CaptureQueriesContext(connections["reader"]) as queries:
        verify.verify("range", first=120, last=130)
    read = [query["sql"] for query in queries if "number" in query["sql"] and 'size" <=' in query["sql"]]
    assert read and all("LIMIT 1" in query for query in read), "those past the end are left out by their numbers"


def test_a_run_of_the_newest_begins_among_an_idle_logs_checkpoints_where_the_last_one_ended(
    store: psycopg.Connection[Any],
) -> None:
    last = sign_again(store, 50) + 49
    assert verify.newest().checkpoints_position == last
    again = verify.newest()
    assert (again.verdict, again.counts["checkpoints"], again.counts["roots"]) == ("VERIFIED", 1, 1)
    sign_again(store, 3)
    assert verify.newest().counts["checkpoints"] == 4


def new_key(private: Path) -> None:
    public = keys.public_path(private)
    keys.replace(private, public, keys.prepare(private, public, SEAL_KEY))


def meanwhile(monkeypatch: pytest.MonkeyPatch, module: Any, step: str, act: Callable[[], Any]) -> None:
    """Let others act right before a run, which has read its keys, takes this step for the first time."""
    own, acts = getattr(module, step), [act]

    def taken(*arguments: Any) -> Any:
        if acts:
            acts.pop()()
        return own(*arguments)

    monkeypatch.setattr(module, step, taken)


def test_a_key_that_signs_since_the_run_began_is_known(
    elsewhere: Scene, key_files: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_S = elsewhere.anchor, 0
    monkeypatch.setattr(checkpoints, "CHUNK", 2)

    def rotate() -> None:
        new_key(key_files)
        head = Sealer().once(sign_anyway=True).checkpoint
        assert head is not None and Publisher().publish(head) == []

    meanwhile(monkeypatch, leaves, "check_each", rotate)
    run = verify.verify()
    assert (run.verdict, [finding.detail for finding in run.findings.all()]) == ("VERIFIED", [])
    assert (run.counts["checkpoints"], run.counts["anchored checkpoints"], run.last) == (7, 7, 600)


@pytest.mark.parametrize("is_rotated", [False, True])
@pytest.mark.parametrize(("module", "step"), [(unsealed, "walk"), (leaves, "check_each")])
def test_a_log_that_is_resumed_since_the_run_began_has_its_other_name(
    restored: Scene,
    key_files: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    step: str,
    is_rotated: bool,
) -> None:
    resume.decide(resume.request("the disk burned", by="olga"), approve=True, by="carla")
    outside = {name: getattr(settings, name) for name in ("SEAL_ANCHOR_FILE", "SEAL_WITNESSES")}
    settings.SEAL_ANCHOR_FILE, settings.SEAL_WITNESSES = None, []  # where the end is that is gone
    monkeypatch.setattr(checkpoints, "CHUNK", 2)

    def go_on() -> None:
        if is_rotated:
            new_key(key_files)
        with override_settings(**outside):
            resume.resume()

    meanwhile(monkeypatch, module, step, go_on)
    run = verify.verify()
    assert (run.verdict, [finding.detail for finding in run.findings.all()]) == ("VERIFIED", [])
    assert (run.counts["checkpoints"], run.counts["cross-links"], run.last) == (5, 1, 400)
    assert any("The log was restored at 400 leaves" in text for text in run.not_covered)
