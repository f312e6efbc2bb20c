"""`make soak MINUTES=60`: a whole installation at half of its load; are memory, connections and files flat?

Prints what each service held at the beginning and at the end, and writes soak.json and soak.svg. Exit status 1 where
something that was promised went wrong or, after JUDGED_FROM_MINUTES, where something grew.
"""

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from bench.account import depth
from bench.fleet import Fleet
from bench.ingest import chart, machine
from bench.ingest.__main__ import OUT
from bench.ingest.result import figure
from bench.ingest.scene import CONNECTIONS, Site
from bench.wire import Load, fire

SERVICES = ("web", "ingest", "drainer-0", "sealer", "worker")
# Of records and their indexes, and as much again for the log of PostgreSQL: so much is asked of the disk.
BYTES_PER_EVENT = 8_192
# Load is sent and all is looked at once in so long; the shorter run looks thirty times as well.
WINDOW_S = 60.0
LOOKS = 30
JUDGED_FROM_MINUTES = 10.0
# What may come on top between the second sixth of the time and the last before it counts as growth.
GROWTH_SHARE = 0.1
GROWTH_LEAST = {"memory": 8.0, "connections": 4.0, "files": 8.0}
UNITS = {"memory": "MiB", "connections": "open", "files": "open"}
TITLES = {
    "memory": "Memory that no other process shares (USS), sum of the processes of a service",
    "connections": "Connections, sum of the processes of a service",
    "files": "Open files, pipes and sockets, sum of the processes of a service",
}
console = Console(width=None if sys.stdout.isatty() else 120)


class Look(NamedTuple):
    """What one service held at one moment."""

    minute: float
    service: str
    memory: float
    connections: float
    files: float


class Soak:
    """One run."""

    def __init__(self, minutes: float):
        self.seconds = minutes * 60
        self.window_s = min(WINDOW_S, self.seconds / LOOKS)
        self.fleet = Fleet(drainers=1)
        self.looks: list[Look] = []
        self.statuses: Counter[int] = Counter()
        self.late_ms: list[float] = []
        self.full_rate = 0.0

    def run(self) -> None:
        """Find the full rate, then send half of it for the whole time."""
        self.fleet.start()
        self.fleet.start_worker()
        site = Site(self.fleet, self.fleet.new_writer())
        requests = site.single()
        self._fire(requests, None)  # what is loaded at the first request is loaded now
        self.full_rate = self._fire(requests, None).rate
        self._ask_disk()
        self.statuses.clear()
        started = time.monotonic()
        self._look(started)
        while time.monotonic() - started < self.seconds:
            self.late_ms.append(self._fire(requests, self.full_rate / 2).percentile(0.99))
            self._look(started)

    def grown(self) -> list[str]:
        """What was more in the last sixth of the time than in the second, in words."""
        found = []
        for kind, of_services in self.series().items():
            for service, points in of_services.items():
                sixth = max(1, len(points) // 6)
                early, late = (mean(y for _, y in part) for part in (points[sixth : 2 * sixth], points[-sixth:]))
                if late > early * (1 + GROWTH_SHARE) and late > early + GROWTH_LEAST[kind]:
                    found.append(f"{kind} of {service}: {figure(early)}, later {figure(late)} {UNITS[kind]}")
        return found

    def series(self) -> dict[str, chart.Series]:
        """By kind and service: minutes and values."""
        return {
            kind: {
                service: [(look.minute, getattr(look, kind)) for look in self.looks if look.service == service]
                for service in dict.fromkeys(look.service for look in self.looks)
            }
            for kind in UNITS
        }

    def _fire(self, requests: list[bytes], rate: float | None) -> Load:
        load = fire(self.fleet.ingest_port, requests, seconds=self.window_s, connections=CONNECTIONS, rate=rate)
        self.statuses += load.statuses
        return load

    def _ask_disk(self) -> None:
        """Raise `SystemExit` where the disk has no room for all that will be sent."""
        needed, free = self.full_rate / 2 * self.seconds * BYTES_PER_EVENT, shutil.disk_usage(self.fleet.folder).free
        if needed > free:
            raise SystemExit(
                f"{self.fleet.folder} has {free / 2**30:.0f} GiB free, and this run would write about "
                f"{needed / 2**30:.0f} GiB: set TMPDIR to a larger disk, or fewer MINUTES."
            )

    def _look(self, started: float) -> None:
        minute = (time.monotonic() - started) / 60
        of_services = {name: self.fleet.processes(name) for name in SERVICES if self.fleet.has(name)}
        of_services |= {"PostgreSQL": self.fleet.postgres.processes(), "Redis": self.fleet.redis.processes()}
        for service, processes in of_services.items():
            self.looks.append(
                Look(
                    minute,
                    service,
                    _sum(processes, lambda process: process.memory_full_info().uss / 2**20),
                    _sum(processes, lambda process: len(process.net_connections(kind="all"))),
                    _sum(processes, lambda process: process.num_fds()),
                )
            )


def _sum(processes: list[psutil.Process], held: Callable[[psutil.Process], float]) -> float:
    """Over all that still run: PostgreSQL's helpers come and go."""
    total = 0.0
    for process in processes:
        try:
            total += held(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError):
            continue
    return total


def report(soak: Soak, out: Path) -> bool:
    """Print the table, write the files, say whether all was well."""
    series = soak.series()
    table = Table("service", *(f"{kind}, {unit}: first, last, most" for kind, unit in UNITS.items()))
    for service in series["memory"]:
        values = ([y for _, y in series[kind][service]] for kind in UNITS)
        table.add_row(service, *(f"{figure(v[0])}, {figure(v[-1])}, {figure(max(v))}" for v in values))
    console.print(table)
    answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(soak.statuses.items()))
    said = f"{soak.full_rate / 2:,.0f} of {soak.full_rate:,.0f} events/s for {soak.seconds / 60:g} minutes"
    console.print(f"{said}: {answers}; p99 {figure(max(soak.late_ms))} ms in the worst window", highlight=False)
    out.mkdir(parents=True, exist_ok=True)
    kept = {"about": machine.about(soak.fleet), "load": said, "looks": [look._asdict() for look in soak.looks]}
    (out / "soak.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    drawn = chart.panels([(TITLES[kind], UNITS[kind], series[kind]) for kind in UNITS], title=said)
    (out / "soak.svg").write_text(drawn, encoding="utf-8")
    grown = soak.grown() if soak.seconds >= JUDGED_FROM_MINUTES * 60 else []
    for line in grown:
        console.print(f"[red]grew:[/red] {line}", highlight=False)
    whole = soak.statuses.keys() <= {201, 202} and depth(soak.fleet) == 0
    return whole and not grown


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="for soak.json and soak.svg")
    options = parser.parse_args()
    soak = Soak(options.minutes)
    try:
        soak.run()
        passed = report(soak, options.out)
    finally:
        soak.fleet.stop()
    console.print(f"{'flat' if passed else 'FAILED'}: {options.out / 'soak.svg'}", highlight=False, soft_wrap=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
