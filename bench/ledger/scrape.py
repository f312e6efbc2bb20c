"""What a scrape and the page of the log take in a store with very many checkpoints, cosignatures and gaps.

python -m bench.ledger.scrape [--checkpoints 5000000] [--cosignatures 3000000] [--gaps 30000] [--heartbeats 10000]

All checkpoints have the same signed note, of the empty log: they are read here, not verified. Exit status 0 only when
a scrape takes at most 50 ms and the page 100 ms, the median of the whole answer over HTTP; of fewer no time is asked.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from rich.console import Console
from rich.table import Table

from audit.formats import note, tiles
from audit.formats.note import Signer
from bench.drills.old_store import COSIGNED, HEAD, HEARD, WITNESS
from bench.fleet import Fleet
from bench.ledger.log import connect
from bench.load import median
from bench.pages.queue import Visitor, timed

CHECKPOINTS, COSIGNATURES = 5_000_000, 3_000_000
MOST_MS = {"/metrics": 50.0, "/admin/audit/checkpoint/": 100.0}
BESIDE = ("/admin/", "/admin/audit/gap/")
PORTION = 500_000
KEPT = """
INSERT INTO audit_checkpoint (number, size, root, note, created_at)
SELECT n, 0, %s, %s, now() - make_interval(mins => %s - n) FROM generate_series(%s::int, %s::int - 1) n
"""
GAPS = """
WITH numbering AS (
    INSERT INTO audit_numbering (writer, epoch, highest, events, reused, reused_first)
    SELECT 'hostile', 'e' || n, 2, 1, 0, '[]' FROM generate_series(1, %s) n RETURNING id
)
INSERT INTO audit_gap (numbering_id, first, last, missing, before_at, found_at, told_at, tail, owner, explanation)
SELECT id, 1, 1, 1, now(), now() - random() * interval '90 days', now(), false, '', '' FROM numbering
"""
console = Console(width=None if sys.stdout.isatty() else 120)


def fill(fleet: Fleet, options: argparse.Namespace) -> None:
    """Store so many checkpoints, of which the newest are cosigned, and what a hostile writer leaves."""
    signer, root = Signer("drill.example/log", bytes(32)), tiles.Edge().root()
    text = note.TreeHead(signer.name, 0, root).text
    signed = note.join(text, [signer.sign(text), signer.cosign(text, int(datetime.now(UTC).timestamp()))])
    for first in range(0, options.checkpoints, PORTION):
        last = min(first + PORTION, options.checkpoints)
        fleet.sql(KEPT, root, signed, options.checkpoints, first, last)
    fleet.sql(HEAD)
    fleet.sql(f"{COSIGNED} WHERE number >= %s", WITNESS, WITNESS, options.checkpoints - options.cosignatures)
    fleet.sql(GAPS, options.gaps)
    fleet.sql(HEARD, options.heartbeats)
    # As the schedule does each minute.
    fleet.manage("shell", "-c", "from audit.completeness import counts; counts.fold(lambda: False)")
    fleet.sql("VACUUM ANALYZE")


def measure(options: argparse.Namespace, beside: Callable[[Fleet], None] | None = None) -> dict[str, float]:
    """Return what each page takes, in ms, the median of many; `beside` is called while the store is there."""
    fleet = Fleet(drainers=0, workers=1)
    try:
        fleet.start_servers()
        fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
        connect(fleet.env)
        fill(fleet, options)
        fleet.start_web()
        visitor = Visitor(fleet)
        taken = {path: median(timed(partial(visitor.get, path))) for path in (*MOST_MS, *BESIDE)}
        if beside is not None:
            beside(fleet)
        return taken
    finally:
        fleet.stop()


def main() -> int:
    """Measure, print, and return 1 where one of these takes too long at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=CHECKPOINTS)
    parser.add_argument("--cosignatures", type=int, default=COSIGNATURES)
    parser.add_argument("--gaps", type=int, default=30_000)
    parser.add_argument("--heartbeats", type=int, default=10_000)
    options = parser.parse_args()
    taken = measure(options)
    table = Table(f"{options.checkpoints:,} checkpoints, {options.cosignatures:,} cosignatures", "ms", "at most")
    for path, ms in taken.items():
        table.add_row(path, f"{ms:.0f}", f"{MOST_MS[path]:.0f}" if path in MOST_MS else "")
    console.print(table)
    is_full = options.checkpoints >= CHECKPOINTS and options.cosignatures >= COSIGNATURES
    return int(is_full and any(taken[path] > most for path, most in MOST_MS.items()))


if __name__ == "__main__":
    sys.exit(main())
