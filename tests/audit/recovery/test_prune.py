"""The service that backs up keeps the newest backups, and the WAL that they need."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.errors import BackupFailed
from audit.management.commands import backup as command
from audit.recovery.prune import NAME, drop_unfinished, prune, whole

NOW = datetime(2026, 8, 18, 10, tzinfo=UTC)


def a_backup(folder: Path, began_at: datetime, *, finished: bool = True) -> Path:
    """A folder as a backup leaves it."""
    path = folder / f"{began_at.strftime(NAME)}{'' if finished else '.part'}"
    (path / "postgres").mkdir(parents=True)
    (path / "postgres" / "base.tar").write_bytes(b"a base backup")
    if finished:
        (path / "manifest.txt").write_text("signed")
    return path


def a_file_of_wal(folder: Path, name: str, archived_at: datetime) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"WAL")
    os.utime(folder / name, (archived_at.timestamp(), archived_at.timestamp()))
    return folder / name


def test_the_newest_stay_with_all_wal_since_the_oldest_of_them(tmp_path: Path) -> None:
    days = [a_backup(tmp_path / "b", NOW - timedelta(days=day)) for day in (3, 2, 1)]
    other = tmp_path / "b" / "somebody-elses"
    other.mkdir()
    old = a_file_of_wal(tmp_path / "wal", "1.gz", NOW - timedelta(days=2, hours=1, seconds=1))
    by_a_clock_behind = a_file_of_wal(tmp_path / "wal", "2.gz", NOW - timedelta(days=2, minutes=59))
    timeline = a_file_of_wal(tmp_path / "wal", "00000002.history.gz", NOW - timedelta(days=9))
    assert prune(tmp_path / "b", keep=2, wal=tmp_path / "wal") == [days[0].name]
    kept = (*days[1:], other, by_a_clock_behind, timeline)
    assert not days[0].exists() and all(path.exists() for path in kept) and not old.exists()
    assert [path for _, path in whole(tmp_path / "b")] == days[1:]


def test_without_a_backup_no_wal_goes(tmp_path: Path) -> None:
    kept = a_file_of_wal(tmp_path / "wal", "1.gz", NOW)
    assert prune(tmp_path / "none", keep=1, wal=tmp_path / "wal") == [] and kept.exists()


def test_what_never_finished_goes_once_a_later_one_is_whole(tmp_path: Path) -> None:
    stale = a_backup(tmp_path, NOW - timedelta(days=1), finished=False)
    at_work = a_backup(tmp_path, NOW + timedelta(days=1), finished=False)
    a_backup(tmp_path, NOW)
    prune(tmp_path, keep=1, wal=None)
    assert not stale.exists() and at_work.exists()


def test_what_failed_just_now_gives_its_room_back(tmp_path: Path) -> None:
    before, failed = (a_backup(tmp_path, NOW + timedelta(seconds=n), finished=False) for n in (-1, 1))
    drop_unfinished(tmp_path, since=NOW)
    assert before.exists() and not failed.exists()


class Turns(threading.Event):
    """Ends the service after so many waits, and takes down how long each would have been."""

    def __init__(self, count: int):
        super().__init__()
        self.waits: list[float] = []
        self._count = count

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return len(self.waits) > self._count


def test_the_service_goes_on_after_a_failure_and_waits_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = iter([BackupFailed("no room"), None])

    def back_up(self: Any, folder: Path, options: dict[str, Any]) -> None:
        if (error := next(acts)) is not None:
            a_backup(folder, datetime.now(UTC), finished=False)
            raise error
        a_backup(folder, datetime.now(UTC))

    turns = Turns(2)
    monkeypatch.setattr(command, "stop_at_signal", lambda: turns)
    monkeypatch.setattr(command.Command, "_back_up", back_up)
    old = a_backup(tmp_path, NOW - timedelta(days=9))
    call_command("backup", str(tmp_path), "--every", "24", "--keep", "1")
    assert turns.waits[:2] == [0.0, command.RETRY_S] and 86_000 < turns.waits[2] <= 86_400
    assert not old.exists() and [path.suffix for path in tmp_path.iterdir()] == [whole(tmp_path)[0][1].suffix]


@pytest.mark.parametrize("arguments", [("--every", "0"), ("--every", "1", "--keep", "-1")])
def test_a_service_that_could_not_run_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="--every needs hours"):
        call_command("backup", str(tmp_path), *arguments)
