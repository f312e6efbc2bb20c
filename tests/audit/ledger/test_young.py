"""A log that was begun just now: what anchor and witnesses have nothing of yet is said, and is no finding."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.ledger import verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.ledger.verify import young
from audit.models import Checkpoint, Verification
from tests.attacks.scene import Scene, send

pytestmark = pytest.mark.slow


@pytest.fixture
def begun(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store of a few records with an anchor and a witness, whose first checkpoint was not published yet.

    It is young for as long as the test takes.
    """
    monkeypatch.setattr(young, "FIRST_S", 3_600.0)
    scene = Scene(postgres.url(), tmp_path)
    try:
        scene.build(batches=0)
        with scene.outside(anchor=tmp_path / "anchor.jsonl", witness=True), scene.fresh():
            send(5)
            assert Sealer().once().kept
            yield
    finally:
        scene.stop()


def said(run: Verification) -> tuple[str, list[str]]:
    """The verdict, and what is said of anchor and witness that were not compared, without ages."""
    texts = [re.sub(r"is \d+ s old", "is N s old", text) for text in run.not_covered]
    return run.verdict, [text for text in texts if text.startswith(("The anchor", "The witness"))]


def publish() -> None:
    head = Checkpoint.objects.first()
    assert head is not None and Publisher().publish(head) == []


def missing() -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in verify.verify().findings.filter(kind="MISSING")]


def test_the_first_checkpoint_is_not_anchored_yet_and_missed_once_it_should_be(
    begun: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Checkpoint.objects.get().note.splitlines()[0]
    anchor = "The anchor file anchor.jsonl has nothing yet: the first checkpoint is N s old, and not anchored yet."
    witness = f"The witness witness.example/w has seen nothing of {origin} yet: the first checkpoint is N s old."
    for scope in ("all", "newest"):
        run = verify.verify(scope)
        assert said(run) == ("VERIFIED", [anchor, witness])
        assert run.skipped == ["anchor", "witness"] and not run.findings.exists()
    monkeypatch.setattr(young, "FIRST_S", 0.0)
    assert missing() == [("MISSING", "anchor")]
    _, (text,) = said(verify.verify())
    assert text.endswith("it does not know its key, or was not asked yet.")
    publish()
    assert said(verify.verify()) == ("VERIFIED", [])


def test_a_first_checkpoint_of_the_future_is_not_young(begun: None, monkeypatch: pytest.MonkeyPatch) -> None:
    later = young._FIRST.replace("created_at", "(created_at + interval '1 year')")
    monkeypatch.setattr(young, "_FIRST", later)
    assert missing() == [("MISSING", "anchor")]


@pytest.mark.parametrize("kept_in", ["file", "cosignatures"])
def test_an_anchor_is_missed_at_once_where_others_have_later_checkpoints(
    begun: None, settings: Any, tmp_path: Path, kept_in: str
) -> None:
    if kept_in == "file":
        settings.SEAL_WITNESSES = []
    sealer, publisher = Sealer(), Publisher()
    for _ in range(young.PUBLISHED):
        send(1)
        head = sealer.once().checkpoint
        assert head is not None and publisher.publish(head) == []
    if kept_in == "file":
        settings.SEAL_ANCHOR_DIR = tmp_path / "gone"
    else:
        settings.SEAL_ANCHOR_FILE = tmp_path / "gone.jsonl"
    assert missing() == [("MISSING", "anchor")]


def test_one_cosignature_does_not_say_that_the_anchor_was_written(begun: None, settings: Any, tmp_path: Path) -> None:
    """The witness is asked first."""
    publish()
    settings.SEAL_ANCHOR_FILE = tmp_path / "late.jsonl"
    verdict, (text,) = said(verify.verify())
    assert verdict == "VERIFIED" and text.startswith("The anchor file late.jsonl has nothing yet")
