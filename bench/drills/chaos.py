"""`make chaos SECONDS=120 SEED=1`: the real site under load while everything around it breaks, then the exact account.

Four lanes of faults run beside each other, each drawn from the seed: PostgreSQL, Redis, processes, and the wrong clock
of one drainer, which has it all the time. The same seed draws the same faults in the same order, with the same
durations; when exactly they meet is up to the machine. Exit status 0 only when nothing was lost, duplicated or altered,
every account balances, the queue and the spool are empty, and the run was hard enough.
"""

import argparse
import random
import resource
import signal
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import psutil
import redis
from rich.console import Console
from rich.table import Table

from bench.account import Verdict, compare, depth
from bench.fleet import Fleet
from bench.load import Ledger, Senders, wait_until

ENOUGH_A_SECOND = 100
# A shorter run shows that all of it works; it need not be hard.
HARD_FROM_S = 60
SKEW_S = 90
EMPTY_WITHIN_S = 300
console = Console()
Fault = Callable[[random.Random], None]


class Lane(threading.Thread):
    """One kind of trouble after another, until `stop`; whatever it broke is whole again when it ends."""

    def __init__(self, name: str, seed: int, faults: dict[str, Fault], pause_s: tuple[float, float]):
        super().__init__(name=name, daemon=True)
        self._random = random.Random(f"{seed}-{name}")
        self._faults = faults
        self._pause_s = pause_s
        self.stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.broken: list[str] = []
        """Faults that could not be made, or mended: then the run shows nothing."""

    def run(self) -> None:
        while not self.stop.wait(self._random.uniform(*self._pause_s)):
            name = self._random.choice(sorted(self._faults))
            try:
                self._faults[name](self._random)
            except Exception as error:
                self.broken.append(f"{name}: {type(error).__name__} {error}")
                return
            self.done[name] += 1


