"""`make bench-scale`: 1, 2 and 4 processes of ingest, then drainers, in turns; what each gains, and what is lost.

On one machine the generator, PostgreSQL, Redis and the processes share the cores. So the processor time of each part is
measured beside the rate, and what N processes do not gain is taken apart into three factors:

    rate of N / rate of one = N * cores * waits * dearer

    cores   the machine has fewer cores than N times what all parts kept busy with one process
    waits   of those that it has, so many were busy: the rest waited, for a lock, a commit, each other
    dearer  what an event costs all parts together, with one process beside with N

    python -m bench.ingest.processes [--share 1]
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import redis
from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.ingest import machine
from bench.ingest.batch import drained, park, ready
from bench.ingest.scene import BATCH, CONNECTIONS, Site, in_turns
from bench.wire import fire

COUNTS = (1, 2, 4)
SECONDS, WARM_S, ROUNDS, RECORDS = 6.0, 1.0, 3, 20_000
# A share below this is no measurement, only a look whether all of it works.
LEAST_SHARE = 0.2
REST = "the rest"
console = Console(width=None if sys.stdout.isatty() else 130, highlight=False)


@dataclass
class Spent:
    """What so many processes did, in all rounds together, and the processor seconds that each part spent on it."""

    events: int = 0
    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)

    def add(self, events: int, seconds: float, parts: dict[str, float]) -> float:
        """Note a round, with the processor seconds of each part, of the rest those a second; return the rate."""
        self.events, self.seconds = self.events + events, self.seconds + seconds
        for name, spent in parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + (spent * seconds if name == REST else spent)
        self.rates.append(events / seconds)
        return self.rates[-1]

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def busy(self) -> float:
        """How many cores were busy."""
        return sum(self.parts.values()) / self.seconds

    def micros(self, part: str | None = None) -> float:
        """Microseconds of processor time an event, of a part or of all."""
        spent = sum(self.parts.values()) if part is None else self.parts[part]
        return spent / self.events * 1e6


@dataclass(frozen=True)
class Factors:
    """Why N processes do not do N times the work of one: their product with N is the gain."""

    gain: float
    cores: float
    waits: float
    dearer: float


def factors(one: Spent, many: Spent, count: int, cores: int) -> Factors:
    """Take apart what `count` processes gain over one on a machine of so many cores."""
    wanted = count * one.busy
    there = min(wanted, cores)
    return Factors(many.rate / one.rate, there / wanted, many.busy / there, one.micros() / many.micros())


class Bench:
    """One installation, measured with more and more processes."""

    def __init__(self, share: float):
        self._seconds, self._records = SECONDS * share, max(BATCH, int(RECORDS * share))
        self._rounds = ROUNDS if share >= LEAST_SHARE else 1
        self.fleet = Fleet(drainers=0)
        self.ingest = {count: Spent() for count in COUNTS}
        self.drain = {count: Spent() for count in COUNTS}
        self.unpromised = 0

    def run(self) -> None:
        """Measure ingest, then the drain."""
        self.fleet.start()
        self._site = Site(self.fleet, self.fleet.new_writer())
        self._requests = self._site.single()
        for measure in (self._send, self._drain):
            runs: dict[str, Callable[[], float]] = {
                str(count): lambda count=count, measure=measure: measure(count)  # type: ignore[misc]
                for count in COUNTS
            }
            in_turns(self._rounds, runs)

    def _send(self, count: int) -> float:
        fleet, spent = self.fleet, self.ingest[count]
        fleet.stop_web()
        fleet.workers = count
        fleet.start_web()
        self._site.warm_up(min(WARM_S, self._seconds))
        with self._watched(
            {"generator": _children_s, "ingest": lambda: _seconds_of(fleet.processes("ingest"))}
        ) as took:
            load = fire(fleet.ingest_port, self._requests, seconds=self._seconds, connections=CONNECTIONS)
        took["generator"] = load.spent  # what its start and its end cost is neither in these seconds nor in the rest
        promised = sum(number for status, number in load.statuses.items() if 200 <= status < 300)
        self.unpromised += load.statuses.total() - promised
        return spent.add(promised, load.seconds, took)

    def _drain(self, count: int) -> float:
        events = park(self._site, self._records)
        with ready(self.fleet, count) as waiting:
            drainers = [psutil.Process(process.pid) for process in waiting]
            with self._watched({"drainers": lambda: _seconds_of(drainers)}) as took:
                seconds = max(drained(waiting))
        with redis.Redis.from_url(self.fleet.redis.url()) as client:
            self.unpromised += int(client.xlen("{dlq}:s"))
        return self.drain[count].add(events, seconds, took)

    @contextmanager
    def _watched(self, parts: dict[str, Callable[[], float]]) -> Iterator[dict[str, float]]:
        """Yield what each part spends meanwhile: of those given, how many processor seconds it has spent by now."""
        fleet = self.fleet
        parts = parts | {
            "PostgreSQL": lambda: _seconds_of(fleet.postgres.processes()),
            "Redis": lambda: _seconds_of(fleet.redis.processes()),
        }
        took: dict[str, float] = {}
        began, busy, started = {name: so_far() for name, so_far in parts.items()}, _busy_s(), time.perf_counter()
        yield took
        busy, seconds = _busy_s() - busy, time.perf_counter() - started
        took |= {name: so_far() - began[name] for name, so_far in parts.items()}
        # Of the system: what it writes behind, interrupts, whatever else runs. A second: this began before the load.
        took[REST] = max(busy - sum(took.values()), 0.0) / seconds


def _seconds_of(processes: list[psutil.Process]) -> float:
    """Processor seconds of processes that still run, and of their children that have ended."""
    total = 0.0
    for process in processes:
        try:
            total += sum(process.cpu_times()[:4])
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


def _children_s() -> float:
    """Processor seconds of the children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_s() -> float:
    """Seconds that all cores together were at work since the machine started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Of guests is in those of users already.
    return float(sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def report(title: str, of: dict[int, Spent], cores: int) -> None:
    """Print what each count gained, and what an event cost each part."""
    gains = Table(title=title)
    for name in ("processes", "events/s (least to most)", "gain", "= processes", "x cores", "x waits", "x dearer"):
        gains.add_column(name, justify="right")
    costs = Table(title=f"{title}: processor µs an event")
    parts = list(of[COUNTS[0]].parts)
    for name in ("processes", *parts, "all", f"cores busy of {cores}"):
        costs.add_column(name, justify="right")
    for count, spent in of.items():
        found = factors(of[COUNTS[0]], spent, count, cores)
        shares = (f"{value:.2f}" for value in (found.cores, found.waits, found.dearer))
        rates = f"{spent.rate:,.0f} ({min(spent.rates):,.0f} to {max(spent.rates):,.0f})"
        gains.add_row(str(count), rates, f"{found.gain:.2f}", str(count), *shares)
        micros = (f"{spent.micros(part):,.0f}" for part in (*parts, None))
        costs.add_row(str(count), *micros, f"{spent.busy:.2f}")
    console.print(gains)
    console.print(costs)


def main() -> int:
    """Measure and print; exit status 1 where something was refused, or stayed in the queue."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest.processes")
    parser.add_argument("--share", type=float, default=1.0, help="of the time and the events of a whole bench")
    bench, started = Bench(parser.parse_args().share), time.monotonic()
    try:
        bench.run()
        for name, text in machine.about(bench.fleet).items():
            console.print(f"{name}: {text}", soft_wrap=True)
    finally:
        bench.fleet.stop()
    cores = psutil.cpu_count() or 1
    report(f"ingest: single events, {CONNECTIONS} connections", bench.ingest, cores)
    report("drain of what was parked", bench.drain, cores)
    verdict = "every event promised, every queue empty" if not bench.unpromised else f"{bench.unpromised} FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 1 if bench.unpromised else 0


if __name__ == "__main__":
    sys.exit(main())
