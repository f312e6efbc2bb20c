"""`make busy SECONDS=600`: full load on a saturated machine, and nothing broken; then PostgreSQL hangs.

Two busy loops and a loop of writes with fsync run beside the site. Slow is not an outage: exit status 0 only when no
outage and no finding was recorded, everything promised is stored, and what was parked was a write that took longer
than it may. Then PostgreSQL hangs for a while, once on the saturated machine and once without the loops: how long its
callers waited for their 202 is printed, and held to P99_MS and WORST_MS without the loops.
"""

import argparse
import sys
import time
from contextlib import ExitStack

import psycopg
from rich.console import Console
from rich.table import Table

from bench.account import compare, depth
from bench.drills.acts import Acts
from bench.drills.told import FINDINGS, OUTAGES
from bench.fleet import Fleet
from bench.load import Ledger, Senders, wait_until

HUNG_S = 10.0
P99_MS, WORST_MS = 50, 300
# A shorter run shows that all of it works; how long answers take on a site that has just begun says nothing.
JUDGED_FROM_S = 60
console = Console(width=None if sys.stdout.isatty() else 100)


class Busy:
    """One run."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.fleet = Fleet()
        self.acts = Acts(self.fleet)
        self.ledger = Ledger()
        self.table = Table("phase", "seconds", "201", "202", "202 p99, ms", "202 worst, ms")

    def run(self) -> bool:
        """Load, hang, compare; print the table and say whether all was as it must be."""
        self.fleet.start()
        self.fleet.start_worker()
        senders = Senders(self.fleet.port, self.fleet.new_writer(), self.ledger)
        senders.start()
        try:
            with ExitStack() as saturated:
                saturated.enter_context(self.acts.busy())
                self._phase("saturated, nothing broken", self.seconds)
                told = self._told()
                self._hung("saturated, PostgreSQL hung")
            hung_ms = self._hung("PostgreSQL hung")
        finally:
            senders.stop()
        self._drained()
        verdict = compare(self.fleet, self.ledger)
        console.print(self.table)
        console.print(f"told while nothing was broken: {', '.join(told) or 'nothing'}; the log: {verdict.verification}")
        in_time = self.seconds < JUDGED_FROM_S or (hung_ms[0] <= P99_MS and hung_ms[1] <= WORST_MS)
        return verdict.whole and not told and in_time

    def _hung(self, name: str) -> tuple[float, float]:
        """PostgreSQL hangs for a while; return p99 and worst of the 202 in ms, and wait until it is back."""
        self.fleet.postgres.freeze()
        try:
            found = self._phase(name, min(HUNG_S, self.seconds))
        finally:
            self.fleet.postgres.thaw()
        self._drained()
        return found

    def _phase(self, name: str, seconds: float) -> tuple[float, float]:
        before = self._latencies()
        time.sleep(seconds)
        after = self._latencies()
        waited = {status: sorted(after[status][len(before[status]) :]) for status in (201, 202)}
        parked_ms = [each * 1000 for each in waited[202]] or [0.0]
        p99, worst = parked_ms[int((len(parked_ms) - 1) * 0.99)], parked_ms[-1]
        counts = (f"{len(waited[status]):,}" for status in (201, 202))
        self.table.add_row(name, f"{seconds:.0f}", *counts, f"{p99:.0f}", f"{worst:.0f}")
        return p99, worst

    def _latencies(self) -> dict[int, list[float]]:
        with self.ledger.lock:
            return {status: list(self.ledger.latencies.get(status, ())) for status in (201, 202)}

    def _drained(self) -> None:
        wait_until(lambda: depth(self.fleet) == 0, seconds=300, what="the queue to be empty")

    def _told(self) -> list[str]:
        """The outages and findings that were recorded so far, in words."""
        with psycopg.connect(self.fleet.postgres.url("postgres", "drill")) as connection:
            outages = [f"an outage of {parked}" for _, _, parked in connection.execute(OUTAGES).fetchall()]
            counts = {name: connection.execute(query.encode()).fetchone() for name, query in FINDINGS.items()}
        return outages + [f"{row[0]} {name}" for name, row in counts.items() if row and row[0]]


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.busy")
    parser.add_argument("--seconds", type=float, default=600, help="of load before PostgreSQL hangs")
    busy, started = Busy(parser.parse_args().seconds), time.monotonic()
    try:
        passed = busy.run()
    finally:
        busy.acts.stop()
        busy.fleet.stop()
    verdict = "slow was no outage, nothing lost, duplicated or altered" if passed else "FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
