"""`make years SIZE=20000000 SHARE=1`: what everything costs in a store of ten years, beside one of a month.

Both have 50 writers. The old one has 120 months of records, the checkpoints and cosignatures of as many minutes, and a
writer who began 20,000 epochs, sent 10,000 heartbeats and stated 5,000 manifests of what never came. Then each
scheduled task, page, call and command runs once in each: its time, memory, rows that PostgreSQL read, and the longest
lock that an insert would have waited for. SHARE takes that part of everything, and `--hostile 1` all of that writer; of
less than all no time is asked.
"""

import argparse
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bench import seed
from bench.drills import old_store
from bench.drills.watched import Cost, Runner, Watch
from bench.fleet import ROOT, Fleet
from bench.ledger.log import connect
from bench.load import median
from bench.pages.queue import Visitor, timed

SIZE, MONTHS = 20_000_000, 120
TASK_S, PAGE_MS, RATIO, LOCK_MS = 50.0, 300.0, 1.5, 100.0
# What takes less than this anyhow is not compared.
FLOOR_MS = 40.0
# Memory that a process may take more than beside the small store.
MORE_MB = 60.0
ROUNDS = 5
# What may cost more than 1.5 times the month's, and why.
LISTED = {
    "audit.tasks.account": "the hostile writer's events, heartbeats and manifests are there in one store alone",
    "audit.tasks.verify_newest": "no run came before it: it begins with the first leaf, and stops in time",
    "audit.tasks.verify_slice": "a slice is the 4,320th part of the log, and the log is 120 times as long",
    "audit.tasks.write_days": "it records every day that was not recorded: 3,650 of them, some each run",
    "manage.py verify": "it verifies everything: the whole log",
    "manage.py account": "the hostile writer's manifests wait for what never came, in one store alone",
    "manage.py reconcile": "the same",
    "manage.py coverage": "it prints a line for each writer and month",
    "page /admin/audit/record/?q=": "without a time the newest of each month are compared: 120 looks into an index",
    "GET events": "the same",
    "page /admin/audit/record/?q=correlation:ID": "a correlation may be of any month: its months are planned once",
    "page /admin/audit/record/timeline/?correlation=ID": "the same",
    "page /admin/audit/statement/": "a statement may be of any month",
    "page /admin/audit/gap/": "the hostile writer's gaps are there in one store alone",
    "page /admin/audit/hourcount/": "its writers are those of ten years",
}
SEALED = """
SELECT r.id, r.correlation_id FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
WHERE r.correlation_id LIKE 'rr-%' ORDER BY l.index DESC LIMIT 1
"""
COMMANDS = ("verify", "account", "coverage", "reconcile", "expectations", "partitions", "check --database default")
console = Console(width=None if sys.stdout.isatty() else 160)


class Bound(NamedTuple):
    """What may be at most, and which figures of a cost it is about."""

    text: str
    holds: Callable[[Cost, Cost], bool]


def bounds(name: str) -> list[Bound]:
    """What is asked of something with this name, of the month's cost and that of the years."""
    most_ms = PAGE_MS if name.startswith(("page ", "GET ")) else TASK_S * 1000
    asked = [
        Bound(f"at most {most_ms:,.0f} ms", lambda _, years: years.ms <= most_ms),
        Bound(f"within {RATIO} of a month's", lambda month, years: years.ms <= max(RATIO * month.ms, FLOOR_MS)),
    ]
    return asked[: 1 if name in LISTED else 2] if name != "manage.py verify" else []


def always(name: str) -> list[Bound]:
    """What is asked at any size."""
    return [
        Bound("memory flat", lambda month, years: years.mb <= month.mb + MORE_MB),
        Bound(f"no lock over {LOCK_MS:.0f} ms before an insert", lambda _, years: years.lock_ms <= LOCK_MS),
    ]


def pages(record: str, correlation: str) -> list[str]:
    """What people open."""
    from django.contrib.admin import autodiscover, site

    autodiscover()
    lists = [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in site._registry]
    records = "/admin/audit/record/"
    return [
        "/admin/",
        *(path for path in lists if path != records),
        records,
        f"{records}?q=",
        f"{records}?q=correlation:{correlation}",
        f"{records}?q=after:30d outcome:failure".replace(" ", "%20"),
        f"{records}{record}/change/",
        f"{records}timeline/?correlation={correlation}",
        "/status",
        "/metrics",
    ]


