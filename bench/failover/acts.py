"""What is broken, whom it meets, and how it is mended. Each act meets who leads at that moment."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.failover.cluster import Cluster, Member
from bench.failover.hosts import Site
from bench.failover.network import HOSTS, QUEUES, SERVERS
from bench.failover.queue import Queue, Server
from bench.load import wait_until

# Longer than anybody is believed to lead who says nothing, so that another leads meanwhile.
FOR_S = (28.0, 36.0)
BRIEFLY_S = (8.0, 12.0)
PAUSE_S = 3.0


class Act(NamedTuple):
    """How somebody is broken, how they are mended, and for how long they are left so."""

    breaks: Callable[[Any], None]
    mends: Callable[[Any], None]
    lasts_s: tuple[float, float]


@dataclass
class Done:
    """One act, as it was done. Times are monotonic seconds."""

    name: str
    began: float
    # Who led before, and who leads once all is whole.
    victims: list[str]
    ended: float = 0.0
    leaders: list[str] = field(default_factory=list)

    @property
    def is_double(self) -> bool:
        """Whether PostgreSQL and the queue failed at once."""
        return self.name.startswith("both")


def _nothing(victim: Any) -> None:
    """It comes back by itself."""


POSTGRES: dict[str, Act] = {
    "postgres killed": Act(Member.kill_postgres, _nothing, BRIEFLY_S),
    "its host loses power": Act(Member.kill, Member.start_again, FOR_S),
    "frozen": Act(Member.freeze, Member.thaw, FOR_S),
    "cut off from all": Act(lambda it: it.node.cut(), lambda it: it.node.heal(), FOR_S),
    "cut off from the other servers": Act(lambda it: it.node.cut_from(SERVERS), lambda it: it.node.heal(), FOR_S),
    "cut off from the hosts": Act(lambda it: it.node.cut_from(HOSTS), lambda it: it.node.heal(), BRIEFLY_S),
    "disk full": Act(Member.fill_disk, Member.empty_disk, FOR_S),
}
QUEUE: dict[str, Act] = {
    "killed": Act(Server.kill, Server.start_again, BRIEFLY_S),
    "frozen": Act(Server.freeze, Server.thaw, FOR_S),
    "cut off from all": Act(lambda it: it.node.cut(), lambda it: it.node.heal(), FOR_S),
    "cut off from the other servers": Act(lambda it: it.node.cut_from(QUEUES), lambda it: it.node.heal(), FOR_S),
}


class Acts:
    """Does one act after the other, each on whole servers."""

    def __init__(self, seed: int, cluster: Cluster, queue: Queue, site: Site):
        self._random = random.Random(seed)
        self._cluster, self._queue, self._site = cluster, queue, site

    def draw(self, count: int) -> list[str]:
        """Names of acts: of PostgreSQL mostly, each at most once, one of the queue, one of both at once."""
        of_postgres = self._random.sample(sorted(POSTGRES), min(max(count - 2, 1), len(POSTGRES)))
        names = [f"postgresql: {name}" for name in of_postgres]
        names += [f"queue: {self._random.choice(sorted(QUEUE))}", "both: lose power"][: max(count - len(names), 0)]
        self._random.shuffle(names)
        return names

    def do(self, name: str) -> Done:
        """Do it, leave it so for a while, mend it, and return when all are whole again."""
        kind, _, what = name.partition(": ")
        broken: list[tuple[Act, Member | Server]] = []
        if kind in ("postgresql", "both"):
            broken.append((POSTGRES["its host loses power" if kind == "both" else what], self._leading_postgres()))
        if kind in ("queue", "both"):
            broken.append((QUEUE["killed" if kind == "both" else what], self._leading_queue()))
        sealer = self._random.choice(self._site.hosts)
        done = Done(name, time.monotonic(), [victim.name for _, victim in broken])
        for act, victim in broken:
            act.breaks(victim)
        # Whoever seals next finds what the one before has left half done.
        threading.Timer(self._random.uniform(0, 10), self._replace_sealer, [sealer]).start()
        time.sleep(self._random.uniform(*max((act.lasts_s for act, _ in broken))))
        for act, victim in broken:
            act.mends(victim)
        self._cluster.wait_whole()
        self._queue.wait_whole()
        time.sleep(PAUSE_S)
        done.ended = time.monotonic()
        done.leaders = [self._leading_postgres().name, self._leading_queue().name]
        return done

    @staticmethod
    def _replace_sealer(host: Any) -> None:
        host.kill_sealer()
        host.start()

    def _leading_postgres(self) -> Member:
        found: list[Member] = []
        wait_until(lambda: _found(self._cluster.leader(), found), seconds=60, what="a leading PostgreSQL")
        return found[0]

    def _leading_queue(self) -> Server:
        found: list[Server] = []
        wait_until(lambda: _found(self._queue.leader(), found), seconds=60, what="a leading server of the queue")
        return found[0]


def _found(it: Any, into: list[Any]) -> bool:
    if it is not None:
        into.append(it)
    return it is not None
