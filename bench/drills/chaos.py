"""`make chaos SECONDS=120 SEED=1`: the real site under load while everything around it breaks, then the exact account.

First the machine is saturated and nothing is broken. Then four lanes of faults run beside each other, each drawn from
the seed: PostgreSQL, Redis, processes, and the wrong clock of one drainer, which has it all the time. The same seed
draws the same faults in the same order, with the same durations; when exactly they meet is up to the machine. Exit
status 0 only when nothing was lost, duplicated or altered, every account balances, the queue and the spool are empty,
no alarm, outage or finding was told that is not true, and the run was hard enough.
"""

import argparse
import random
import sys
import threading
import time
import urllib.request
from collections import Counter

from rich.console import Console
from rich.table import Table

from bench.account import Verdict, compare, depth
from bench.drills import told
from bench.drills.acts import Acts, Fault, Skipped
from bench.drills.told import Alarms, Done
from bench.fleet import Fleet
from bench.load import Ledger, Senders, wait_until

ENOUGH_A_SECOND = 100
# A shorter run shows that all of it works; it need not be hard.
HARD_FROM_S = 60
SKEW_S = 90
EMPTY_WITHIN_S = 300
# The part of the time in which the machine is saturated, and nothing broken.
BUSY_SHARE = 0.2
console = Console()


class Lane(threading.Thread):
    """One kind of trouble after another, until `stop`; whatever it broke is whole again when it ends."""

    def __init__(self, name: str, seed: int, faults: dict[str, Fault], pause_s: tuple[float, float]):
        super().__init__(name=name, daemon=True)
        self._random = random.Random(f"{seed}-{name}")
        self._faults = faults
        self._pause_s = pause_s
        self.stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.acts: list[Done] = []
        # Faults that could not be made, or mended: then the run shows nothing.
        self.broken: list[str] = []

    def run(self) -> None:
        while not self.stop.wait(self._random.uniform(*self._pause_s)):
            name, began_at = self._random.choice(sorted(self._faults)), told.now()
            try:
                self._faults[name](self._random)
                self.done[name] += 1
            except Skipped:
                self.done[f"{name} (in the way of others)"] += 1
            except Exception as error:
                self.broken.append(f"{name}: {type(error).__name__} {error}")
                return
            finally:
                self.acts.append(Done(name, began_at, told.now()))


