"""`make bench-client`: a service with and without auditing, side by side, while store and queue are both down.

The service is a small one: it reads a request, commits a row to a SQLite of its own, as durable as the audit event,
and answers. Requests of the three kinds take turns, so that whatever else the machine does meets all alike.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from auditclient import Client, Config, Receipt
from auditclient.config import DLQConfig
from bench.fleet import free_port
from bench.load import sample

REPEATS = 40
console = Console()
Act = Callable[[dict[str, object]], Receipt | None]


class Service:
    """Something that a service does for a request: some work, and a commit of its own."""

    def __init__(self, folder: Path):
        self._database = sqlite3.connect(folder / "service.sqlite3", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE done (id INTEGER PRIMARY KEY, text TEXT)")

    def answer(self, event: dict[str, object], record: Act) -> float:
        """Answer a request; return how long it took, in seconds."""
        started = time.perf_counter()
        for _ in range(REPEATS):
            text = repr(event)
        self._database.execute("INSERT INTO done (text) VALUES (?)", (text,))
        record(event)
        return time.perf_counter() - started


def measure(requests: int, folder: Path) -> dict[str, list[float]]:
    """Return the seconds of each request, by the kind of service."""
    address, service = free_port(), Service(folder)
    config = Config(
        url=f"http://127.0.0.1:{address}/api/v1/audit",
        key="nobody",
        dlq=DLQConfig(redis_url=f"redis://127.0.0.1:{address}/0"),
        spool_dir=folder / "spool",
        exit_s=0.0,
    )
    with Client(config) as client:
        kinds: dict[str, Act] = {
            "without auditing": lambda event: None,
            'audited, durability="process"': lambda event: client.record(event, durability="process"),
            'audited, durability="disk"': lambda event: client.record(event, durability="disk"),
        }
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        events = sample()
        for number in range(requests + 20):
            for kind, act in kinds.items():
                taken = service.answer(next(events), act)
                if number >= 20:
                    seconds[kind].append(taken)
    return seconds


def main() -> int:
    """Measure once, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.client.service")
    parser.add_argument("--requests", type=int, default=3_000)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        seconds = measure(parser.parse_args().requests, Path(folder))
    base = sorted(seconds["without auditing"])
    table = Table(title="A service, milliseconds; store and queue are down")
    for column in ("service", "p50", "p99", "p99 beside no auditing"):
        table.add_column(column, justify="left" if column == "service" else "right")
    for kind, taken in seconds.items():
        taken.sort()
        p50, p99, base_p99 = (
            each[int(len(each) * share)] for each, share in ((taken, 0.5), (taken, 0.99), (base, 0.99))
        )
        table.add_row(kind, f"{p50 * 1e3:.2f}", f"{p99 * 1e3:.2f}", f"{(p99 / base_p99 - 1) * 100:+.1f} %")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
