"""What the drills of an installation of compose share: a load all the time, steps, and the account at the end."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from bench.account import Verdict, compare
from bench.composed.engine import ROOT
from bench.composed.installation import Installation
from bench.composed.visitor import visit
from bench.load import WRITER, Ledger, Senders, wait_until

PICTURES = ROOT / ".local" / "screenshots" / "composed"
# How many events have to be promised between two acts, and while nothing stores them.
MORE, MORE_PARKED = 200, 50
console = Console(highlight=False)


class Drill(ABC):
    """Events all the time, through TLS, while something is done to the installation."""

    title = "docker-compose.yml"
    held = ""
    """What can be said where it passed."""

    def __init__(self, installation: Installation, share: float):
        self.installation, self.share = installation, share
        self.ledger = Ledger()
        self.faults: list[str] = []

    def run(self) -> bool:
        """Run all of it, print the table, and say whether everything held."""
        self.step("up", self.installation.up)
        self.step("a browser", self._look)
        key = self.installation.manage("writer", "create", WRITER, "--scopes", "write", "read", service="web").strip()
        context = self.installation.trust()
        senders = Senders(self.installation.port, key, self.ledger, count=4, host="localhost", context=context)
        senders.start()
        try:
            self.phases()
        finally:
            senders.stop()
        self.step("the queue is empty", self.drained)
        self.afterwards()
        verdict = compare(self.installation, self.ledger)
        self.step("the target has every record", self.check_stream)
        # A writer that is told so drops the event.
        self.faults += [
            f"{self.ledger.answers[status]} x {status}"
            for status in ("400", "401", "403")
            if self.ledger.answers[status]
        ]
        self._print(verdict)
        return verdict.whole and not self.faults

    @abstractmethod
    def phases(self) -> None:
        """What is done under load."""

    @abstractmethod
    def afterwards(self) -> None:
        """What is looked at once nobody sends any more."""

    def more(self) -> None:
        """So many more events are promised."""
        goal = len(self.ledger.acknowledged) + int(MORE * self.share)
        wait_until(lambda: len(self.ledger.acknowledged) >= goal, seconds=120, what="events to be promised")

    def parked(self, what: str) -> None:
        """So many more events are promised by 202."""
        goal = self.ledger.promised(202) + MORE_PARKED * self.share
        wait_until(lambda: self.ledger.promised(202) >= goal, seconds=60, what=what)

    def drained(self) -> None:
        """Nothing waits in the queue."""
        wait_until(lambda: self.installation.depth() == 0, seconds=120, what="the queue to empty", every_s=1)

    def check_stream(self) -> None:
        """The target has each log entry once, in order, and with them every promised event."""
        listed = ("stream", "list")
        wait_until(
            lambda: " 0 behind" in self.installation.manage(*listed, service="stream"),
            seconds=120,
            what="the target to have all",
            every_s=1,
        )
        streamed = self.installation.streamed()
        if [index for index, _ in streamed] != list(range(len(streamed))):
            self.faults.append("the target lacks log entries, or has some of them twice")
        if lacking := self.ledger.acknowledged.keys() - {event for _, event in streamed}:
            self.faults.append(f"the target lacks {len(lacking)} promised events")

    def step(self, name: str, act: Callable[[], object]) -> None:
        """Do it, and print how long it took and what writers were answered meanwhile."""
        before, started = dict(self.ledger.answers), time.monotonic()
        act()
        answers = ", ".join(
            f"{count - before.get(status, 0)} x {status}"
            for status, count in sorted(self.ledger.answers.items())
            if count > before.get(status, 0)
        )
        console.print(f"{name:<36} {time.monotonic() - started:>6.1f} s  {answers}")
        sys.stdout.flush()

    def _look(self) -> None:
        address = f"https://localhost:{self.installation.port}"
        self.faults += visit(address, lambda: self.installation.log("web"), PICTURES)

    def _print(self, verdict: Verdict) -> None:
        table = Table(title=self.title)
        table.add_column("figure")
        table.add_column("value", justify="right")
        rows = {
            "events sent": len(self.ledger.digests),
            "events promised": len(self.ledger.acknowledged),
            "of them by 202": self.ledger.promised(202),
            "requests that were to be sent again": sum(
                count for status, count in self.ledger.answers.items() if status not in ("200", "201", "202")
            ),
            "records stored": verdict.stored,
            "lost": len(verdict.lost),
            "duplicated": verdict.duplicated,
            "altered": len(verdict.altered),
            "the sealed log": verdict.verification,
        }
        for name, value in rows.items():
            table.add_row(name, str(value))
        console.print(table)
        for fault in self.faults:
            console.print(f"not as it must be: {fault}")