class Chaos:
    """One run."""

    def __init__(self, seed: int, seconds: float):
        self.seconds = seconds
        self.fleet = Fleet(proxied=True, spooled=True, WORKER_STALE_S="70", DLQ_LEASE_S="10")
        self.ledger = Ledger()
        self.restarts = 0
        self.lanes = [
            Lane("postgresql", seed, self._of_postgres(), (4, 10)),
            Lane("redis", seed, self._of_redis(), (4, 10)),
            Lane("processes", seed, self._of_processes(), (1, 4)),
        ]

    def run(self) -> bool:
        """Break things for the given time, mend them, and say whether every promise was kept."""
        self.fleet.start()
        self.fleet.start_drainer(2, skew_s=SKEW_S)
        self.fleet.start_worker()
        senders = Senders(self.fleet.port, self.fleet.new_writer(), self.ledger)
        senders.start()
        try:
            for lane in self.lanes:
                lane.start()
            self._watch()
        finally:
            for lane in self.lanes:
                lane.stop.set()
            for lane in self.lanes:
                lane.join(timeout=120)
            senders.stop()
        self._supervise()
        emptied = wait_until(self._is_empty, seconds=EMPTY_WITHIN_S, what="queue and spool to be empty")
        verdict = compare(self.fleet, self.ledger)
        account = self._account()
        self._print(verdict, account, emptied)
        return self._passed(verdict, account)

    def _watch(self) -> None:
        ends = time.monotonic() + self.seconds
        with console.status("breaking things") as status:
            while time.monotonic() < ends:
                time.sleep(1)
                self._supervise()
                with self.ledger.lock:
                    promises = len(self.ledger.acknowledged)
                status.update(f"{ends - time.monotonic():.0f} s left, {promises} promises, {depth(self.fleet)} parked")

    def _supervise(self) -> None:
        """Granian ends itself when one worker is killed twice in 5.5 s: who runs it starts it again."""
        if not self.fleet.processes("web"):
            self.fleet.start_web()
            self.restarts += 1

    def _of_postgres(self) -> dict[str, Fault]:
        server = self.fleet.postgres
        return {
            "PostgreSQL stopped": partial(_down, server.stop, server.start, (2, 8)),
            "PostgreSQL killed": partial(_down, server.kill, server.start, (1, 6)),
            "PostgreSQL hung": partial(_down, server.freeze, server.thaw, (1, 6)),
            "PostgreSQL unreachable": partial(self._hole, "postgres", (2, 8)),
            "PostgreSQL's connections cut": lambda rng: self.fleet.network("postgres", "cut"),
        }

    def _of_redis(self) -> dict[str, Fault]:
        server = self.fleet.redis
        return {
            "Redis killed": partial(_down, server.kill, server.start, (1, 5)),
            "Redis hung": partial(_down, server.freeze, server.thaw, (1, 4)),
            "Redis unreachable": partial(self._hole, "redis", (1, 6)),
            "Redis's connections cut": lambda rng: self.fleet.network("redis", "cut"),
            "Redis full": self._fill_redis,
            "Redis's disk full": self._fill_disk,
        }

    def _of_processes(self) -> dict[str, Fault]:
        return {
            "web worker killed": self._kill_web_worker,
            "drainer killed": self._kill_drainer,
            "drainer asleep past its lease": self._sleep_drainer,
            "sealer killed": self._kill_sealer,
            "process of the schedule killed": self._kill_of_schedule,
        }

    def _hole(self, name: str, seconds: tuple[float, float], rng: random.Random) -> None:
        self.fleet.network(name, "hole")
        time.sleep(rng.uniform(*seconds))
        self.fleet.network(name, rng.choice(("pass", "cut")))

    def _fill_redis(self, rng: random.Random) -> None:
        with redis.Redis.from_url(self.fleet.redis.url()) as client:
            client.config_set("maxmemory", max(client.info("memory")["used_memory"] - 1, 1))
            time.sleep(rng.uniform(2, 8))
            client.config_set("maxmemory", 0)

    def _fill_disk(self, rng: random.Random) -> None:
        """No byte more into any file: with `appendfsync always` Redis ends itself at the next write."""
        (server,) = [one for one in self.fleet.redis.processes() if "redis" in one.name()][:1]
        size = max(path.stat().st_size for path in self.fleet.redis.data.rglob("*") if path.is_file())
        server.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        with suppress(redis.RedisError), redis.Redis.from_url(self.fleet.redis.url(), socket_timeout=2) as client:
            client.set("chaos", "x" * 1000)
        time.sleep(rng.uniform(1, 4))
        self.fleet.redis.kill()
        self.fleet.redis.start()

    def _kill_web_worker(self, rng: random.Random) -> None:
        workers = self.fleet.processes("web")[1:]
        if workers:
            rng.choice(workers).kill()

    def _kill_drainer(self, rng: random.Random) -> None:
        number = rng.randrange(2)
        self.fleet.kill_drainer(number)
        time.sleep(rng.uniform(0, 2))
        self.fleet.start_drainer(number)

    def _sleep_drainer(self, rng: random.Random) -> None:
        """It wakes when others have taken over what it had in hand."""
        found = self.fleet.processes(f"drainer-{rng.randrange(2)}")
        for process in found:
            process.suspend()
        time.sleep(rng.uniform(11, 14))
        for process in found:
            process.resume()

    def _kill_sealer(self, rng: random.Random) -> None:
        self.fleet.stop_sealer(signal.SIGKILL)
        time.sleep(rng.uniform(0, 2))
        self.fleet.start_sealer()

    def _kill_of_schedule(self, rng: random.Random) -> None:
        below = self.fleet.processes("worker")[2:]  # not the watchdog, not the leash
        if below:
            with suppress(psutil.NoSuchProcess):
                rng.choice(below).kill()

    def _is_empty(self) -> bool:
        return depth(self.fleet) == 0 and not any(self.fleet.spool.iterdir())

    def _account(self) -> str:
        """The queue's own account, by the command."""
        return self.fleet.manage("dlq", "check").strip()

    def _spooled(self) -> int:
        """What the web processes that still live say of themselves."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.fleet.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return round(sum(float(line.split()[-1]) for line in lines if line.startswith("dlq_spooled_total")))

    def _print(self, verdict: Verdict, account: str, emptied: float) -> None:
        table = Table(title="Chaos")
        table.add_column("figure")
        table.add_column("value", justify="right")
        rows = {
            "events sent": len(self.ledger.digests),
            "events promised": len(self.ledger.acknowledged),
            "of them by 202": self.ledger.promised(202),
            "of them through local files": self._spooled(),
            "requests answered 503": self.ledger.answers["503"],
            "requests cut off": self.ledger.answers["cut off"],
            "site started again by its supervisor": self.restarts,
            "records stored": verdict.stored,
            "stored, promise not heard": verdict.unpromised,
            "lost": len(verdict.lost),
            "duplicated": verdict.duplicated,
            "altered": len(verdict.altered),
            "left in queue and spool": 0 if self._is_empty() else "some",
            "empty after the last fault (s)": f"{emptied:.1f}",
            "the sealed log": verdict.verification,
            "the queue's account": account.splitlines()[-1],
        }
        for name, value in rows.items():
            table.add_row(name, str(value))
        for lane in self.lanes:
            for name, count in sorted(lane.done.items()):
                table.add_row(name, f"{count} times")
        console.print(table)
        console.print(account.splitlines()[0])
        for lane in self.lanes:
            for text in lane.broken:
                console.print(f"[red]a fault could not be made or mended:[/red] {text}")

    def _passed(self, verdict: Verdict, account: str) -> bool:
        hard = self.seconds < HARD_FROM_S or len(self.ledger.acknowledged) >= ENOUGH_A_SECOND * self.seconds
        if not hard:
            console.print(f"not hard enough: {ENOUGH_A_SECOND} promises a second are due")
        broken = any(lane.broken for lane in self.lanes)
        return hard and not broken and verdict.whole and account.endswith("balanced") and self._is_empty()


def _down(away: Callable[[], None], back: Callable[[], None], seconds: tuple[float, float], rng: random.Random) -> None:
    away()
    time.sleep(rng.uniform(*seconds))
    back()


def main() -> int:
    """Run once, for a seed."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.chaos")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console.print(f"seed {options.seed}, {options.seconds:.0f} s")
    chaos, started = Chaos(options.seed, options.seconds), time.monotonic()
    try:
        passed = chaos.run()
    finally:
        chaos.fleet.stop()
    verdict = "nothing lost, duplicated or altered; every account exact" if passed else "FAILED"
    console.print(f"seed {options.seed}: {verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
