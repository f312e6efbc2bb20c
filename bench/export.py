"""`make bench-export`: how fast an evidence bundle is made, beside plain COPY, and how much memory it takes.

The same range of the log at two sizes, each in a process of its own: memory that grows with the size would show.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from bench import seed
from bench.fleet import ROOT, Fleet
from bench.log import connect

RECORDS = 200_000
SPARSE = "category:security"
console = Console(width=None if sys.stdout.isatty() else 150)


def one(first: int, last: int, query: str) -> None:
    """Make one bundle; print its records, its seconds, its bytes, and the most memory that the process had in MiB."""
    connect({})
    from audit import export
    from audit.export import Asker

    asker = Asker("bench")
    begun = export.ask(asker, query=query) if query else export.ask(asker, first=first, last=last)
    started = time.perf_counter()
    made = export.go_on(begun)
    seconds = time.perf_counter() - started
    assert made.state == "ready", made.error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(made.done, seconds, made.bytes, peak, made.name)


def measure(fleet: Fleet, last: int, query: str = "") -> tuple[int, float, int, int, str]:
    """The same in a process of its own."""
    script = "import sys, bench.export as e; e.one(0, int(sys.argv[1]), sys.argv[2])"
    command = [sys.executable, "-c", script, str(last), query]
    done = subprocess.run(command, cwd=ROOT, env=fleet.env, capture_output=True, text=True, check=True)
    records, seconds, size, peak, name = done.stdout.splitlines()[-1].split()
    return int(records), float(seconds), int(size), int(peak), name


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
    from audit.note import Signer

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
    """Print the table."""
    copied = records / plain_copy(fleet)
    table = Table("what", "records", "records/s", "beside COPY", "MiB", "peak memory", "verify.py")
    table.add_row("plain COPY of the table", f"{records:,}", f"{copied:,.0f}", "1.00", "", "", "")
    tries = {"a range, a tenth": (records // 10, ""), "a range, all": (records, ""), SPARSE: (0, SPARSE)}
    for what, (last, query) in tries.items():
        made, seconds, size, peak, name = measure(fleet, last, query)
        rate, checked = made / seconds, verified(fleet, name)
        speed = (f"{made:,}", f"{rate:,.0f}", f"{rate / copied:.2f}")
        table.add_row(what, *speed, f"{size >> 20}", f"{peak} MiB", f"{checked:.0f} s")
    console.print(table)


if __name__ == "__main__":
    main()
