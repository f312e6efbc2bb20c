"""`make bench-client`: what auditing costs a service whose store and queue are both down, beside none and beside peers.

The service is a shop: Django under gunicorn, with a PostgreSQL of its own. A request reads an order, changes and saves
it in one transaction. Each kind of auditing has processes of its own, and all have the same load, in turns: half of
what the shop can do without auditing. Latencies begin when a request was due.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.client.shop import CONNECTIONS, KINDS, Shops
from bench.ingest.result import Goal, Result, Row
from bench.ingest.scene import ratios

P99_MOST = 1.05
PEERS = ("auditlog", "simple-history", "pghistory")
CLIENTS = ("auditclient-process", "auditclient-disk")
console = Console(width=None if sys.stdout.isatty() else 160)


@dataclass
class Latencies:
    """Milliseconds of one kind, a value a round."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def measure(shops: Shops, rounds: int, seconds: float) -> tuple[float, dict[str, Latencies]]:
    """Return the rate that all were given, requests a second, and how long their answers took."""
    for kind in KINDS:
        shops.load(kind, seconds / 5)
    rate = shops.load("none", seconds).rate / 2
    taken = {kind: Latencies() for kind in KINDS}
    kinds = list(KINDS)
    for turn in range(rounds):
        for kind in kinds[turn % len(kinds) :] + kinds[: turn % len(kinds)]:
            load = shops.load(kind, seconds, rate)
            taken[kind].p50.append(load.percentile(0.5))
            taken[kind].p99.append(load.percentile(0.99))
    return rate, taken


def compared(taken: dict[str, Latencies]) -> list[Row]:
    """The lines of the table: p99 beside no auditing, then the client beside each peer."""
    plain = taken["none"]
    rows = [Row(f"p50 of the shop {KINDS['none']}", "", None, plain.p50, remark="ms")]
    rows += [Row(f"p99 of the shop {KINDS['none']}", "", None, plain.p99, remark="ms")]
    for kind in ("none-again", *CLIENTS, *PEERS):
        goal = Goal(P99_MOST, at_least=False) if kind == CLIENTS[0] else None
        rows.append(Row(f"p99, {KINDS[kind]}", KINDS["none"], goal, ratios(taken[kind].p99, plain.p99)))
    rows.append(Row(f"p50, {KINDS['none-again']}", KINDS["none"], None, ratios(taken["none-again"].p50, plain.p50)))
    for kind in CLIENTS:
        for peer in PEERS:
            goal = Goal(1.0, at_least=False) if kind == CLIENTS[0] else None
            rows.append(Row(f"p50, {KINDS[kind]}", KINDS[peer], goal, ratios(taken[kind].p50, taken[peer].p50)))
    return rows


def main() -> int:
    """Measure, and print. Exit status 1 where a whole run misses a goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.client.service")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each kind in each round")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="auditsite-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
        with Shops(folder) as shops:
            rate, taken = measure(shops, asked.rounds, asked.seconds)
    about = f"{rate:.0f} changes a second over {CONNECTIONS} connections, {asked.rounds} rounds of {asked.seconds:g} s"
    result = Result({"load": f"{about}; store and queue are down"}, rows=compared(taken))
    result.print(console)
    is_whole = asked.rounds >= 5
    console.print("measured" if result.is_met or not is_whole else "[red]a goal was missed[/red]")
    return int(is_whole and not result.is_met)


if __name__ == "__main__":
    sys.exit(main())
