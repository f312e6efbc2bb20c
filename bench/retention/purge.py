"""`make bench-purge SIZE=3000000`: remove a third of a store while events are sent, and look at what is left.

The records are of a year. Five plans, one after the other, each of a fifth of what is due, approved by a second person;
in each of five rounds ingest is measured alone and beside the run of one plan, another first each time. Bundles that
were made before have to verify afterwards, the log is VERIFIED with what was removed, each certificate holds, and the
disk's space is back. Writes purge.json and purge.svg. Exit status 1 where one of these does not hold, or, at the whole
size, where a goal is missed.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.fleet import ROOT
from bench.ingest import chart, machine
from bench.ingest.result import Goal, Rate, Result, Row
from bench.ingest.scene import ratios
from bench.retention.store import Store, Turn

SIZE, ROUNDS = 3_000_000, 5
OUT = ROOT / ".local" / "bench"
console = Console(width=None if sys.stdout.isatty() else 160)


class PurgeBench:
    """One store, from filling it to verifying what is left."""

    def __init__(self, size: int):
        self.store = Store(size, ROUNDS)
        self.alone: list[Turn] = []
        self.beside: list[Turn] = []
        self.plan_s: list[float] = []
        self.faults: list[str] = []

    def run(self) -> Result:
        """Measure, and return what was found; what does not hold stands in `faults`."""
        store = self.store
        self._say(f"filling a store of {store.size:,} records")
        store.fill()
        self._say("archiving what is due")
        created_s, checked_s = store.archive()
        bundles = store.make_bundles()
        before = store.bytes_of_old()
        for number in range(ROUNDS):
            self._round(number)
        removed, after = store.removed(), store.bytes_of_old()
        self._say("verifying what is left")
        verify_s = self._verified(removed)
        self._hold(bundles)
        result = Result(machine.about(store.fleet))
        result.about["measured"] = (
            f"{datetime.now(UTC):%Y-%m-%d %H:%MZ}, {removed:,} of {store.size:,} records removed by {ROUNDS} plans; "
            f"months before this one took {_mib(before)} and take {_mib(after)}; single events of about 1.25 KB"
        )
        share_back = (before - after) / (before * removed / store.size)
        result.rows = [
            Row(
                "POST events while records are removed",
                "without",
                Goal(0.9),
                ratios([turn.rate for turn in self.beside], [turn.rate for turn in self.alone]),
            ),
            Row("space that came back", "of what the removed records took", Goal(0.9), [share_back]),
            Row("p99 meanwhile", "without", None, [turn.p99_ms / self.alone[n].p99_ms for n, turn in self._pairs()]),
            Row(
                "worst answer meanwhile", "", Goal(1_000, "ms", at_least=False), [turn.worst_ms for turn in self.beside]
            ),
        ]
        result.rates = [
            Rate("POST events while records are removed", "/s", [turn.rate for turn in self.beside]),
            Rate("the same without", "/s", [turn.rate for turn in self.alone]),
            Rate("removed meanwhile", "records/s", [turn.removed / turn.seconds for turn in self.beside]),
            Rate("counting what is due, for the plan", "s", self.plan_s),
            Rate("archiving what is due", "s", [created_s]),
            Rate("checking the archive", "s", [checked_s]),
            Rate("verifying what is left", "s", [verify_s]),
        ]
        return result

    def _pairs(self) -> list[tuple[int, Turn]]:
        return list(enumerate(self.beside))

    def _round(self, number: int) -> None:
        plan, seconds = self.store.approved_plan(number)
        self.plan_s.append(seconds)
        if number % 2:
            self.beside.append(self.store.purge_and_send(plan))
        self.alone.append(self.store.send())
        if not number % 2:
            self.beside.append(self.store.purge_and_send(plan))
        turn = self.beside[-1]
        self._say(
            f"plan {plan}: counted in {seconds:.1f} s, {turn.removed:,} removed in {turn.seconds:.1f} s, "
            f"meanwhile {turn.rate:,.0f} events/s, alone {self.alone[-1].rate:,.0f}"
        )
        for fault in self.store.faults_of_certificate(plan):
            self._fault(fault)

    def _verified(self, removed: int) -> float:
        self.store.fleet.wait_for_sealer()
        started = time.monotonic()
        said = self.store.fleet.manage("verify").splitlines()
        if said[-1] != "VERIFIED":
            self._fault(f"manage.py verify says {said[-1]}")
        if f" {removed} purged" not in said[-2]:
            self._fault(f"{removed} records were removed, and manage.py verify says: {said[-2]}")
        console.print(*said, sep="\n", highlight=False)
        return time.monotonic() - started

    def _hold(self, bundles: list[Path]) -> None:
        for bundle in bundles:
            if (said := self.store.says_of_bundle(bundle)) != "VERIFIED":
                self._fault(f"{bundle.name}, made before the removals: {said}")
        console.print(f"{len(bundles)} bundles of before verified", highlight=False)

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        console.print(f"[red]{text}[/red]")

    def _say(self, text: str) -> None:
        console.print(f"{datetime.now(UTC):%H:%M:%SZ} {text}", highlight=False)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.retention.purge", description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE, help="records in the store")
    parser.add_argument("--share", type=float, default=1.0, help="of the size")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="for the result and its chart")
    options = parser.parse_args()
    bench, started = PurgeBench(int(options.size * options.share)), time.monotonic()
    try:
        result = bench.run()
    finally:
        bench.store.stop()
    result.print(console)
    result.write(options.out / "purge.json")
    drawn = chart.goals(result.rows, title=f"Removing beside ingest: {result.about['measured'].partition(';')[0]}")
    (options.out / "purge.svg").write_text(drawn, encoding="utf-8")
    console.print(f"written to {options.out}: purge.json, purge.svg", highlight=False, soft_wrap=True)
    words = f"{len(bench.faults)} faults" if bench.faults else "the log is VERIFIED, and every bundle of before"
    console.print(f"{words} ({time.monotonic() - started:,.0f} s)", highlight=False)
    return 1 if bench.faults or (options.share >= 1 and not result.is_met) else 0


if __name__ == "__main__":
    sys.exit(main())
