"""`make bench-export`: how fast an evidence bundle is made, beside plain COPY, and how much memory it takes.

The same range of the log at two sizes, each in a process of its own: memory that grows with the size would show.
"""

import argparse
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from bench import seed
from bench.fleet import ROOT, Fleet
from bench.ledger.log import connect

RECORDS = 200_000
SPARSE = "category:security"
console = Console(width=None if sys.stdout.isatty() else 150)


def one(first: int, last: int, query: str) -> None:
    """Make one bundle; print its records, its seconds, of the CPU too, its bytes, and the most memory in MiB."""
    connect({})
    from audit.evidence import build, export
    from audit.evidence.request import Requester

    requester = Requester("bench")
    begun = export.request(requester, query=query) if query else export.request(requester, first=first, last=last)
    started, worked = time.perf_counter(), time.process_time()
    made = build.resume(begun)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    assert made.state == "ready", made.error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(made.done, seconds, worked, made.bytes, peak, made.name)


class Measured(NamedTuple):
    """What one bundle took."""

    records: int
    seconds: float
    cpu: float
    """Seconds of the process and of PostgreSQL together: other work on the machine hardly changes them."""
    size: int
    peak: int
    name: str


def measure(fleet: Fleet, last: int, query: str = "") -> Measured:
    """The same in a process of its own."""
    script = "import sys, bench.evidence.export as e; e.one(0, int(sys.argv[1]), sys.argv[2])"
    command = [sys.executable, "-c", script, str(last), query]
    before = cpu_of(fleet)
    done = subprocess.run(command, cwd=ROOT, env=fleet.env, capture_output=True, text=True, check=True)
    records, seconds, worked, size, peak, name = done.stdout.splitlines()[-1].split()
    cpu = float(worked) + cpu_of(fleet) - before
    return Measured(int(records), float(seconds), cpu, int(size), int(peak), name)


def cpu_of(fleet: Fleet) -> float:
    """Seconds of the CPU that PostgreSQL has had, with those of connections that are closed."""
    while True:
        # A connection may close between the two; PostgreSQL's first process counts it from then on.
        with suppress(psutil.NoSuchProcess):
            return float(sum(sum(process.cpu_times()[:4]) for process in fleet.postgres.processes()))


def plain_copy(fleet: Fleet) -> float:
    """Seconds that COPY takes for the same table into a file."""
    started = time.perf_counter()
    statement = "COPY (SELECT * FROM audit_record) TO STDOUT"
    with (
        psycopg.connect(fleet.postgres.url("postgres", "drill")) as connection,
        connection.cursor().copy(statement) as copy,
        (fleet.folder / "copy").open("wb") as file,
    ):
        file.writelines(copy)
    return time.perf_counter() - started


def verified(fleet: Fleet, name: str) -> float:
    """Seconds that verify.py takes for a bundle."""
    from audit.formats.note import Signer

    keys = [str(Signer.parse(fleet.env[kind])) for kind in ("SEAL_KEY", "RECEIPT_KEY")]
    bundle = Path(fleet.env["EXPORT_DIR"]) / name
    command = [sys.executable, "verify.py", "evidence", str(bundle), "--key", keys[0], "--receipt-key", keys[1]]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    records = parser.parse_args().records
    fleet = Fleet(drainers=0)
    folder = fleet.folder / "exports"
    folder.mkdir()
    try:
        fleet.start_servers()
        fleet.env["EXPORT_DIR"] = str(folder)
        connect(fleet.env)
        seed.load(fleet.env["DATABASE_OWNER_URL"], records)
        fleet.manage("seal")
        report(fleet, records)
    finally:
        fleet.stop()


def report(fleet: Fleet, records: int) -> None:
    """Print the table; each bundle beside a COPY just before it, which has the same other work on the machine."""
    heads = ("what", "records", "records/s", "COPY, records/s", "ratio", "CPU s", "MiB", "peak memory", "verify.py")
    table = Table(*heads)
    tries = {"a range, a tenth": (records // 10, ""), "a range, all": (records, ""), SPARSE: (0, SPARSE)}
    for what, (last, query) in tries.items():
        copied, found = records / plain_copy(fleet), measure(fleet, last, query)
        rate, checked = found.records / found.seconds, verified(fleet, found.name)
        speed = (f"{found.records:,}", f"{rate:,.0f}", f"{copied:,.0f}", f"{rate / copied:.2f}", f"{found.cpu:.1f}")
        table.add_row(what, *speed, f"{found.size >> 20}", f"{found.peak} MiB", f"{checked:.0f} s")
    console.print(table)


if __name__ == "__main__":
    main()
