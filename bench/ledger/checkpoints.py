"""What a year of a steady trickle costs in checkpoints: one event a second, each sealed within the second.

python -m bench.ledger.checkpoints [--minutes 3] [--checkpoints 5000]

First a real sealer, at its own pace, for some minutes: how many of its heads stay. Then that many checkpoints, each
signed over a record of its own: their bytes, and how long it takes to verify them. Both give a year's.
"""

import argparse
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.ledger.log import connect
from bench.load import WRITER, sample

MINUTES_A_YEAR = 365 * 24 * 60
BYTES_MOST, SECONDS_MOST = 500e6, 300.0
BYTES = "SELECT sum(pg_total_relation_size(name)) FROM unnest('{audit_checkpoint,audit_head}'::regclass[]) name"
console = Console(width=None if sys.stdout.isatty() else 150)


def trickle(fleet: Fleet, minutes: float) -> float:
    """Store an event a second beside a sealer; return how many heads became checkpoints a minute."""
    from audit.formats import event
    from audit.ingest.record import store

    ends, before = time.monotonic() + minutes * 60, fleet.number("SELECT count(*) FROM audit_checkpoint")
    events = sample()
    while time.monotonic() < ends:
        store([event.accept(next(events), writer=WRITER)], timeout_s=20)
        time.sleep(1)
    return (fleet.number("SELECT count(*) FROM audit_checkpoint") - before) / minutes


def checkpoint_costs(fleet: Fleet, count: int) -> tuple[float, float]:
    """Sign so many checkpoints; return the bytes and the seconds of processor time of verification of each."""
    from audit.formats import event
    from audit.ingest.record import store
    from audit.ledger import keys, reader, seal
    from audit.ledger.verify import checkpoints
    from audit.ledger.verify.result import RunReport
    from audit.models import Verification

    sealer, events, before = seal.Sealer(), sample(), fleet.number(BYTES)
    for _ in range(count):
        store([event.accept(next(events), writer=WRITER)], timeout_s=20)
        sealer.once(from_start=True)
    taken = fleet.number(BYTES) - before
    report, started = RunReport(Verification()), time.process_time()
    size = reader.signed_size()
    links = checkpoints.cross_links(report, keys.load(), "reader")
    checked = sum(1 for _ in checkpoints.checkpoints(report, keys.load(), links, size, "reader", at_end=True))
    assert checked >= count, (checked, count)
    return taken / count, (time.process_time() - started) / checked


def main() -> None:
    """Measure, print, and exit 0 only where a year stays within both bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--checkpoints", type=int, default=5_000)
    options = parser.parse_args()
    fleet = Fleet(drainers=0)
    try:
        fleet.start_servers()
        connect(fleet.env)
        fleet.start_sealer()
        kept = trickle(fleet, options.minutes)
        fleet.stop_sealer()
        size, seconds = checkpoint_costs(fleet, options.checkpoints)
    finally:
        fleet.stop()
    a_year = max(kept, 1.0) * MINUTES_A_YEAR
    table = Table("one event a second", "measured", "a year")
    table.add_row("heads that stay", f"{kept:.1f} a minute", f"{a_year:,.0f}")
    table.add_row("their bytes", f"{size:.0f} each", f"{a_year * size / 1e6:,.0f} MB")
    table.add_row("verified in, of a core", f"{seconds * 1e6:.0f} µs each", f"{a_year * seconds:,.0f} s")
    console.print(table)
    sys.exit(0 if a_year * size < BYTES_MOST and a_year * seconds < SECONDS_MOST else 1)


if __name__ == "__main__":
    main()
