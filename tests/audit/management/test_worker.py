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
from django.conf import settings

import dlq.stream
from audit.management.commands import worker
from bench.load import wait_until
from dlq.activity import Activity
from tests.processes import lives

ROOT = Path(__file__).parents[3]
# A look at the processes of the machine costs a fiftieth of a second of processor.
LOOK_S = 0.3


class Watched:
    """The command with a patience that is short: while a cluster starts, tests say that a task has ended.

    What a cluster that is killed has leased is in a queue of its own.
    """

    def __init__(self) -> None:
        env = os.environ | {"WORKER_STALE_S": "4", "DLQ_PREFIX": settings.DLQ_PREFIX}
        command = [sys.executable, "manage.py", "worker"]
        self.command = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.process = psutil.Process(self.command.pid)
        # Of the clusters that something was done to.
        self.before: list[int] = []

    def cluster(self) -> psutil.Process | None:
        """The cluster's leash; Python may have a process of its own beside it, as 3.14 has for shared memory."""
        with suppress(psutil.NoSuchProcess):
            return next((child for child in self.process.children() if "qcluster" in child.cmdline()), None)
        return None

    def is_replaced(self) -> bool:
        found = self.cluster()
        return found is not None and found.pid not in self.before


@pytest.fixture
def watched(own_queue: None) -> Iterator[Watched]:
    made = Watched()
    yield made
    made.command.send_signal(signal.SIGTERM)
    made.command.wait(timeout=60)


def a_task_ended() -> None:
    dlq.stream.for_drain().activity.beat("last_task_at")


@pytest.mark.slow
def test_a_cluster_that_hangs_or_ends_is_started_again_and_the_end_ends_all(watched: Watched) -> None:
    """It is killed whole where it hangs."""
    hung: list[psutil.Process] = []

    def hangs() -> bool:
        """All of a cluster stands still; one that was replaced while it started does not count."""
        a_task_ended()
        found = watched.cluster()
        with suppress(psutil.NoSuchProcess):
            family = found.children(recursive=True) if found is not None else []  # of the leash
            if found is not None and len(family) >= 4:
                for member in family:
                    member.suspend()  # it hangs, and nothing ends
                hung[:], watched.before = family, [found.pid]
        return bool(hung)

    def ends() -> bool:
        a_task_ended()
        found = watched.cluster()
        with suppress(psutil.NoSuchProcess):
            if found is not None and (members := found.children()):
                members[0].kill()
                watched.before = [*watched.before, found.pid]
                return True
        return False

    wait_until(hangs, seconds=180, what="the cluster", every_s=LOOK_S)
    wait_until(watched.is_replaced, seconds=180, what="another cluster", every_s=LOOK_S)
    wait_until(lambda: not any(map(lives, hung)), seconds=60, what="the end of the whole cluster that hung")
    wait_until(ends, seconds=180, what="the cluster that is in its place", every_s=LOOK_S)
    wait_until(watched.is_replaced, seconds=180, what="a third cluster", every_s=LOOK_S)
    family = watched.process.children(recursive=True)
    watched.process.terminate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_the_last_tick_is_known_and_now_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    a_task_ended()
    assert abs(worker.last_task() - time.time()) < 60

    def refuse(self: Activity) -> None:
        raise dlq.errors.Refused

    monkeypatch.setattr(Activity, "beats", refuse)
    assert abs(worker.last_task() - time.time()) < 60
