"""What processes counted stays when they end, and costs no more."""

import os
import subprocess
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from audit import metric_files


@pytest.fixture(scope="module")
def ended() -> list[int]:
    """The numbers of processes that are over."""
    processes = [subprocess.Popen(["true"]) for _ in range(3)]
    for process in processes:
        process.wait()
    return [process.pid for process in processes]


def counted(folder: Path, process: int, value: float, kind: str = "counter") -> Path:
    path = folder / f"{kind}_{process}.db"
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    key = mmap_key("events", "events_total", ["state"], ["stored"], "Events")  # type: ignore[no-untyped-call]
    file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]
    return path


def test_what_ended_processes_counted_is_kept_in_one_file_and_added_once(tmp_path: Path, ended: list[int]) -> None:
    counted(tmp_path, os.getpid(), 1)
    for process in ended:
        counted(tmp_path, process, 10)
    for _ in range(2):
        assert 'events_total{state="stored"} 31.0' in metric_files.text(tmp_path).decode()
    assert {path.name for path in tmp_path.glob("*.db")} == {"counter_0.db", f"counter_{os.getpid()}.db"}

    counted(tmp_path, ended[0], 5)  # the number was given to another process, which has ended, too
    assert 'events_total{state="stored"} 36.0' in metric_files.text(tmp_path).decode()


def test_a_gauge_of_an_ended_process_is_gone(tmp_path: Path, ended: list[int]) -> None:
    live, over = (counted(tmp_path, process, 1, "gauge_livemax") for process in (os.getpid(), ended[0]))
    metric_files.text(tmp_path)
    assert (live.exists(), over.exists()) == (True, False)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100])
def test_the_file_of_a_process_that_was_killed_while_it_made_it_hides_no_other(
    tmp_path: Path, ended: list[int], content: bytes
) -> None:
    (tmp_path / f"counter_{ended[0]}.db").write_bytes(content)
    counted(tmp_path, ended[1], 10)
    assert 'events_total{state="stored"} 10.0' in metric_files.text(tmp_path).decode()


def test_the_file_that_a_process_has_just_made_keeps_no_scrape_from_its_answer(tmp_path: Path) -> None:
    counted(tmp_path, os.getpid(), 1)
    made = tmp_path / f"histogram_{os.getpid()}.db"
    made.touch()
    assert 'events_total{state="stored"} 1.0' in metric_files.text(tmp_path).decode()
    assert made.exists(), "its process goes on with it"
