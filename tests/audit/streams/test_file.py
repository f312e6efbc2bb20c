"""Files of a stream have each record in order, by size and day, whatever cut the streamer off."""

import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.ledger import reader
from audit.models import Stream
from audit.streams import cursor, kinds
from audit.streams.faults import Unavailable
from audit.streams.leaves import Line
from audit.streams.stream import GaveUp, stream
from audit.streams.targets import file as files
from tests.audit.streams.conftest import Scene


@pytest.fixture
def folder(scene: Scene, tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    scene.has(type="file", folder=str(folder), batch_records=4)
    return folder


def leaves(folder: Path) -> list[int]:
    return [
        json.loads(line)["leaf_index"] for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()
    ]


def test_a_file_has_the_records_as_lines_and_is_named_by_day_and_first_entry(scene: Scene, folder: Path) -> None:
    scene.records(6)
    scene.once()
    [path] = folder.iterdir()
    assert path.name == f"{scene.name}-{datetime.now(UTC):%Y-%m-%d}-{scene.first:012}.jsonl"
    assert leaves(folder) == [*range(scene.first, scene.row().position)]
    assert folder.stat().st_mode & 0o077 == 0


def test_a_file_that_is_large_is_followed_by_another(scene: Scene, folder: Path) -> None:
    scene.has(type="file", folder=str(folder), batch_mb=0.5, max_mb=1)
    scene.records(12, event_data={"text": "x" * 200_000})
    scene.once()
    sizes = [path.stat().st_size for path in sorted(folder.iterdir())]
    assert len(sizes) >= 2 and all(2**20 <= size < 2 * 2**20 for size in sizes[:-1])
    assert leaves(folder) == [*range(scene.first, scene.row().position)]


def test_a_day_that_is_over_ends_its_file(scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.records(2)
    scene.once()

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Tomorrow":
            return cls(2999, 1, 2, tzinfo=UTC)

    monkeypatch.setattr(files, "datetime", Tomorrow)
    second = reader.signed_size()
    scene.records(2)
    scene.once()
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2 and names[1].startswith(f"{scene.name}-2999-01-02-")
    assert leaves(folder) == [*range(scene.first, scene.row().position)]
    assert second < scene.row().position


def test_a_torn_line_is_cut_off_and_what_is_whole_is_not_written_again(scene: Scene, folder: Path) -> None:
    """As a kill leaves it between the write and the move of the cursor, with half a line behind."""
    scene.records(4)
    scene.once()
    [path] = folder.iterdir()
    body = path.read_bytes()
    before = scene.row().position
    Stream.objects.filter(pk=scene.name).update(position=before - 2)
    path.write_bytes(body + b'{"event_timestamp":"2026-')
    scene.records(3)
    scene.once()
    written = leaves(folder)
    assert written == [*range(scene.first, scene.row().position)]
    assert path.read_bytes().startswith(body)


def test_lines_of_another_log_are_not_taken_for_those_of_this_one(scene: Scene, folder: Path) -> None:
    """After a restore other records may have the same places."""
    scene.records(4)
    scene.once()
    [path] = folder.iterdir()
    last = json.loads(path.read_bytes().splitlines()[-1])
    position = scene.row().position
    Stream.objects.filter(pk=scene.name).update(position=position - 1)
    last["event_id"] = "01910000-0000-7000-8000-000000000000"
    path.write_bytes(json.dumps(last).encode() + b"\n")
    scene.once()
    assert leaves(folder)[:2] == [position - 1, position - 1]


def test_a_target_that_is_placed_back_is_given_what_it_has_again(scene: Scene, folder: Path) -> None:
    """As where some of its files were lost: the newest that is left says nothing of those before it."""
    first, *others = scene.records(4)
    scene.once()
    last = scene.row().position
    cursor.place_at(scene.name, others[0], by="op")
    scene.once()
    assert leaves(folder) == [*range(first, last), *range(others[0], scene.row().position)]
    assert cursor.reached(scene.name) == last


def test_a_torn_line_in_a_file_that_is_not_the_newest_is_cut_off_before_more_is_written(
    scene: Scene, folder: Path
) -> None:
    """As a kill leaves it where the target was placed back, and later files are full."""
    scene.has(type="file", folder=str(folder), batch_records=1, max_mb=1)
    first = scene.records(10, event_data={"text": "x" * 260_000})[0]
    scene.once()
    assert len([*folder.iterdir()]) == 2
    cursor.place_at(scene.name, first + 1, by="op")
    path = folder / f"{scene.name}-{datetime.now(UTC):%Y-%m-%d}-{first + 1:012}.jsonl"
    path.write_bytes(b'{"event_timestamp":"2026-')
    scene.once()
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["leaf_index"] for line in lines[:3]] == [first + 1, first + 2, first + 3]


def test_a_target_whose_name_begins_that_of_another_has_files_of_its_own(scene: Scene, folder: Path) -> None:
    """In one folder the newest file of the other is not its own."""
    of_one = scene.file.read_text(encoding="utf-8")
    other = f"{scene.name}-9"
    scene.file.write_text(of_one + of_one.replace(scene.name, other, 1), encoding="utf-8")
    scene.records(4)
    stream(kinds.plan_of(other), threading.Event(), follow=False)
    scene.once()
    for name in (scene.name, other):
        [path] = folder.glob(f"{name}-2*.jsonl")
        found = [json.loads(line)["leaf_index"] for line in path.read_bytes().splitlines()]
        assert found == [*range(scene.first, Stream.objects.get(pk=name).position)]


def test_a_folder_that_cannot_be_written_is_a_problem_and_nothing_is_lost(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder", encoding="utf-8")
    scene.has(type="file", folder=str(tmp_path / "taken"))
    scene.records(2)
    with pytest.raises(GaveUp, match="cannot be written"):
        scene.once()
    assert scene.row().position == scene.first


def test_a_write_that_a_full_disk_refuses_half_way_is_undone(
    scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.records(3)
    scene.once()
    before = leaves(folder)
    scene.records(3)
    full = [True, True]
    sync = os.fsync

    def refuses(descriptor: int) -> None:
        if full and os.fstat(descriptor).st_size > 0 and not _is_folder(descriptor):
            full.pop()
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", refuses)
    scene.once()
    assert not full
    assert leaves(folder) == [*range(scene.first, scene.row().position)] and len(leaves(folder)) > len(before)


def test_a_part_of_a_batch_is_never_taken_for_the_whole(scene: Scene, folder: Path) -> None:
    """The kernel takes what a full disk has room for, says how much that was, and calls it no failure."""
    target = kinds.plan_of(scene.name).target
    lines = [Line(leaf, json.dumps({"leaf_index": leaf, "text": "x" * 50}).encode()) for leaf in range(6)]
    target.resume()
    try:
        target.send(lines[:2])
        [path] = folder.iterdir()
        with room_for(path.stat().st_size + 100), pytest.raises(Unavailable, match="took a part"):
            target.send(lines[2:4])
        assert leaves(folder) == [0, 1]
        target.send(lines[2:])
    finally:
        target.close()
    assert leaves(folder) == [0, 1, 2, 3, 4, 5]


def test_the_last_line_is_found_where_it_is_longer_than_a_piece(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(files, "PIECE_BYTES", 7)
    path = tmp_path / "f.jsonl"
    for body, last, kept in (
        (b"", b"", 0),
        (b"torn", b"", 0),
        (b"first\n", b"first", 6),
        (b"first\nsecond, which is long\n", b"second, which is long", 28),
        (b"first\nsecond, which is long\nto", b"second, which is long", 28),
        (b"a line\nand a torn one that is longer than pieces", b"a line", 7),
    ):
        path.write_bytes(body)
        assert files._mend(path) == last
        assert path.stat().st_size == kept


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process grows above so many bytes: a write that would is cut short there."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def _is_folder(descriptor: int) -> bool:
    return os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112
