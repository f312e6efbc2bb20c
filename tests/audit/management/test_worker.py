"""The schedule's cluster is started again when it hangs or ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import dlq.stream
from audit.management.commands import worker
from bench.load import wait_until
from dlq.activity import Activity
from tests.processes import lives

ROOT = Path(__file__).parents[3]
# A look at the processes of the machine costs a fiftieth of a second of processor.
LOOK_S = 0.3


@pytest.fixture
def watched() -> Iterator[psutil.Process]:
    """The command with a patience that is short: while a cluster starts, tests say that a task has ended."""
    env = os.environ | {"WORKER_STALE_S": "4"}
    command = [sys.executable, "manage.py", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def a_task_ended() -> None:
    dlq.stream.for_drain().activity.beat("last_task_at")


def cluster_of(watched: psutil.Process) -> psutil.Process | None:
    """The cluster's leash; Python may have a process of its own beside it, as 3.14 has for shared memory."""
    with suppress(psutil.NoSuchProcess):
        return next((child for child in watched.children() if "qcluster" in child.cmdline()), None)
    return None


@pytest.mark.slow
def test_a_cluster_that_hangs_is_killed_whole_and_started_again(watched: psutil.Process) -> None:
    hung: list[psutil.Process] = []
    first: list[int] = []

    def hangs() -> bool:
        """All of a cluster stands still; one that was replaced while it started does not count."""
        a_task_ended()
        found = cluster_of(watched)
        with suppress(psutil.NoSuchProcess):
            family = found.children(recursive=True) if found is not None else []  # of the leash
            if found is not None and len(family) >= 4:
                for member in family:
                    member.suspend()  # it hangs, and nothing ends
                hung[:], first[:] = family, [found.pid]
        return bool(hung)

    def replaced() -> bool:
        found = cluster_of(watched)
        return found is not None and found.pid not in first

    wait_until(hangs, seconds=180, what="the cluster", every_s=LOOK_S)
    wait_until(replaced, seconds=180, what="another cluster", every_s=LOOK_S)
    wait_until(lambda: not any(map(lives, hung)), seconds=60, what="the end of the whole cluster that hung")


@pytest.mark.slow
def test_a_cluster_that_ends_is_started_again_and_the_end_ends_all(watched: psutil.Process) -> None:
    ended: list[int] = []

    def ends() -> bool:
        a_task_ended()
        found = cluster_of(watched)
        with suppress(psutil.NoSuchProcess):
            if found is not None and (members := found.children()):
                members[0].kill()
                ended[:] = [found.pid]
        return bool(ended)

    def replaced() -> bool:
        found = cluster_of(watched)
        return found is not None and found.pid not in ended

    wait_until(ends, seconds=180, what="the cluster", every_s=LOOK_S)
    wait_until(replaced, seconds=180, what="another cluster", every_s=LOOK_S)
    family = watched.children(recursive=True)
    watched.terminate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_the_last_tick_is_known_and_now_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    a_task_ended()
    assert abs(worker.last_task() - time.time()) < 60

    def refuse(self: Activity) -> None:
        raise dlq.errors.Refused

    monkeypatch.setattr(Activity, "beats", refuse)
    assert abs(worker.last_task() - time.time()) < 60
