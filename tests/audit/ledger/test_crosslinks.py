"""Cross-links: their form, and what an auditor's `verify.py` says of a log that goes on under them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import verify as verify_file
from audit.formats import crosslink, note
from audit.formats.note import Signer, TreeHead
from audit.ledger import keys, reader, resume
from audit.ledger.seal import Sealer
from audit.models import Leaf, Record
from tests.attacks.scene import Scene
from tests.audit.conftest import send
from tests.audit.ledger.conftest import EARLY, WHOLE, go_on
from tests.servers import SEAL_KEY


def test_a_cross_link_says_the_same_when_it_is_read(restored: Scene) -> None:
    link = go_on("the disk of PostgreSQL burned: see change 4711")
    new = Signer.parse(keys._text("SEAL_KEY"))
    signed = crosslink.sign(link, SEAL_KEY, new)
    assert crosslink.read(signed, [SEAL_KEY.verifier]) == link
    with pytest.raises(note.NoteError):
        crosslink.read(signed.replace("4711", "4712"), [SEAL_KEY.verifier])
    with pytest.raises(note.NoteError, match="no known key of the log of before"):
        crosslink.read(signed, [new.verifier])
    with pytest.raises(note.NoteError):
        crosslink.read(note.join(link.text, [SEAL_KEY.sign(link.text)]), [SEAL_KEY.verifier])  # the new key agreed not


@pytest.mark.parametrize("name", [SEAL_KEY.name, f"{SEAL_KEY.name}/resumed-1"])
def test_a_cross_link_goes_on_under_no_name_that_it_ends(name: str) -> None:
    """It would close the name that goes on, and whatever is signed after it would be of a second history."""
    heads = [TreeHead(ended, 4, bytes(32)) for ended in (SEAL_KEY.name, f"{SEAL_KEY.name}/resumed-1")]
    new, other = Signer(name, bytes(range(32))), Signer(f"{SEAL_KEY.name}/resumed-2", bytes(range(32)))
    link = crosslink.CrossLink(heads[0], (heads[1],), other.verifier, datetime.now(UTC), "olga", "carla", "it burned")
    with pytest.raises(note.NoteError, match="goes on under a name that it ends"):
        _ = replace(link, continues=new.verifier).text
    text = link.text.replace(str(other), str(new))
    with pytest.raises(note.NoteError, match="goes on under a name that it ends"):
        crosslink.read(note.join(text, [SEAL_KEY.sign(text), new.sign(text)]), [SEAL_KEY.verifier])


def proof_files(folder: Path, record: Record) -> list[str]:
    """A record and its proof under the newest checkpoint, as the store hands them out."""
    record_file, proof_file = folder / f"{record.id}.json", folder / f"{record.id}.tlog-proof"
    record_file.write_text(json.dumps(record.as_json() | {"state": "sealed"}), encoding="utf-8")
    proof_file.write_text(reader.evidence(record.id).proof.text, encoding="utf-8")
    return ["--record", str(record_file), "--proof", str(proof_file)]


@pytest.fixture
def crosslinks(tmp_path: Path) -> Path:
    return tmp_path / "cross-links.txt"


def test_an_auditor_of_before_learns_by_the_cross_link_what_was_cut_and_who_signs_now(
    restored: Scene, tmp_path: Path, crosslinks: Path, capsys: Any
) -> None:
    old = Record.objects.get(id=Leaf.objects.get(index=3).record_id)
    before = proof_files(tmp_path, old)
    link = go_on()
    crosslinks.write_text("\n".join(each.note for each in resume.links()), encoding="utf-8")
    (event,) = send(1)
    assert Sealer().once(from_start=True).signed
    after = proof_files(tmp_path, Record.objects.get(id=event.id))
    trusted = ["--key", str(SEAL_KEY)]
    assert verify_file.main([*before, *trusted]) == 0
    assert verify_file.main([*after, *trusted]) == 2  # another log, as far as this key goes
    capsys.readouterr()
    assert verify_file.main([*after, *trusted, "--crosslink", str(crosslinks)]) == 0
    said = capsys.readouterr().out
    assert "the first 400 leaves of tests.example/log are the same as before" in said
    assert "tests.example/log had 600: 200 after those are gone" in said
    assert str(link.continues) in said and "asked by olga, approved by carla" in said
    assert verify_file.main([*before, *trusted, "--crosslink", str(crosslinks)]) == 0
    assert verify_file.main(["crosslink", str(crosslinks), *trusted]) == 0


def test_what_was_cut_off_is_proved_still_by_who_holds_its_proof(
    elsewhere: Scene, key_files: Path, tmp_path: Path, crosslinks: Path, settings: Any
) -> None:
    """A record of leaf 500 was in the log of before; the store has it no more, and both is true."""
    settings.SEAL_ANCHOR_FILE = elsewhere.anchor
    gone = Record.objects.get(id=Leaf.objects.get(index=500).record_id)
    held = proof_files(tmp_path, gone)
    elsewhere.restore_early()
    go_on()
    crosslinks.write_text(resume.links()[0].note, encoding="utf-8")
    assert verify_file.main([*held, "--key", str(SEAL_KEY), "--crosslink", str(crosslinks)]) == 0
    assert not Record.objects.filter(id=gone.id).exists()


@pytest.mark.parametrize("fault", ["changed", "not by a key of before", "not by the new key"])
def test_a_cross_link_that_does_not_hold_teaches_nothing(
    restored: Scene, crosslinks: Path, fault: str, capsys: Any
) -> None:
    link = go_on()
    new, stranger = Signer.parse(keys._text("SEAL_KEY")), Signer(SEAL_KEY.name, bytes(32))
    signed = {
        "changed": resume.links()[0].note.replace("the disk burned", "a planned move"),
        "not by a key of before": crosslink.sign(link, stranger, new),
        "not by the new key": note.join(link.text, [SEAL_KEY.sign(link.text)]),
    }[fault]
    crosslinks.write_text(signed, encoding="utf-8")
    assert verify_file.main(["crosslink", str(crosslinks), "--key", str(SEAL_KEY)]) == 2
    assert "VERIFIED" not in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["more than was known", "signed after it was closed"])
def test_a_checkpoint_that_the_cross_link_does_not_explain_is_told(
    restored: Scene, crosslinks: Path, tmp_path: Path, fault: str, capsys: Any
) -> None:
    link = go_on()
    crosslinks.write_text(resume.links()[0].note, encoding="utf-8")
    record = Record.objects.get(id=Leaf.objects.get(index=3).record_id)
    files = proof_files(tmp_path, record)
    size = WHOLE + 7 if fault == "more than was known" else EARLY
    root = link.restored.root if size == EARLY else bytes(32)
    text = TreeHead(SEAL_KEY.name, size, root).text
    moment = int(link.at.timestamp()) + (3600 if size == EARLY else -3600)
    forged = note.join(text, [SEAL_KEY.sign(text), SEAL_KEY.cosign(text, moment)])
    proof = note.parse_proof(Path(files[3]).read_text(encoding="utf-8"))
    Path(files[3]).write_text(note.Proof(proof.index, proof.hashes, forged).text, encoding="utf-8")
    assert verify_file.main([*files, "--key", str(SEAL_KEY), "--crosslink", str(crosslinks)]) == 1
    said = capsys.readouterr().out
    assert ("FORKED" if size == EARLY else "the cross-link knew of less") in said