class Chaos:
    """One run."""

    def __init__(self, seed: int, seconds: float, only: str = ""):
        self.seconds = seconds
        self.alarms = Alarms()
        self.fleet = Fleet(
            proxied=True,
            spooled=True,
            clocked=True,
            anchored=True,
            replicated=True,
            rotatable=True,
            application="bench.clocked:application",
            WORKER_STALE_S="70",
            DLQ_LEASE_S="10",
            DLQ_ALERT_WEBHOOK=self.alarms.url,
        )
        self.acts = Acts(self.fleet)
        self.ledger = Ledger()
        self.restarts = 0
        lanes = {
            "postgresql": (self.acts.of_postgres(), (4, 10)),
            "redis": (self.acts.of_redis(), (4, 10)),
            "processes": (self.acts.of_processes(), (1, 4)),
        }
        self.lanes = [
            Lane(name, seed, chosen, pause_s)
            for name, (faults, pause_s) in lanes.items()
            if (chosen := {fault: act for fault, act in faults.items() if only in fault})
        ]

    def run(self) -> bool:
        """Break things for the given time, mend them, and say whether every promise was kept."""
        self.fleet.start()
        self.fleet.start_drainer(2, skew_s=SKEW_S)
        self.fleet.start_worker()
        senders = Senders(self.fleet.port, self.fleet.new_writer(), self.ledger)
        senders.start()
        try:
            with self.acts.busy():
                self._watch("saturating the machine", self.seconds * BUSY_SHARE)
            for lane in self.lanes:
                lane.start()
            self._watch("breaking things", self.seconds * (1 - BUSY_SHARE))
        finally:
            for lane in self.lanes:
                lane.stop.set()
            for lane in self.lanes:
                lane.join(timeout=120)
            senders.stop()
        self._supervise()
        self.acts.put_forged_aside()
        emptied = wait_until(self._is_empty, seconds=EMPTY_WITHIN_S, what="queue and spool to be empty")
        verdict = compare(self.fleet, self.ledger)
        account, lies = self._account(), self._lies()
        self._print(verdict, account, emptied, lies)
        return self._passed(verdict, account) and not lies

    def stop(self) -> None:
        """End all of it."""
        self.acts.stop()
        self.fleet.stop()
        self.alarms.stop()

    def _watch(self, what: str, seconds: float) -> None:
        ends = time.monotonic() + seconds
        with console.status(what) as status:
            while time.monotonic() < ends:
                time.sleep(1)
                self._supervise()
                with self.ledger.lock:
                    promises = len(self.ledger.acknowledged)
                status.update(f"{ends - time.monotonic():.0f} s left, {promises} promises, {depth(self.fleet)} parked")

    def _supervise(self) -> None:
        """Whoever runs the site starts it again where the whole of it was killed."""
        if not self.fleet.processes("ingest"):
            self.fleet.start_web()
            self.restarts += 1

    def _is_empty(self) -> bool:
        return depth(self.fleet) == 0 and not any(self.fleet.spool.iterdir())

    def _account(self) -> str:
        """The queue's own account, by the command."""
        return self.fleet.manage("dlq", "check").strip()

    def _lies(self) -> list[str]:
        """What was told and is not true, once the store has followed the log to its end."""
        acts = [act for lane in self.lanes for act in lane.acts]
        lies = told.untrue(self.fleet, self.alarms, acts, lasting=f"a drainer's clock is {SKEW_S} s ahead")
        try:
            self.fleet.manage("account")
        except RuntimeError as error:
            lies.append(f"the account of the day: {error}")
        return lies

    def _spooled(self) -> int:
        """What the web processes that still live say of themselves."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.fleet.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return round(sum(float(line.split()[-1]) for line in lines if line.startswith("dlq_spooled_total")))

    def _print(self, verdict: Verdict, account: str, emptied: float, lies: list[str]) -> None:
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
            "alarms told": sum(self.alarms.counts().values()),
            "told and not true": len(lies),
        }
        for name, value in rows.items():
            table.add_row(name, str(value))
        for lane in self.lanes:
            for name, count in sorted(lane.done.items()):
                table.add_row(name, f"{count} times")
        console.print(table)
        console.print(account.splitlines()[0])
        for name, count in sorted(self.alarms.counts().items()):
            console.print(f"alarm {name}: {count} times")
        for lie in lies:
            console.print(f"[red]told and not true:[/red] {lie}")
        for lane in self.lanes:
            for text in lane.broken:
                console.print(f"[red]a fault could not be made or mended:[/red] {text}")

    def _passed(self, verdict: Verdict, account: str) -> bool:
        hard = self.seconds < HARD_FROM_S or len(self.ledger.acknowledged) >= ENOUGH_A_SECOND * self.seconds
        if not hard:
            console.print(f"not hard enough: {ENOUGH_A_SECOND} promises a second are due")
        broken = any(lane.broken for lane in self.lanes)
        return hard and not broken and verdict.whole and account.endswith("balanced") and self._is_empty()


def main() -> int:
    """Run once, for a seed."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.chaos")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only the faults whose name has this in it")
    options = parser.parse_args()
    console.print(f"seed {options.seed}, {options.seconds:.0f} s")
    chaos, started = Chaos(options.seed, options.seconds, options.only), time.monotonic()
    try:
        passed = chaos.run()
    finally:
        chaos.stop()
    verdict = "nothing lost, duplicated or altered; every account exact" if passed else "FAILED"
    console.print(f"seed {options.seed}: {verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
