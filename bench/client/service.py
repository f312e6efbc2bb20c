"""`make bench-client`: what auditing costs a service whose store and queue are both down, beside none and beside peers.

The service is a shop: Django under gunicorn, with a PostgreSQL of its own. A request reads an order, changes and saves
it in one transaction. Each kind of auditing has processes of its own, and all have the same load, in turns: half of
what the shop can do without auditing. Latencies begin when a request was due.

A commit takes its disk twice as long in one second as in another, so a turn is short, there are many, and each ratio is
of two turns of one round. What a median of so many may be by chance stands beside it.
"""

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.client.shop import CONNECTIONS, KINDS, Shops
from bench.ingest.result import Goal, Result, Row

P99_MOST = 1.05
PEERS = ("auditlog", "simple-history", "pghistory")
# Beside which the client is shown too: it keeps less of a change than the client does, so no goal hangs on it.
LESS = ("pghistory-alone",)
CLIENTS = ("auditclient-process", "auditclient-disk")
# What the goals may hang on by a few hundredths has a turn in each round, all others in each fourth.
IN_EACH = ("none", "none-again", "auditclient-process", "pghistory", "pghistory-alone")
SELDOM = 4
# So often all processes are started anew: two that are the same differ by a twelfth, for as long as they live.
PARTS = 6
# Of fewer those that have a turn in each fourth have less than six values, which say nothing.
LEAST_ROUNDS = 24
console = Console(width=None if sys.stdout.isatty() else 160)


@dataclass
class Latencies:
    """Milliseconds of one kind, by the round."""

    p50: dict[int, float] = field(default_factory=dict)
    p99: dict[int, float] = field(default_factory=dict)


class Measurement:
    """How long the answers of each kind took, all at one rate (requests a second)."""

    def __init__(self, seconds: float):
        self.rate = 0.0
        self.taken = {kind: Latencies() for kind in KINDS}
        self._seconds = seconds
        # Of a fixed order each would always come after the same one, and have what that left to the disk.
        self._order = random.Random(1)

    def go_on(self, shops: Shops, turns: range) -> None:
        """Measure in these turns; the first shops that are measured say what the rate is."""
        for kind in KINDS:
            shops.load(kind, self._seconds)
        self.rate = self.rate or shops.load("none", 5 * self._seconds).rate / 2
        for turn in turns:
            kinds = [kind for kind in KINDS if kind in IN_EACH or turn % SELDOM == 0]
            self._order.shuffle(kinds)
            for kind in kinds:
                load = shops.load(kind, self._seconds, self.rate)
                self.taken[kind].p50[turn] = load.percentile(0.5)
                self.taken[kind].p99[turn] = load.percentile(0.99)


def compared(taken: dict[str, Latencies]) -> list[Row]:
    """The lines of the table: p99 beside no auditing, then the client beside each peer."""
    plain = taken["none"]
    rows = [Row(f"p50 of the shop {KINDS['none']}", "", None, [*plain.p50.values()], remark="ms")]
    rows += [Row(f"p99 of the shop {KINDS['none']}", "", None, [*plain.p99.values()], remark="ms")]
    for kind in ("none-again", *CLIENTS, *PEERS, *LESS):
        goal = Goal(P99_MOST, at_least=False) if kind == CLIENTS[0] else None
        rows.append(_row(f"p99, {KINDS[kind]}", KINDS["none"], goal, taken[kind].p99, plain.p99))
    rows.append(_row(f"p50, {KINDS['none-again']}", KINDS["none"], None, taken["none-again"].p50, plain.p50))
    for kind in CLIENTS:
        for peer in (*PEERS, *LESS):
            goal = Goal(1.0, at_least=False) if kind == CLIENTS[0] and peer in PEERS else None
            rows.append(_row(f"p50, {KINDS[kind]}", KINDS[peer], goal, taken[kind].p50, taken[peer].p50))
    return rows


def by_chance(values: list[float]) -> tuple[float, float] | None:
    """Between which two of the values their median is in 95 of 100 runs or more; None where they are fewer than six.

    How many of n values lie below the true median is a binomial number of n throws of a coin.
    """
    ordered, places, outside, aside = sorted(values), len(values), 0.0, -1
    while outside + (one_more := 2 * math.comb(places, aside + 1) / 2**places) <= 0.05:
        outside, aside = outside + one_more, aside + 1
    return (ordered[aside], ordered[places - 1 - aside]) if aside >= 0 else None


def _row(name: str, beside: str, goal: Goal | None, over: Mapping[int, float], under: Mapping[int, float]) -> Row:
    values = [value / under[turn] for turn, value in over.items() if turn in under]
    within = by_chance(values)
    return Row(name, beside, goal, values, remark=f"95 %: {within[0]:.3f} to {within[1]:.3f}" if within else "")


def main() -> int:
    """Measure, and print. Exit status 1 where a whole run misses a goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.client.service")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each kind in each round")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="auditsite-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
        measured = Measurement(asked.seconds)
        for part in range(PARTS):
            with Shops(folder / f"{part}") as shops:
                measured.go_on(shops, range(asked.rounds * part // PARTS, asked.rounds * (part + 1) // PARTS))
    about = f"{measured.rate:.0f} changes a second over {CONNECTIONS} connections, {asked.rounds} rounds of"
    about += f" {asked.seconds:g} s, all processes anew {PARTS} times; store and queue are down"
    result = Result({"load": about}, rows=compared(measured.taken))
    result.print(console)
    is_whole = asked.rounds >= LEAST_ROUNDS
    console.print("measured" if result.is_met or not is_whole else "[red]a goal was missed[/red]")
    return int(is_whole and not result.is_met)


if __name__ == "__main__":
    sys.exit(main())
