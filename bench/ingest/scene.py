"""What is measured: this commit's site, and beside it another commit's and the peers', where they are wanted."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from bench.fleet import Fleet
from bench.ingest.result import Rate, Row
from bench.load import EVENTS, sample
from bench.peers.site import Peers
from bench.wire import Load, fire, request

BATCH = 500
BODIES = 200
CONNECTIONS = 16
# A share below this is no measurement, only a look whether all of it works: one round.
LEAST_SHARE = 0.2


class Size(NamedTuple):
    """How much is measured."""

    seconds: float = 6.0
    rounds: int = 5
    # As many are copied, and parked, at a time.
    records: int = 20_000
    # Of the outage that the drain has to work off while ingest goes on.
    parked: int = 120_000

    @classmethod
    def of(cls, share: float) -> "Size":
        """A share of a whole bench."""
        whole = cls()
        return cls(
            whole.seconds * share,
            whole.rounds if share >= LEAST_SHARE else 1,
            max(BATCH, int(whole.records * share)),
            max(BATCH, int(whole.parked * share)),
        )


@dataclass(frozen=True)
class Site:
    """An installation that runs, and a writer's key to it."""

    fleet: Fleet
    key: str

    def single(self, path: str = EVENTS) -> list[bytes]:
        """Requests with an event each."""
        return [request(path, json.dumps(document).encode(), self.key) for document in islice(sample(), BODIES)]

    def warm_up(self, seconds: float) -> None:
        """Have what is loaded at the first request loaded now."""
        fire(self.fleet.ingest_port, self.single(), seconds=seconds, connections=CONNECTIONS)

    def batches(self, count: int = 8) -> list[bytes]:
        """Requests with BATCH events each."""
        bodies = [json.dumps(list(islice(sample(), BATCH))).encode() for _ in range(count)]
        return [request(f"{EVENTS}/batch", body, self.key) for body in bodies]


@dataclass
class Scene:
    """Everything that runs during a bench."""

    size: Size
    ours: Site
    other: Site | None = None
    other_name: str = ""
    peers: Peers | None = None
    not_measured: dict[str, str] = field(default_factory=dict)
    """Why there is no `other`, or are no `peers`."""
    refused: Counter[int] = field(default_factory=Counter)
    """Answers that promised nothing, by status: they count in no rate."""

    def kept(self, load: Load) -> float:
        """The rate of what was promised, and a note of what was not."""
        self.refused += Counter({status: n for status, n in load.statuses.items() if not 200 <= status < 300})
        return load.kept_rate


class Part(NamedTuple):
    """What a part of a bench found."""

    rows: list[Row]
    rates: list[Rate]


def in_turns(
    rounds: int, runs: dict[str, Callable[[], float]], *, then: Callable[[dict[str, list[float]]], None] | None = None
) -> dict[str, list[float]]:
    """Take each run once a round, in an order that changes; return what each gave, a rate a round.

    `then` is called after each round with all rates so far.
    """
    rates: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    # Of a fixed order each would always come after the same one, and have what that left to the disk.
    order = random.Random(1)
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            rates[name].append(runs[name]())
        if then is not None:
            then(rates)
    return rates


def ratios(over: list[float], under: list[float]) -> list[float]:
    """The ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]
