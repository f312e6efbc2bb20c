"""`make compose-test`: bring docker-compose.yml up, kill and restart each container under load, check all promises.

    python -m bench.composed [--share 1] [--seed 1]

Exit status 0 only when nothing was lost, duplicated or altered and everything else held, too; 3 where no container
engine answers.
"""

import argparse
import random
import signal
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.account import Verdict, compare
from bench.composed.engine import ROOT, NoEngine, build, compose_command
from bench.composed.installation import SERVICES, Installation
from bench.composed.visitor import visit
from bench.load import WRITER, Ledger, Senders, wait_until

NO_ENGINE = 3
PICTURES = ROOT / ".local" / "screenshots" / "composed"
# How long a container is away, and how many events have to be promised meanwhile and afterwards.
AWAY_S = 3.0
MORE, MORE_PARKED = 200, 50
console = Console(highlight=False)


class Drill:
    """Events all the time, through TLS, while each container goes away once."""

    def __init__(self, installation: Installation, share: float, seed: int):
        self.installation, self.share = installation, share
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.faults: list[str] = []

    def run(self) -> bool:
        """Run all of it, print the table, and say whether everything held."""
        self._step("up", self.installation.up)
        self._step("a browser", self._look)
        key = self.installation.manage("writer", "create", WRITER, "--scopes", "write", "read", service="web").strip()
        context = self.installation.trust()
        senders = Senders(self.installation.port, key, self.ledger, count=4, host="localhost", context=context)
        senders.start()
        try:
            self._phases()
        finally:
            senders.stop()
        self._step("the queue is empty", self._drained)
        self._step("what is in the images", self._look_inside)
        self._step("a backup is whole", self._check_backup)
        verdict = compare(self.installation, self.ledger)
        # A writer that is told so drops the event.
        self.faults += [
            f"{self.ledger.answers[status]} x {status}"
            for status in ("400", "401", "403")
            if self.ledger.answers[status]
        ]
        self._print(verdict)
        return verdict.whole and not self.faults

    def _phases(self) -> None:
        self._step("normal service", self._more)
        for service in SERVICES:
            self._step(f"{service} killed", lambda service=service: self._away(service))
        self._step("redis killed while events wait", self._wait_through_a_crash)
        self._step("all stopped, started in any order", self._restart)
        self._step("up again, over what runs", self.installation.up)
        self._step("normal service again", self._more)

    def _away(self, service: str) -> None:
        parked = self.ledger.promised(202)
        self.installation.kill(service)
        if service == "postgres":
            wait_until(
                lambda: self.ledger.promised(202) >= parked + MORE_PARKED * self.share, seconds=60, what="parked events"
            )
        else:
            time.sleep(AWAY_S)
        self.installation.start(service)
        self.installation.wait_healthy(service)
        self._more()

    def _wait_through_a_crash(self) -> None:
        """What was parked has to come back from Redis' own file."""
        self.installation.kill("postgres")
        parked = self.ledger.promised(202)
        wait_until(
            lambda: self.ledger.promised(202) >= parked + MORE_PARKED * self.share, seconds=60, what="parked events"
        )
        self.installation.kill("redis")
        for service in ("redis", "postgres"):
            self.installation.start(service)
            self.installation.wait_healthy(service)
        self._drained()

    def _restart(self) -> None:
        services = list(SERVICES)
        self.random.shuffle(services)
        for service in services:
            self.installation.stop(service)
        self.random.shuffle(services)
        for service in services:
            self.installation.start(service)
        for service in services:
            self.installation.wait_healthy(service)

    def _more(self) -> None:
        """So many more events are promised."""
        goal = len(self.ledger.acknowledged) + int(MORE * self.share)
        wait_until(lambda: len(self.ledger.acknowledged) >= goal, seconds=120, what="events to be promised")

    def _drained(self) -> None:
        wait_until(lambda: self.installation.depth() == 0, seconds=120, what="the queue to empty", every_s=1)

    def _look(self) -> None:
        address = f"https://localhost:{self.installation.port}"
        self.faults += visit(address, lambda: self.installation.log("web"), PICTURES)

    def _look_inside(self) -> None:
        """The extras work in the image, and no process has more rights than it needs."""
        pdf = "import weasyprint, allauth, jwt; weasyprint.HTML(string='x').write_pdf('/tmp/x.pdf')"
        self.installation.execute("web", "python", "-c", pdf)
        for service in ("web", "postgres", "redis", "proxy"):
            status = self.installation.execute(service, "cat", "/proc/1/status")
            wanted = {"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"}
            self.faults += [f"{service}: not {fact}" for fact in wanted if fact not in status]
        given = self.installation.given.read_text(encoding="ascii").strip()
        if self.installation.execute("web", "cat", "/run/secrets/secret_key") != given:
            self.faults.append("the secret that was given is not the one that is used")

    def _check_backup(self) -> None:
        (name, *_) = (
            each for each in self.installation.execute("backup", "ls", "/backups").split() if "part" not in each
        )
        said = self.installation.manage("backup", "--check", f"/backups/{name}", service="backup")
        archived = self.installation.execute("postgres", "ls", "/wal").split()
        self.faults += [f"the backup: {said}"] if "whole" not in said else []
        self.faults += ["no WAL was archived"] if not archived else []

    def _step(self, name: str, act: object) -> None:
        before, started = dict(self.ledger.answers), time.monotonic()
        assert callable(act)
        act()
        answers = ", ".join(
            f"{count - before.get(status, 0)} x {status}"
            for status, count in sorted(self.ledger.answers.items())
            if count > before.get(status, 0)
        )
        console.print(f"{name:<36} {time.monotonic() - started:>6.1f} s  {answers}")

    def _print(self, verdict: Verdict) -> None:
        table = Table(title="docker-compose.yml")
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


def main() -> int:
    """Build, bring up, drill, take down."""
    parser = argparse.ArgumentParser(prog="python -m bench.composed")
    parser.add_argument("--share", type=float, default=1.0, help="of the events of a whole drill")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which containers start again")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # cut off, it still takes everything down
    started = time.monotonic()
    try:
        compose_command()
    except NoEngine as error:
        print(error)
        return NO_ENGINE
    installation = Installation(build())
    console.print(f"images built ({time.monotonic() - started:.0f} s)")
    try:
        passed = Drill(installation, options.share, options.seed).run()
    finally:
        installation.down()
    verdict = "up, killed, restarted: nothing lost, duplicated or altered" if passed else "FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
