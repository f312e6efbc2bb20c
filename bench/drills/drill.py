"""`make drill SHARE=1`: everything that can be killed is killed under load, and every promise is then checked.

Exit status 0 only when nothing was lost, duplicated or altered, and the drill was hard enough.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from bench.account import Verdict, compare, depth
from bench.fleet import Fleet
from bench.load import Ledger, Senders, wait_until

ENOUGH, ENOUGH_PARKED = 20_000, 5_000
console = Console()


class Drill:
    """One drill, phase by phase."""

    def __init__(self, share: float):
        """`share` of the events of a whole drill."""
        self.share = share
        self.fleet = Fleet()
        self.ledger = Ledger()
        self.recoveries: list[tuple[str, float]] = []

    def run(self) -> bool:
        """Run all phases, print the table, and say whether the store kept every promise."""
        self.fleet.start()
        senders = Senders(self.fleet.port, self.fleet.new_writer(), self.ledger)
        senders.start()
        try:
            self._phases()
        finally:
            senders.stop()
        self._recovered("the end")
        verdict = compare(self.fleet, self.ledger)
        self._print(verdict)
        return self._passed(verdict)

    def _phases(self) -> None:
        self._phase("normal service", self._more(201, 3_000))
        self.fleet.postgres.stop()
        self._phase("PostgreSQL stopped", self._more(202, 3_500))
        self.fleet.postgres.start()
        self._recovered("PostgreSQL stopped")
        self.fleet.postgres.freeze()
        self._phase("PostgreSQL hung", self._more(202, 2_500))
        self.fleet.postgres.thaw()
        self._recovered("PostgreSQL hung")
        for _ in range(3):
            self.fleet.kill_worker()
            self._phase("web worker killed", self._more(201, 800))
        for _ in range(3):
            self.fleet.stop_sealer(signal.SIGKILL)
            self._phase("sealer killed", self._more(201, 300))
            self.fleet.start_sealer()
        self._kill_drainer()
        self.fleet.redis.kill()
        self._phase("Redis killed", self._more(201, 2_000))
        self.fleet.redis.start()
        self._both_down()
        self._phase("normal service again", self._until_enough)

    def _kill_drainer(self) -> None:
        """kill -9 of a drainer while it drains, and of PostgreSQL itself before that."""
        self.fleet.postgres.kill()
        self._phase("PostgreSQL killed", self._more(202, 2_000))
        self.fleet.postgres.start()
        wait_until(lambda: depth(self.fleet) < 1_900 * self.share, seconds=60, what="the drain to begin")
        self.fleet.kill_drainer(0)
        self._phase("drainer killed", self._more(201, 500))
        self.fleet.start_drainer(0)
        self._recovered("PostgreSQL and a drainer killed")

    def _both_down(self) -> None:
        """Neither server: 503, nothing is promised; then Redis comes back before PostgreSQL."""
        self.fleet.postgres.stop()
        self._phase("PostgreSQL stopped again", self._more(202, 500))
        self.fleet.redis.kill()
        refused = self.ledger.answers["503"]
        self._phase("both servers down", lambda: self.ledger.answers["503"] > refused + 50 * self.share)
        self.fleet.redis.start()
        self._phase("Redis back", self._more(202, 500))
        self.fleet.postgres.start()
        self._recovered("both servers down")

    def _phase(self, name: str, reached: Callable[[], bool]) -> None:
        before = sum(self.ledger.answers.values())
        seconds = wait_until(reached, seconds=120, what=name)
        console.print(f"{name:<28} {sum(self.ledger.answers.values()) - before:>7} answers {seconds:>7.1f} s")

    def _more(self, status: int, count: int) -> Callable[[], bool]:
        goal = self.ledger.promised(status) + int(count * self.share)
        return lambda: self.ledger.promised(status) >= goal

    def _until_enough(self) -> bool:
        with self.ledger.lock:
            return len(self.ledger.acknowledged) >= (ENOUGH + 500) * self.share

    def _recovered(self, after: str) -> None:
        """The queue is empty again, while the senders go on."""
        seconds = wait_until(lambda: depth(self.fleet) == 0, seconds=300, what=f"the queue to empty after {after}")
        self.recoveries.append((after, seconds))
        console.print(f"{'  queue empty':<28} {'':>15} {seconds:>7.1f} s")

    def _print(self, verdict: Verdict) -> None:
        table = Table(title="Drill")
        table.add_column("figure")
        table.add_column("value", justify="right")
        rows = {
            "events sent": len(self.ledger.digests),
            "events promised by 201": self.ledger.promised(201) + self.ledger.promised(200),
            "events promised by 202": self.ledger.promised(202),
            "requests answered 503": self.ledger.answers["503"],
            "requests cut off": self.ledger.answers["cut off"],
            "records stored": verdict.stored,
            "stored, promise not heard": verdict.unpromised,
            "lost": len(verdict.lost),
            "duplicated": verdict.duplicated,
            "altered": len(verdict.altered),
            "the sealed log": verdict.verification,
        } | {f"queue empty after: {name} (s)": f"{seconds:.1f}" for name, seconds in self.recoveries}
        for name, value in rows.items():
            table.add_row(name, str(value))
        console.print(table)

    def _passed(self, verdict: Verdict) -> bool:
        enough, parked = int(ENOUGH * self.share), int(ENOUGH_PARKED * self.share)
        hard = len(self.ledger.acknowledged) >= enough and self.ledger.promised(202) >= parked
        if not hard:
            console.print(f"not hard enough: at least {enough} promises, {parked} of them by 202, are due")
        return hard and verdict.whole


def main() -> int:
    """Run one drill."""
    parser = argparse.ArgumentParser(prog="python -m bench.drill")
    parser.add_argument("--share", type=float, default=1.0, help="of the events of a whole drill")
    drill = Drill(parser.parse_args().share)
    started = time.monotonic()
    try:
        passed = drill.run()
    finally:
        drill.fleet.stop()
    verdict = "nothing lost, duplicated or altered" if passed else "FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
