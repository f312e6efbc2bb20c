"""`make failover SEED=1`: three PostgreSQL and three Valkey fail over under load; is everything there?

Root and etcd are needed. Exit status 0 only where nothing was lost, duplicated or altered, the log is verified, every
head that was ever signed is a prefix of it, and writers were promised every event all the time, but for the moments
at which PostgreSQL and the queue fail over at once. With ASYNC=1 PostgreSQL confirms what no standby has: what is lost
then is named.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.account import Verdict, compare
from bench.environment import python_with
from bench.failover import heads, judge, network
from bench.failover.acts import Acts, Done
from bench.failover.cluster import PINNED, Cluster
from bench.failover.hosts import Site
from bench.failover.queue import Queue
from bench.failover.writers import Writers
from bench.load import Ledger, wait_until

EMPTY_WITHIN_S = 300
# The file that names each event that is lost; of a long list so many lines are shown.
LOST, SHOWN = "lost.txt", 10
console = Console(width=150)


class Failover:
    """One run."""

    def __init__(self, seed: int, count: int, *, synchronous: bool, folder: Path, writers: int, rate: float):
        self.cluster = Cluster(folder, synchronous=synchronous)
        self.queue = Queue(folder)
        self.site = Site(folder, self.cluster, self.queue)
        self.acts = Acts(seed, self.cluster, self.queue, self.site)
        self.names = self.acts.draw(count)
        self.ledger = Ledger()
        places = [host.place for host in self.site.hosts]
        self.writers = Writers(places, self.site.new_writer(), self.ledger, count=writers, rate=rate)
        self.synchronous = synchronous
        self.folder = folder

    def run(self, only: list[str]) -> bool:
        """Break one after the other under load, and judge it all."""
        self.writers.start()
        done = []
        try:
            time.sleep(5)
            for name in only or self.names:
                done.append(self.acts.do(name))
                self._print_act(done[-1])
        finally:
            self.writers.stop()
        empty_s = wait_until(lambda: self.queue.depth() == 0, seconds=EMPTY_WITHIN_S, what="the queue to be empty")
        verdict = self._compare()
        signed = heads.read([host.heads for host in self.site.hosts])
        forks = judge.forked(self.site.address(), signed)
        costs = [(act, judge.cost(act, self.writers.answers)) for act in done]
        refused = sum(cost.refused for act, cost in costs if not act.is_double)
        ended = [f"{host.name}: {name}" for host in self.site.hosts for name in host.ended()]
        self._print(verdict, len(signed), forks, empty_s, ended)
        if not self.synchronous:
            return self._name_lost(verdict) and not (verdict.duplicated or verdict.altered or ended)
        self._name_lost(verdict)
        return verdict.whole and not forks and not refused and not ended

    def _compare(self) -> Verdict:
        """Without a synchronous standby a sealer that has signed what is lost seals no more, and says so."""
        try:
            return compare(self.site, self.ledger)
        except TimeoutError:
            if self.synchronous:
                raise
        for host in self.site.hosts:
            host.kill_sealer()
            host.start()
        return compare(self.site, self.ledger)

    def _name_lost(self, verdict: Verdict) -> bool:
        """Name what is lost; return whether all of it was stored: what was parked must be there."""
        lines = [f"{event_id} promised by {self.ledger.acknowledged[event_id]}" for event_id in sorted(verdict.lost)]
        (self.folder / LOST).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._print_some("lost", lines)
        return all(self.ledger.acknowledged[event_id] in judge.STORED for event_id in verdict.lost)

    @staticmethod
    def _print_some(what: str, lines: list[str]) -> None:
        for line in lines[:SHOWN]:
            console.print(f"{what}: {line}")
        if len(lines) > SHOWN:
            console.print(f"{what}: {len(lines) - SHOWN} more")

    def _print_act(self, act: Done) -> None:
        cost = judge.cost(act, self.writers.answers)
        told = ", ".join(f"{status or 'no answer'}: {count}" for status, count in sorted(cost.statuses.items()))
        console.print(
            f"{act.name} ({', '.join(act.victims)}; then {', '.join(act.leaders)}): nothing stored for "
            f"{cost.unstored_s:.1f} s, nothing promised for {cost.unpromised_s:.1f} s; whole after "
            f"{act.ended - act.began:.0f} s; {told}"
        )

    def _print(self, verdict: Verdict, signed: int, forks: list[str], empty_s: float, ended: list[str]) -> None:
        table = Table(show_header=False)
        for name, value in (
            ("promised", len(self.ledger.acknowledged)),
            ("of these parked", self.ledger.promised(202)),
            ("stored", verdict.stored),
            ("lost", len(verdict.lost)),
            ("duplicated", verdict.duplicated),
            ("altered", len(verdict.altered)),
            ("the queue was empty after", f"{empty_s:.1f} s"),
            ("heads signed", signed),
            ("of another log", len(forks)),
            ("the log is", verdict.verification),
        ):
            table.add_row(name, str(value))
        console.print(table)
        self._print_some("of another log", forks)
        self._print_some("ended by itself", ended)


def main() -> int:
    """Run one drill."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--acts", type=int, default=4, help="how many servers are broken, one after the other")
    parser.add_argument("--only", action="append", default=[], metavar="ACT", help='such as "postgresql: frozen"')
    parser.add_argument("--asynchronous", action="store_true", help="PostgreSQL confirms what no standby has")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second of each writer")
    parser.add_argument("--keep", type=Path, help="leave all logs in this folder")
    options = parser.parse_args()
    python_with(PINNED.read_bytes())  # from inside no registry is reached
    network.enter()
    folder = Path(tempfile.mkdtemp(prefix="auditsite-failover-"))
    folder.chmod(0o755)
    started = time.monotonic()
    passed = False
    try:
        run = Failover(
            options.seed,
            options.acts,
            synchronous=not options.asynchronous,
            folder=folder,
            writers=options.writers,
            rate=options.rate,
        )
        passed = run.run(options.only)
    finally:
        if options.keep is not None:
            _keep_logs(folder, options.keep)
        for mount in folder.glob("db?"):
            subprocess.run(["umount", "--lazy", str(mount)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
    kept = "what no standby had is named" if options.asynchronous else "every promise was kept"
    console.print(f"{kept if passed else 'FAILED'} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


def _keep_logs(folder: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.log"), *folder.glob("*.jsonl"), *folder.glob(LOST)):
        shutil.copy(file, into)


if __name__ == "__main__":
    sys.exit(main())
