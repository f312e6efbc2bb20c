"""`make outage SIZE=120000`: ten minutes of events parked, then one drainer empties the queue while ingest goes on.

Exit status 0 only when the queue is empty within 15 s of PostgreSQL's return, no event that came meanwhile waited
in vain, and every promise was kept. Of fewer events than that only the promises count.
"""

import argparse
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.account import Verdict, compare, depth
from bench.fleet import Fleet
from bench.load import Ledger, Senders, wait_until

PARKED = 120_000
RATE = 200
"""Events a second that come in all the time."""
# From PostgreSQL's return until the queue is empty.
LIMIT_S = 15.0
THREADS = 4
console = Console(width=None if sys.stdout.isatty() else 100)


class Outage:
    """One outage."""

    def __init__(self, size: int):
        self.size = size
        self.fleet = Fleet(workers=2, drainers=1)
        self.ledger = Ledger()
        self.seconds = 0.0
        self.parked = 0
        self.verdict = Verdict()
        self.while_draining = 0

    def run(self) -> bool:
        """Fill, recover, drain, compare; say whether it was soon enough and whole."""
        self.fleet.start()
        key = self.fleet.new_writer()
        steady = Senders(
            self.fleet.ingest_port, key, self.ledger, count=THREADS, batch_every=10**9, rate=RATE / THREADS
        )
        many = Senders(self.fleet.ingest_port, key, self.ledger, count=2, batch_every=1, batch_size=100)
        self.fleet.postgres.stop()
        self._fill(many)
        steady.start()
        settled = self.ledger.answers["202"] + RATE
        wait_until(lambda: self.ledger.answers["202"] > settled, seconds=60, what="the steady ingest")
        self.fleet.postgres.start()
        self._drain()
        steady.stop()
        wait_until(lambda: depth(self.fleet) == 0, seconds=60, what="the last to be stored")
        self.parked = self.ledger.promised(202)
        self.verdict = compare(self.fleet, self.ledger)
        self._print(self.verdict)
        in_time = self.seconds <= LIMIT_S and self.while_draining >= RATE * self.seconds * 0.9
        return self.verdict.whole and (in_time or self.size < PARKED)

    def _fill(self, many: Senders) -> None:
        many.start()
        with _bar() as bar:
            task = bar.add_task("parking", total=self.size)
            while (parked := depth(self.fleet)) < self.size:
                bar.update(task, completed=parked)
                time.sleep(0.5)
        many.stop()

    def _drain(self) -> None:
        """From the moment that PostgreSQL takes connections."""
        before, started, here = len(self.ledger.acknowledged), time.monotonic(), depth(self.fleet)
        with _bar() as bar:
            task = bar.add_task("draining", total=here)
            while (left := depth(self.fleet)) > 0 and time.monotonic() - started < 10 * 60:
                bar.update(task, completed=here - left)
                time.sleep(0.1)
        self.seconds = time.monotonic() - started
        self.while_draining = len(self.ledger.acknowledged) - before

    def _print(self, verdict: Verdict) -> None:
        table = Table("figure", "value", title="Outage")
        rows = {
            "parked by 202": self.parked,
            "empty after PostgreSQL's return (s)": f"{self.seconds:.1f} (limit {LIMIT_S:.0f})",
            "drained a second": f"{self.parked / self.seconds:,.0f}",
            "ingested a second meanwhile": f"{self.while_draining / self.seconds:,.0f}",
            "records stored": verdict.stored,
            "lost": len(verdict.lost),
            "duplicated": verdict.duplicated,
            "altered": len(verdict.altered),
            "the sealed log": verdict.verification,
        }
        for name, value in rows.items():
            table.add_row(name, str(value))
        console.print(table)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def main() -> int:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue.outage")
    parser.add_argument("--size", type=int, default=PARKED)
    outage = Outage(parser.parse_args().size)
    try:
        passed = outage.run()
    finally:
        outage.fleet.stop()
    console.print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
