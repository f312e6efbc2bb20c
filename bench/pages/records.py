"""`make bench-pages SMALL=10000 LARGE=10000000`: the auditor's pages at both sizes, beside a stock admin.

Times are the median of the whole answer, over HTTP, by a person who is logged in, the record of who looked included.
Exit status 0 only when each page of ours takes at most 150 ms at the large size, and at most 1.5 times the small one;
the run of reconcile, which is no page, only the latter. Of a smaller large size no time is asked.
"""

import argparse
import json
import statistics
import sys
import time
import urllib.parse
from datetime import UTC, datetime, timedelta

import psycopg
from rich.console import Console
from rich.table import Table

from bench import seed
from bench.fleet import Fleet
from bench.ledger import growth
from bench.ledger.log import connect
from bench.pages.queue import ROUNDS, Visitor, timed

SMALL, LARGE = 10_000, 10_000_000
LIMIT_MS, RATIO = 150.0, 1.5
STOCK_ROUNDS = 3
MIDDLE = """
SELECT event_timestamp, id FROM audit_record WHERE event_timestamp <= %s ORDER BY event_timestamp DESC, id DESC LIMIT 1
"""
RECORDS = "/admin/audit/record/"
console = Console(width=None if sys.stdout.isatty() else 150)


def paths(count: int, cursor: str, record: str) -> dict[str, str]:
    """What an auditor opens, each with its address."""
    quoted = urllib.parse.quote
    middle = seed.event(count // 2, datetime.now(UTC))
    day = datetime.now(UTC) - timedelta(days=45)
    return {
        "list: first page": f"{RECORDS}?q=",
        "list: half way down": f"{RECORDS}?q=&after={cursor}",
        "list: last 7 days": RECORDS,
        "search: an actor": f"{RECORDS}?q=actor:{middle['actor_id']}",
        "search: a type and failures": f"{RECORDS}?q={quoted('type:gateway.* outcome:failure')}",
        "search: a JSON member that one has": f"{RECORDS}?q=data.request:{middle['event_data']['request']}",
        "search: a JSON member that a third has": f"{RECORDS}?q=data.try:1",
        "search: one day": f"{RECORDS}?q=on:{day:%Y-%m-%d}",
        "a record": f"{RECORDS}{record}/change/",
        "timeline of a correlation": f"{RECORDS}timeline/?correlation={middle['correlation_id']}",
        "timeline of an actor": f"{RECORDS}timeline/?actor={middle['actor_id']}",
        "heat-map of 90 days": "/admin/audit/hourcount/?days=90",
        "completeness": "/admin/audit/gap/",
        "start page": "/admin/",
    }


TICK = f"a run of reconcile for {growth.NEW:,} new events"
STOCK = {"list: first page": "/stock/audit/stockrecord/", "search: an actor": "/stock/audit/stockrecord/?q=person-7"}


class Store:
    """A filled store that serves, and a person who comes in there."""

    def __init__(self, count: int):
        self.fleet = Fleet(
            drainers=0, workers=1, application="bench.wsgi:application", READER_STATEMENT_TIMEOUT_MS="120000"
        )
        try:
            self._fill(count)
        except BaseException:
            self.fleet.stop()
            raise

    def _fill(self, count: int) -> None:
        fleet = self.fleet
        fleet.start_servers()
        fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
        connect(fleet.env)
        seed.load(fleet.env["DATABASE_OWNER_URL"], count)
        fleet.manage("seal")
        growth.tick(fleet, 0)
        _analyze(fleet.env["DATABASE_OWNER_URL"])
        fleet.start_web()
        self.paths = paths(count, *_middle(fleet.env["DATABASE_OWNER_URL"]))

    def come_in(self) -> None:
        """Log in: not before it is measured, for a session that idles ends, and a large store takes long to fill."""
        self.visitor = Visitor(self.fleet)

    def open(self, name: str) -> float:
        """How long a page takes, in ms."""
        started = time.perf_counter()
        self.visitor.get(self.paths[name])
        return (time.perf_counter() - started) * 1000

    def stock(self, name: str) -> float:
        """The median of the same list in a stock admin, in ms."""
        return statistics.median(timed(lambda: self.visitor.get(STOCK[name]), STOCK_ROUNDS))


def measure(small: Store, large: Store, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """What each page took in both stores, in turns: what else the machine does falls on both."""
    times: dict[str, tuple[list[float], list[float]]] = {}
    for store in (small, large):
        store.come_in()
    for name in small.paths:
        _ = small.open(name), large.open(name)  # for warming up
        pairs = [(small.open(name), large.open(name)) for _ in range(rounds)]
        times[name] = ([few for few, _ in pairs], [many for _, many in pairs])
    ticks = [[growth.tick(store.fleet, growth.NEW) * 1000 for store in (small, large)] for _ in range(growth.TICKS)]
    times[TICK] = ([few for few, _ in ticks], [many for _, many in ticks])
    return times


def _analyze(url: str) -> None:
    """What autovacuum does within a minute or so after so much was written at once."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _middle(url: str) -> tuple[str, str]:
    """The cursor of a page in the middle of all, and the id of a record there."""
    from audit.models import Record
    from audit.search import query

    moment = datetime.now(UTC) - timedelta(days=seed.DAYS / 2)
    with psycopg.connect(url) as connection:
        row = connection.execute(MIDDLE, [moment]).fetchone()
    assert row is not None
    return query.cursor(Record(event_timestamp=row[0], id=row[1])), str(row[1])


def main() -> int:
    """Measure both sizes and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each page is opened")
    options = parser.parse_args()
    small = Store(options.small)
    try:
        large = Store(options.large)
        try:
            times = measure(small, large, options.rounds)
            theirs = {name: large.stock(name) for name in STOCK}
        finally:
            large.fleet.stop()
    finally:
        small.fleet.stop()
    return 0 if _print(options.small, options.large, times, theirs) or options.large < LARGE else 1


def _print(small: int, large: int, times: dict[str, tuple[list[float], list[float]]], theirs: dict[str, float]) -> bool:
    """Print both sizes side by side; return whether each page keeps its bounds."""
    table = Table("median (slowest), ms", f"{small:,}", f"{large:,}", "ratio", f"stock admin at {large:,}")
    passed = True
    for name, (of_small, of_large) in times.items():
        few, many = statistics.median(of_small), statistics.median(of_large)
        passed = passed and (many <= LIMIT_MS or name == TICK) and many / few <= RATIO
        stock = f"{theirs[name]:,.0f}" if name in theirs else ""
        cells = (f"{statistics.median(of):.0f} ({max(of):.0f})" for of in (of_small, of_large))
        table.add_row(name, *cells, f"{many / few:.2f}", stock)
    console.print(table)
    print(json.dumps({name: round(statistics.median(of_large)) for name, (_, of_large) in times.items()}))
    return passed


if __name__ == "__main__":
    sys.exit(main())
