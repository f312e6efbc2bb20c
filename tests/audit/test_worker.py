"""The schedule's cluster is started again when it hangs or ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import dlq.stream
from audit.management.commands import worker
from bench.load import wait_until

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def watched() -> Iterator[psutil.Process]:
    """The command with a short patience, as a process of its own."""
    env = os.environ | {"WORKER_STALE_S": "6"}
    command = [sys.executable, "manage.py", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def cluster_of(watched: psutil.Process) -> psutil.Process | None:
    return next(iter(watched.children()), None)


@pytest.mark.slow
def test_a_cluster_that_hangs_is_killed_whole_and_started_again(watched: psutil.Process) -> None:
    wait_until(lambda: cluster_of(watched) is not None, seconds=20, what="the cluster")
    first = cluster_of(watched)
    assert first is not None
    wait_until(lambda: len(first.children(recursive=True)) >= 4, seconds=30, what="its processes")
    family = first.children(recursive=True)  # of the leash
    for member in family:
        member.suspend()  # it hangs, and nothing ends

    def replaced() -> bool:
        found = cluster_of(watched)
        return found is not None and found.pid != first.pid

    wait_until(replaced, seconds=60, what="another cluster")
    assert not [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_a_cluster_that_ends_is_started_again_and_the_end_ends_all(watched: psutil.Process) -> None:
    wait_until(lambda: cluster_of(watched) is not None, seconds=20, what="the cluster")
    first = cluster_of(watched)
    assert first is not None
    wait_until(lambda: bool(first.children()), seconds=20, what="its first process")
    first.children()[0].kill()

    def replaced() -> bool:
        found = cluster_of(watched)
        return found is not None and found.pid != first.pid

    wait_until(replaced, seconds=60, what="another cluster")
    family = watched.children(recursive=True)
    watched.terminate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_the_last_tick_is_known_and_now_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    dlq.stream.for_drain().beat("last_task_at")
    assert abs(worker.last_task() - time.time()) < 60

    def refuse(self: dlq.stream.Stream) -> None:
        raise dlq.errors.Refused

    monkeypatch.setattr(dlq.stream.Stream, "beats", refuse)
    assert abs(worker.last_task() - time.time()) < 60
