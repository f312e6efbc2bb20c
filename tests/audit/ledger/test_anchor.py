"""The anchor: whatever tears a write, an honest log is never called another one for it."""

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from audit.formats import note
from audit.ledger import anchor, reader, verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.models import Checkpoint
from tests.attacks.scene import Scene, send
from tests.audit.ledger.conftest import WHOLE


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: the kernel writes a part, and refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def a_head() -> Checkpoint:
    send(1)
    head = Sealer().once().checkpoint
    assert head is not None
    return head


def verdict(scope: str = "all") -> tuple[str, list[str]]:
    run = verify.verify(scope)
    return run.verdict, [text for text in run.not_covered if "torn" in text]


def test_a_write_that_the_disk_refuses_half_way_leaves_the_file_as_it_was(elsewhere: Scene, settings: Any) -> None:
    settings.SEAL_ANCHOR_FILE = path = elsewhere.anchor
    head, before = a_head(), path.read_bytes()
    with disk_full_at(len(before) + 100), pytest.raises(OSError):
        anchor.anchor(head, reader.full_note(head, "default"))
    assert path.read_bytes() == before
    anchor.anchor(head, reader.full_note(head, "default"))
    assert json.loads(path.read_bytes().splitlines()[-1])["note"] == reader.full_note(head, "default")
    assert verdict() == ("VERIFIED", [])


def test_a_line_that_is_torn_all_the_same_is_not_covered_and_spoils_no_other(
    elsewhere: Scene, settings: Any, tmp_path: Path
) -> None:
    path = tmp_path / "torn.jsonl"
    whole = elsewhere.anchor.read_bytes()
    path.write_bytes(whole[:-200])
    settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_S = path, 0
    head = a_head()
    assert Publisher().publish(head) == []
    assert path.read_bytes().startswith(whole[:-200] + b"\n{")
    last = anchor.last_anchored()
    assert last is not None and last.size == head.size
    torn = f"1 checkpoints of the anchor are torn and were not compared: first torn.jsonl line {whole.count(b'{')}."
    assert verdict() == ("VERIFIED", [torn])
    assert verdict("newest") == ("VERIFIED", [])
    with path.open("ab") as file:
        file.write('{"anchored_at": "2026-08-18", "note": "audit.example — '.encode()[:-2])
    last = anchor.last_anchored()
    assert last is not None and last.size == head.size
    assert verdict("newest")[0] == "VERIFIED"


def test_a_whole_line_that_says_another_thing_is_altered_as_before(elsewhere: Scene, settings: Any) -> None:
    settings.SEAL_ANCHOR_FILE = path = elsewhere.anchor
    path.write_text(path.read_text().replace("\\n300\\n", "\\n301\\n"))
    assert verify.verify().verdict == "ALTERED"


def test_a_file_of_the_folder_is_there_whole_or_not_at_all(elsewhere: Scene, settings: Any, tmp_path: Path) -> None:
    folder = tmp_path / "anchors"
    folder.mkdir()
    settings.SEAL_ANCHOR_DIR, settings.SEAL_ANCHOR_S = folder, 0
    head = a_head()
    with disk_full_at(20):
        (complaint,) = Publisher().publish(head)
    assert "could not be written" in complaint
    assert list(folder.glob("*/*")) == []
    assert Publisher().publish(head) == []
    (file,) = folder.glob("*/*")
    assert file.read_text() == reader.full_note(head, "default")
    # What an older version tore stays in place, for nothing there is ever overwritten.
    os.truncate(file, 60)
    later = a_head()
    assert Publisher().publish(later) == []
    run = verify.verify()
    assert run.verdict == "VERIFIED"
    assert f"first {file.name}." in " ".join(run.not_covered)
    assert anchor.last_anchored() == note.TreeHead.parse(note.split(later.note)[0])


def test_after_a_clock_that_went_ahead_and_back_the_newest_of_the_folder_is_the_newest(
    elsewhere: Scene, settings: Any, tmp_path: Path
) -> None:
    """A sealer that believed the day would sign a second history after a restore."""
    settings.SEAL_ANCHOR_DIR = tmp_path
    ahead = a_head()
    ahead.created_at += timedelta(days=40)
    anchor.anchor(ahead, ahead.note)
    for head in (a_head(), a_head()):
        anchor.anchor(head, head.note)
        assert anchor.last_anchored() == note.TreeHead.parse(note.split(head.note)[0])
    assert [entry.note for entry in anchor.anchored()][-1] == head.note


def test_an_anchor_that_cannot_be_read_stops_no_sealer(elsewhere: Scene, settings: Any, tmp_path: Path) -> None:
    settings.SEAL_ANCHOR_FILE = tmp_path  # reading fails, as on storage that has gone
    sealer = Sealer()
    with capture_logs() as lines:
        for _ in range(2):
            send(1)
            head = sealer.once().checkpoint
    assert head is not None and head.size == WHOLE + 2
    told = {(line["event"], line["where"]) for line in lines if line["log_level"] == "warning"}
    assert told == {("outside_not_asked", "anchor: IsADirectoryError")}
    assert Publisher().publish(head) == ["The anchor cannot be read (IsADirectoryError): nothing is appended to it."]
