"""`make upgrade FROM=commit RECORDS=100000 SECONDS=30`: from an earlier commit to this one, while events are sent.

The earlier commit's site serves a filled store. This commit's `manage.py migrate` runs beside it, then every process is
ended and started again with this commit's code. Exit status 0 only when nothing promised is lost, duplicated or
altered, the log verifies, the migrated database passes the system checks, and at most 1 % of the events were answered
202.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.account import compare, depth
from bench.fleet import ROOT, Fleet
from bench.ingest.against import python_of, unpack
from bench.ledger.log import connect
from bench.load import Ledger, Senders, wait_until

# The last commit before few checkpoints stayed.
FROM = "fc2eaf1"
SENDERS, RATE = 4, 20.0
PARKED_MOST = 0.01
console = Console(width=None if sys.stdout.isatty() else 150)


def migrate(fleet: Fleet) -> float:
    """Run this commit's migrations; return the seconds that they took.

    Raises `RuntimeError`, also where the database is not what this commit makes of an empty one: a migration that was
    there before was changed, and whoever had run it keeps what it did.
    """
    started = time.monotonic()
    _manage(fleet, "migrate", "--verbosity", "0")
    took = time.monotonic() - started
    _manage(fleet, "check", "--database", "default")
    return took


def _manage(fleet: Fleet, *words: str) -> None:
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=ROOT, env=fleet.env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"manage.py {words[0]} failed:\n{done.stdout}{done.stderr}")


def fill(fleet: Fleet, records: int) -> None:
    """Fill the store by the earlier commit's own means, which know its tables."""
    command = [fleet.python, "-m", "bench.seed", "--records", str(records)]
    subprocess.run(command, cwd=fleet.root, env=fleet.env, check=True)


def run(folder: Path, records: int, seconds: float) -> bool:
    """Fill, send, migrate, restart, compare; say whether all was as it must be."""
    fleet, ledger = Fleet(root=folder, python=python_of(folder)), Ledger()
    senders = None
    try:
        fleet.start_servers()
        connect(fleet.env)
        fill(fleet, records)
        fleet.start_services()
        senders = Senders(fleet.port, fleet.new_writer(), ledger, count=SENDERS, rate=RATE)
        senders.start()
        time.sleep(seconds)
        before = ledger.promised(202)
        took = migrate(fleet)
        console.print(f"migrated in {took:.1f} s; {ledger.promised(202) - before} events answered 202 meanwhile")
        time.sleep(seconds)
        fleet.restart(ROOT, sys.executable)
        console.print("every process runs this commit's code")
        time.sleep(seconds)
        senders.stop()
        wait_until(lambda: depth(fleet) == 0, seconds=300, what="the queue to be empty")
        verdict = compare(fleet, ledger)
    finally:
        if senders is not None:
            senders.stop()
        fleet.stop()
    parked, promised = ledger.promised(202), len(ledger.acknowledged)
    share = parked / max(promised, 1)
    console.print(f"{promised:,} events promised, {parked:,} of them by 202 ({share:.2%}); {verdict.verification}")
    return verdict.whole and promised > 0 and share <= PARKED_MOST


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="commit", default=FROM)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="auditsite-upgrade-") as folder:
        try:
            unpack(options.commit, Path(folder))
        except ValueError as error:
            parser.error(str(error))
        passed = run(Path(folder), options.records, options.seconds)
    verdict = "nothing lost, duplicated or altered" if passed else "FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
