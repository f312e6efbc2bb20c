"""`make growth SMALL=100000 LARGE=10000000`: what a run of reconcile costs in stores of so many records.

Both stores are filled with COPY, sealed and reconciled to their end. Then the same number of new events comes, and the
run that takes note of them is timed, several times. It touches only what is new, so both should cost the same.
"""

import argparse
import subprocess
import sys
import time
from itertools import islice

from rich.console import Console
from rich.table import Table

from bench import seed
from bench.fleet import ROOT, Fleet
from bench.ledger.log import connect
from bench.load import median, sample

SMALL, LARGE = 100_000, 10_000_000
NEW, TICKS = 5_000, 7
MOST = 1.5
console = Console(width=None if sys.stdout.isatty() else 150)


def tick(fleet: Fleet, events: int) -> float:
    """Seconds that one run takes for this many new events, the start of its process left out."""
    script = "import sys, time, bench.ledger.growth as g; g.one_tick(int(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(events)], cwd=ROOT, env=fleet.env, capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def one_tick(events: int) -> None:
    """Store and seal new events, then print how long reconciling takes. In a process of its own."""
    connect({})
    from audit.completeness import reconcile
    from audit.formats import event
    from audit.ingest.record import store
    from audit.ledger import seal

    for _ in range(events // 1_000):
        fresh = [event.accept(document, writer="growth") for document in islice(sample(), 1_000)]
        store(fresh, timeout_s=60)
    while seal.Sealer().once(from_start=True).more:
        pass
    started = time.perf_counter()
    read = reconcile.reconcile().read
    print(time.perf_counter() - started)
    assert read >= events, (read, events)


def measure(records: int, ticks: int) -> tuple[float, float]:
    """Fill a store; return the seconds of its first run over all of it, and the median of the runs for what is new."""
    fleet = Fleet(drainers=0, GAP_GRACE_S="0")
    try:
        fleet.start_servers()
        connect(fleet.env)
        seed.load(fleet.env["DATABASE_OWNER_URL"], records)
        fleet.manage("seal")
        started = time.perf_counter()
        tick(fleet, 0)
        whole = time.perf_counter() - started
        return whole, median(tick(fleet, NEW) for _ in range(ticks))
    finally:
        fleet.stop()


def main() -> None:
    """Measure both, print, and exit 0 only when the larger store costs no more than it may; of a full size only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    parser.add_argument("--ticks", type=int, default=TICKS, help="how often each is timed")
    options = parser.parse_args()
    table = Table("records", "first run over all", f"a run for {NEW:,} new events", "beside the smaller")
    costs = []
    for records in (options.small, options.large):
        whole, cost = measure(records, options.ticks)
        costs.append(cost)
        table.add_row(f"{records:,}", f"{whole:.1f} s", f"{cost * 1000:.0f} ms", f"{cost / costs[0]:.2f}")
    console.print(table)
    sys.exit(0 if costs[-1] / costs[0] <= MOST or options.large < LARGE else 1)


if __name__ == "__main__":
    main()
