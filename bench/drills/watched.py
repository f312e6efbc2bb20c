"""What something costs while it runs: time, memory, rows that PostgreSQL reads, and locks that inserts wait for."""

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

import psutil
import psycopg

from bench.fleet import ROOT, Fleet

INTERVAL_S = 0.02
DONE = "=done="
ROWS = "SELECT tup_returned + tup_fetched FROM pg_stat_database WHERE datname = 'drill'"
# Locks of others on the records or their partitions that an insert (ROW EXCLUSIVE) conflicts with, and the most locks
# that one process holds.
BLOCKING = """
SELECT count(*) FILTER (
    WHERE granted AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND relation IN (SELECT relid FROM pg_partition_tree('audit_record'))),
    coalesce((SELECT max(held) FROM (SELECT count(*) AS held FROM pg_locks
              WHERE pid <> pg_backend_pid() GROUP BY pid) each), 0)
FROM pg_locks WHERE pid <> pg_backend_pid()
"""


class Cost(NamedTuple):
    """What one act took."""

    ms: float
    # Peak memory of its process, where it has one of its own; else of the largest that served it.
    mb: float
    rows: int
    locks: int
    # The longest that a lock stood in the way of inserts, as far as looks 20 ms apart tell.
    lock_ms: float


class Runner:
    """A process that has loaded everything, and forks for each act: what is measured is the act alone."""

    def __init__(self, fleet: Fleet):
        command = [sys.executable, "-c", "from bench.drills.watched import serve; serve()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=ROOT, env=fleet.env, text=True, **pipes)  # type: ignore[call-overload]

    def run(self, kind: str, name: str) -> tuple[float, float]:
        """Return the milliseconds and the peak megabytes of a "task" or a "command"."""
        self._process.stdin.write(f"{kind} {name}\n")
        self._process.stdin.flush()
        while (line := self._process.stdout.readline()) and not line.startswith(DONE):
            pass  # what a command prints
        if not line:
            raise RuntimeError(f"{name} ended the process that ran it")
        _, status, ms, kb = line.split()
        if status != "0":
            raise RuntimeError(f"{name} failed: see what it wrote above")
        return float(ms), float(kb) / 1e3

    def stop(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()


def serve() -> None:
    """Fork for each line of standard input, and say what it took."""
    import django

    django.setup()
    import audit.tasks  # noqa: F401

    for line in sys.stdin:
        kind, name = line.rstrip("\n").split(" ", 1)
        started = time.perf_counter()
        if not (pid := os.fork()):
            os._exit(_act(kind, name))
        _, status, usage = os.wait4(pid, 0)
        took = (time.perf_counter() - started) * 1000
        print(f"\n{DONE} {status} {took:.1f} {usage.ru_maxrss}", flush=True)


def _act(kind: str, name: str) -> int:
    """Run it; 0 where it ends, or tells by its exit status that something is missing."""
    from django.core.management import CommandError, call_command
    from django.utils.module_loading import import_string

    try:
        if kind == "task":
            import_string(name)()
        else:
            call_command(*name.split())
    except (CommandError, SystemExit):
        return 0  # it says that something is missing
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
    return 0


class Watch:
    """Looks at memory and locks from a thread of its own."""

    def __init__(self, fleet: Fleet):
        self._fleet = fleet
        self._url = fleet.postgres.url("postgres", "drill")
        self._ends = threading.Event()
        self._watched: list[psutil.Process] = []
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._clear()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.set()
        self._thread.join()

    def forked(self, runner: "Runner", kind: str, name: str) -> Cost:
        """Run a task or a command in a process of its own. Raises `RuntimeError` where it fails."""
        self._clear()
        before = self._rows()
        ms, mb = runner.run(kind, name)
        return self._cost(ms, before)._replace(mb=mb)

    def act(self, act: Callable[[], float], service: str) -> Cost:
        """Call what returns its own milliseconds, while the processes of a service are looked at."""
        self._clear()
        self._watched = self._fleet.processes(service)
        before = self._rows()
        ms = act()
        self._look_at_memory()  # an act may be over between two looks
        return self._cost(ms, before)

    def _cost(self, ms: float, rows_before: int) -> Cost:
        return Cost(ms, self._peak_mb, self._rows() - rows_before, self._most_locks, self._longest_lock_s * 1000)

    def _clear(self) -> None:
        self._peak_mb, self._most_locks, self._longest_lock_s = 0.0, 0, 0.0

    def _rows(self) -> int:
        return self._fleet.number(ROWS)

    def _look(self) -> None:
        blocked_since: float | None = None
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._ends.wait(INTERVAL_S):
                [(blocking, most)] = connection.execute(BLOCKING).fetchall()
                now = time.monotonic()
                blocked_since = (blocked_since or now) if blocking else None
                self._longest_lock_s = max(self._longest_lock_s, now - (blocked_since or now))
                self._most_locks = max(self._most_locks, most)
                self._look_at_memory()

    def _look_at_memory(self) -> None:
        for process in self._watched:
            with suppress(psutil.Error):
                self._peak_mb = max(self._peak_mb, process.memory_info().rss / 1e6)
