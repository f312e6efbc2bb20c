"""`make sizing`: what a rate of events needs, by a simulation of installations whose figures were measured.

One machine cannot show 100,000 events a second. It can show what one installation does, and how far a simulation of
one says the same: `check` prints both. What is simulated for more is so many of them side by side: they share nothing.
"""

import argparse
import math
import random
import statistics
import sys
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

TICK_S = 0.01
YEAR_S = 365.25 * 86_400


class Measured(NamedTuple):
    """One installation on 2 cores, load and servers included (docs/speed.md)."""

    single_s: float = 2_212
    """POSTs of one event of 1.25 KB that are stored, a second (`make bench-purge`, alone)."""
    batched_s: float = 10_140
    """Events in batches of 500 that are stored, a second (`make bench-log`)."""
    drained_s: float = 9_610
    """Parked events that one drainer stores, a second, with both cores almost its own (`make outage`)."""
    sealed_s: float = 87_000
    """Leaves a second (`make bench-log`)."""
    round_s: float = 0.4
    """SEAL_INTERVAL_MS."""
    signing_s: float = 0.02
    """Signing a head and committing it: a guess, ten commits of this disk."""
    event_bytes: int = 2_346
    """On the disk with its indexes, its leaf and what the log adds."""
    wal_bytes: int = 3_969
    parked_bytes: int = 1_300


class Outcome(NamedTuple):
    """What was simulated of one installation."""

    lag_p50_s: float
    """From being stored to the signed head that covers it."""
    lag_p99_s: float
    deepest: int
    """Events in the queue, at most."""
    empty_after_s: float
    """From PostgreSQL's return to an empty queue; infinite where it never is."""


def simulate(rate: float, store_s: float, facts: Measured, *, outage_s: float, seconds: float, seed: int) -> Outcome:
    """Events arrive by chance at `rate` a second; PostgreSQL is away for `outage_s` after a third of the time.

    `store_s` is what it stores a second, from requests; what the drainer stores comes out of the same.
    """
    chance, ticks = random.Random(seed), int(seconds / TICK_S)
    down = range(int(seconds / 3 / TICK_S), int((seconds / 3 + outage_s) / TICK_S))
    parked = deepest = 0.0
    emptied: float = math.inf if outage_s else 0.0
    unsealed: list[tuple[float, float]] = []
    lags: list[float] = []
    next_round = 0.0
    for tick, arrived in enumerate(_arrivals(rate * TICK_S, chance) for _ in range(ticks)):
        now, is_down = tick * TICK_S, tick in down
        if is_down:
            parked += arrived
        else:
            stored = min(float(arrived), store_s * TICK_S)
            # What cannot be stored in time is parked, as by RECORD_PATIENCE_MS; the drainer has the capacity left.
            parked += arrived - stored
            drained = min(parked, facts.drained_s * TICK_S * (1 - stored / (store_s * TICK_S)))
            parked -= drained
            unsealed.append((now, stored + drained))
            if tick >= down.stop and parked < rate * TICK_S and math.isinf(emptied):
                emptied = now - down.stop * TICK_S
        deepest = max(deepest, parked)
        if now >= next_round and not is_down:
            leaves = sum(count for _, count in unsealed)
            done = now + leaves / facts.sealed_s + facts.signing_s
            lags += [done - stored_at for stored_at, count in unsealed if count]
            unsealed.clear()
            next_round = max(now + facts.round_s, done)
    parts = statistics.quantiles(lags, n=100)
    return Outcome(parts[49], parts[98], int(deepest), emptied)


def _arrivals(mean: float, chance: random.Random) -> int:
    """How many events arrive in a tick: a Poisson number, by a normal one where they are many."""
    if mean > 50:
        return max(round(chance.gauss(mean, math.sqrt(mean))), 0)
    count, product = 0, chance.random()
    while product > math.exp(-mean):
        count, product = count + 1, product * chance.random()
    return count


def check(facts: Measured, seed: int) -> list[tuple[str, str, str]]:
    """What a simulation says beside what was measured and is none of its figures: name, simulated, measured."""
    single = simulate(500, facts.single_s, facts, outage_s=0, seconds=60, seed=seed)
    batched = simulate(facts.batched_s, facts.batched_s, facts, outage_s=0, seconds=60, seed=seed)
    return [
        ("from stored to signed, single events, p99", f"{single.lag_p99_s:.2f} s", "0.42 s (make bench)"),
        ("the same, batches, p50", f"{batched.lag_p50_s:.2f} s", "0.30 s (make bench-log)"),
        ("the same, batches, p99", f"{batched.lag_p99_s:.2f} s", "0.86 s (make bench-log)"),
    ]


def needed(rate: float, store_s: float, half: float = 0.5) -> int:
    """So many installations that each runs at half of what it can: the other half is for what waits after an outage."""
    return max(math.ceil(rate / (store_s * half)), 1)


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="events a second")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds for which each PostgreSQL is away once")
    parser.add_argument("--seed", type=int, default=1)
    options, facts, console = parser.parse_args(), Measured(), Console(width=None if sys.stdout.isatty() else 150)
    beside = Table("what", "simulated", "measured", title="One installation on 2 cores")
    for row in check(facts, options.seed):
        beside.add_row(*row)
    sizes = Table(
        title=f"Installations of 2 cores, each at half of what it can; PostgreSQL away for {options.outage:.0f} s"
    )
    for name in (
        "events/s",
        "sent",
        "installations",
        "signed, p99",
        "queue, each",
        "empty after",
        "a year",
        "WAL, all",
    ):
        sizes.add_column(name, justify="right")
    for rate in options.rates:
        for sent, store_s in (("one by one", facts.single_s), ("in batches", facts.batched_s)):
            count = needed(rate, store_s)
            seen = simulate(rate / count, store_s, facts, outage_s=options.outage, seconds=360, seed=options.seed)
            sizes.add_row(
                *(f"{rate:,}", sent, f"{count:,}", f"{seen.lag_p99_s:.2f} s"),
                f"{seen.deepest * facts.parked_bytes / 2**20:,.0f} MiB",
                f"{seen.empty_after_s:.0f} s",
                f"{rate * YEAR_S * facts.event_bytes / 1e12:,.0f} TB",
                f"{rate * facts.wal_bytes / 1e6:,.0f} MB/s",
            )
    console.print(beside, sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