def calls(record: str) -> dict[str, str]:
    """What services ask, each with its address."""
    events = "/api/v1/audit/events"
    return {
        "GET events": f"{events}?limit=50",
        "GET events after 7d": f"{events}?limit=50&q=after:7d",
        "GET an event": f"{events}/{record}",
        "GET its proof": f"{events}/{record}/proof",
        "GET its bundle": f"{events}/{record}/bundle",
        "GET checkpoint": "/api/v1/audit/checkpoint",
        "GET checkpoints": "/api/v1/audit/checkpoints",
        "GET consistency": "/api/v1/audit/consistency?first=1",
    }


def measure(size: int, *, months: int, share: float, hostile: float) -> dict[str, Cost]:
    """Fill a store, and return what everything costs in it."""
    fleet = Fleet(drainers=0, workers=1, GAP_GRACE_S="0", EXPORT_DIR="")
    try:
        fleet.start_servers()
        fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
        connect(fleet.env)
        if months > 1:
            old_store.checkpoints(fleet, int(months * 43_800 * share))
        seed.load(fleet.env["DATABASE_OWNER_URL"], size, days=months * 365 // 12)
        fleet.manage("seal")
        # It ends with status 1 where it found something: by now the writers are silent.
        subprocess.run(
            [sys.executable, "manage.py", "reconcile", "--seconds", "86400"],
            cwd=ROOT,
            env=fleet.env,
            stdout=subprocess.DEVNULL,
        )
        if months > 1:
            old_store.a_hostile_writer(fleet, hostile)
        fleet.sql("ANALYZE")
        return _costs(fleet)
    finally:
        fleet.stop()


class _Costs(dict[str, Cost]):
    """Says each as soon as it is measured: the table comes hours later, and not at all after a fault."""

    def __setitem__(self, name: str, cost: Cost) -> None:
        console.print(f"{datetime.now(UTC):%H:%M:%SZ} {name}: {cost.ms:,.0f} ms, {cost.mb:.0f} MB", highlight=False)
        super().__setitem__(name, cost)


def _costs(fleet: Fleet) -> dict[str, Cost]:
    from audit.tasks import SCHEDULES

    costs = _Costs()
    with Watch(fleet) as watch:
        runner = Runner(fleet)
        for function, *_ in SCHEDULES.values():
            costs[function] = watch.forked(runner, "task", function)
        for command in COMMANDS:
            costs[f"manage.py {command}"] = watch.forked(runner, "command", command)
        runner.stop()
        fleet.start_web()
        row = fleet.sql(SEALED)[0]
        visitor, key = Visitor(fleet), fleet.new_writer()
        for path in pages(str(row[0]), str(row[1])):
            name = f"page {path}".replace(str(row[0]), "ID").replace(str(row[1]), "ID")
            costs[name] = watch.act(partial(_median_ms, partial(visitor.get, path)), "web")
        for name, path in calls(str(row[0])).items():
            costs[name] = watch.act(partial(_median_ms, partial(_call, fleet, key, path)), "web")
    return costs


def _median_ms(act: Callable[[], object]) -> float:
    return median(timed(act, ROUNDS))


def _call(fleet: Fleet, key: str, path: str) -> None:
    address = f"http://127.0.0.1:{fleet.site_port}{path}"
    asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked, timeout=120) as answer:
        answer.read()


def main() -> int:
    """Measure both stores, print them side by side, and exit 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--share", type=float, default=1)
    parser.add_argument("--hostile", type=float, help="the part of the hostile writer, where it is another one")
    options = parser.parse_args()
    size = max(int(options.size * options.share), MONTHS * 10)
    started = time.monotonic()
    hostile = options.share if options.hostile is None else options.hostile
    month = measure(size // MONTHS, months=1, share=options.share, hostile=hostile)
    years = measure(size, months=MONTHS, share=options.share, hostile=hostile)
    table = Table(f"{size:,} records", "a month", "ten years", "", "memory", "rows read", "locks", "lock, ms", "broken")
    broken = 0
    for name, cost in years.items():
        before = month[name]
        asked = always(name) + (bounds(name) if options.share >= 1 else [])
        wrong = [bound.text for bound in asked if not bound.holds(before, cost)]
        broken += bool(wrong)
        ratio, rows = f"{cost.ms / max(before.ms, 0.1):.1f} x", f"{before.rows:,} / {cost.rows:,}"
        memory, locks = f"{before.mb:.0f} / {cost.mb:.0f} MB", f"{before.locks} / {cost.locks}"
        times = f"{before.ms:,.0f} ms", f"{cost.ms:,.0f} ms", ratio
        table.add_row(name, *times, memory, rows, locks, f"{cost.lock_ms:.0f}", ", ".join(wrong))
    console.print(table)
    for name, why in LISTED.items():
        console.print(f"{name} may cost more: {why}.")
    console.print(f"{len(years)} measured in {time.monotonic() - started:,.0f} s, {broken} not within their bounds")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
