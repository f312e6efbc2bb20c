"""`make restore-drill SHARE=1`: a store is backed up, goes on under load, burns, and is restored, at three points.

1. PostgreSQL's disk burns; restored to the newest WAL that was archived.
2. PostgreSQL's disk burns; restored to a moment in the middle of the load.
3. PostgreSQL's and Redis' disks burn; restored to the end of the base backup, and Redis to its file.

A steady load goes on through backup, burn and restore: a writer that keeps its receipts, and sends again what was not
acknowledged. It rests while a round is closed, so that every promise can be compared with the store.

Each time: the sealer refuses to go on by itself; `restore check` names exactly what was acknowledged and is gone, by
the receipts of its writer; spool and queue bring home what they have, `refill` what they had drained, the writer sends
the rest again, the log is resumed by two people, the witness goes on, findings close, the log is VERIFIED. Exit status
0 only then.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from rich.console import Console
from rich.table import Table

from bench.account import compare, depth
from bench.drills.holder import Holder, Steady
from bench.drills.witnessed import Witnessed
from bench.fleet import ROOT, Fleet
from bench.load import Ledger, wait_until

EVENTS = 3_000
ASKED_BY, APPROVED_BY = "olga", "carla"
APPROVE = """
from audit.ledger import resume
resume.decide(resume.waiting(), approve=True, by="{by}")
"""
FINDINGS = """
from audit.models import Finding
print(Finding.objects.still_so().count())
"""
T = TypeVar("T")
COSIGNED = """
SELECT coalesce(max(size), 0) FROM audit_checkpoint WHERE number IN (SELECT checkpoint FROM audit_cosignature)
"""
HEAD = "SELECT size FROM audit_head"
console = Console(width=None if sys.stdout.isatty() else 110)


@dataclass
class Round:
    """One fire: what was gone, and what brought it back."""

    name: str
    acknowledged: int = 0
    # Of these, by the steady load.
    steady: int = 0
    # Acknowledged while nothing was left of the disks: they waited in the queue or the spool.
    waited: int = 0
    gone: int = 0
    named: int = 0
    refilled: int = 0
    sent_again: int = 0
    leaves: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.faults.append(what)
            console.print(f"[red]{self.name}: {what}[/red]")


class RestoreDrill:
    """Three fires in one installation."""

    def __init__(self, share: float):
        """`share` of the events of a whole drill."""
        self.events = max(int(EVENTS * share), 60)
        self.fleet = Fleet(
            workers=1,
            drainers=1,
            anchored=True,
            spooled=True,
            rotatable=True,
            archived=True,
            SEAL_MERGE_DELAY_S="2",
            SEAL_KEEP_S="1",
            SEAL_INTERVAL_MS="200",
            GAP_GRACE_S="1",
        )
        self.backups = self.fleet.folder / "backups"
        self.rounds: list[Round] = []
        self._witness = Witnessed(self.fleet)
        # What was acknowledged when `restore check` was asked.
        self._known: set[UUID] = set()
        self._published_size = 0
        self._waited: set[UUID] = set()

    def run(self) -> bool:
        """Run all rounds, print the table, and say whether everything came back."""
        self.fleet.start_servers()
        self._start_witness()
        self.fleet.start_services()
        key = self.fleet.new_writer()
        self.holder, self.steady = Holder(self.fleet.port, key), Steady(self.fleet.port, key)
        self._round("PostgreSQL, to the newest WAL", self._newest, redis_too=False)
        self._round("PostgreSQL, to a moment", self._moment, redis_too=False)
        self._round("PostgreSQL and Redis, to the backup", self._backup_alone, redis_too=True)
        self._print()
        return not any(each.faults for each in self.rounds)

    def stop(self) -> None:
        """End everything."""
        if hasattr(self, "steady"):
            self.steady.stop()
        self._witness.stop()
        self.fleet.stop()

    def _round(self, name: str, target: Callable[[datetime], dict[str, str]], *, redis_too: bool) -> None:
        this = Round(name)
        self.rounds.append(this)
        self.steady.go_on()
        backup = self._timed(this, "backup", self._back_up)
        self._load(self.events // 3)
        moment = datetime.now(UTC)
        time.sleep(1)
        self._outage(self.events // 3)
        self._load(self.events // 6)
        self._archived()
        self._load(self.events // 6)
        self._published()
        self._burn(redis_too)
        self._timed(this, "restore", lambda: self._restore(backup, target(moment), redis_too))
        self._home()
        self._find(this)
        self._bring_back(this)
        self._timed(this, "resume", lambda: self._resume(this))
        self._close(this)
        took = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in this.seconds.items())
        console.print(f"{name}: {this.gone} gone, {this.named} named, {this.refilled} refilled, {took}")

    def _back_up(self) -> Path:
        self.fleet.manage("backup", str(self.backups))
        newest = max(self.backups.iterdir())
        self.fleet.manage("backup", "--check", str(newest))
        return newest

    def _load(self, count: int) -> None:
        self.holder.send(count)

    def _outage(self, count: int) -> None:
        """Events that wait in the queue and are drained: what refill is for."""
        self.fleet.postgres.stop()
        self.holder.send(count)
        self.fleet.postgres.start()
        wait_until(lambda: depth(self.fleet) == 0, seconds=600, what="the queue to be drained")

    def _archived(self) -> None:
        """The WAL of up to now is in the archive; what comes after it burns."""
        segment = str(self.fleet.sql("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
        wait_until(lambda: (self.fleet.wal / segment).exists(), seconds=600, what="the WAL to be archived")

    def _published(self) -> None:
        """All is sealed, and anchor and witness have it: what burns now is known outside."""
        self._sealed()
        size = self._size()
        wait_until(lambda: self.fleet.number(COSIGNED) >= size, seconds=600, what="the witness to cosign")
        wait_until(lambda: self._anchored() >= size, seconds=600, what="the anchor")
        self._published_size = size

    def _anchored(self) -> int:
        """The size of the newest line of the anchor, whatever name it has."""
        notes = [json.loads(line).get("note") for line in self.fleet.anchor.read_text().splitlines()]
        return int([text for text in notes if text][-1].split("\n")[1])

    def _burn(self, redis_too: bool) -> None:
        """The disks are gone, under load; what is sent meanwhile waits in the queue, or in the spool."""
        self.fleet.postgres.kill()
        shutil.rmtree(self.fleet.postgres.data)
        if redis_too:
            self.fleet.redis.kill()
            shutil.rmtree(self.fleet.redis.data)
        self._waited = self.holder.send(self.events // 10)
        if redis_too and not self._spooled():
            raise AssertionError("PostgreSQL and Redis are gone, and what is acknowledged is in no spool")

    def _restore(self, backup: Path, recovery: dict[str, str], redis_too: bool) -> None:
        """As docs/operations.md has it."""
        if redis_too:
            self.fleet.redis.load(backup / "redis.rdb")
            self.fleet.redis.start()
        command = {"restore_command": f"cp {self.fleet.wal}/%f %p", "recovery_target_action": "promote"}
        self.fleet.postgres.unpack(backup / "postgres", recovery=command | recovery)
        self.fleet.postgres.start()
        recovering = "SELECT pg_is_in_recovery()::int"
        wait_until(lambda: not self.fleet.number(recovering), seconds=600, what="PostgreSQL to have recovered")

    def _newest(self, moment: datetime) -> dict[str, str]:
        return {"recovery_target_timeline": "latest"}

    def _moment(self, moment: datetime) -> dict[str, str]:
        return {"recovery_target_time": f"{moment:%Y-%m-%d %H:%M:%S.%f+00}", "recovery_target_timeline": "latest"}

    def _backup_alone(self, moment: datetime) -> dict[str, str]:
        return {"recovery_target": "immediate"}

    def _find(self, this: Round) -> None:
        """`restore check` names what is gone: exactly that."""
        receipts = self._write_receipts()
        self._known = self.holder.acknowledged | self.steady.acknowledged
        self._home()
        gone = self._gone()
        this.acknowledged, this.steady, this.gone = len(self._known), len(self.steady.acknowledged), len(gone)
        this.waited = len(self._waited)
        back = self._waited - {UUID(each) for each in gone}
        this.expect(back == self._waited, f"{len(self._waited - back)} events that waited did not come home")
        time.sleep(3)  # past the maximum merge delay: a promise is broken only then
        head, named = self.fleet.number(HEAD), self.fleet.folder / "missing"
        done = self._manage("restore", "check", *receipts, "--missing", str(named))
        missing = set(named.read_text().split())
        this.named = len(missing)
        this.expect(
            missing == gone, f"{len(gone - missing)} gone and not named, {len(missing - gone)} named and not gone"
        )
        this.expect(done.returncode == (3 if gone else done.returncode), f"restore check ended with {done.returncode}")
        this.leaves = sum(int(word.replace(",", "")) for word in _words_before(done.stdout, " are gone"))
        if this.leaves:
            this.expect(self.fleet.number(HEAD) == head, "the sealer went on below what is known outside")
            this.expect(
                self._anchored() >= self._published_size, "an older head got behind the later one in the anchor"
            )

    def _bring_back(self, this: Round) -> None:
        """From the queue what it kept, from the writer the rest."""
        before = self._gone()
        self._manage("refill")
        this.refilled = len(before) - len(self._gone())
        again = self._gone()
        this.sent_again = len(again)
        self.holder.send_again(again)
        self.steady.send_again(again)
        self._home()
        this.expect(not self._gone(), f"{len(self._gone())} events did not come back")

    def _resume(self, this: Round) -> None:
        """Two people, a cross-link; the witness is told the new key; the sealer goes on."""
        if not this.leaves:
            return  # nothing that is known outside was lost
        asked = self._manage("log", "resume", "--reason", f"drill: {this.name}")
        this.expect(asked.returncode == 0, asked.stderr)
        self._manage("shell", "--verbosity", "0", "-c", APPROVE.format(by=APPROVED_BY))
        done = self._manage("log", "resume")
        this.expect("auditsite/crosslink/v1" in done.stdout, f"the log was not resumed: {done.stderr}")
        self._manage("receiptkey", "rotate", "--wait", "1")
        self._witness.stop()
        self._start_witness()
        self._sealed()

    def _close(self, this: Round) -> None:
        """Promises are kept again, findings closed, the log verified, and the witness at the newest head."""
        self.steady.rest()
        self._home()
        self._sealed()
        size = self._size()
        self._published()
        written = self._write_receipts()
        receipts = self._manage("receipts", "verify", *written)
        this.expect(receipts.returncode == 0, f"receipts: {receipts.stdout.strip()}")
        ours, steady = self.holder.ledger, self.steady.ledger
        both = Ledger(ours.digests | steady.digests, ours.acknowledged | steady.acknowledged)
        verdict = compare(self.fleet, both)
        this.expect(verdict.whole, f"{verdict.verification}, {len(verdict.lost)} lost, {len(verdict.altered)} altered")
        open_promises = self.fleet.number("SELECT count(*) FROM audit_brokenpromise WHERE closed_at IS NULL")
        this.expect(not open_promises, f"{open_promises} broken promises are open")
        findings = int(self._manage("shell", "--verbosity", "0", "-c", FINDINGS).stdout)
        this.expect(not findings, f"{findings} findings are still so")
        done = self._manage("restore", "check", *written)
        this.expect(done.returncode == 0, f"restore check after all: {done.stdout.strip()}")
        this.expect(self._size() >= size, "the log shrank")

    def _gone(self) -> set[str]:
        """What was acknowledged and is no record: asked of the database itself."""
        rows = self.fleet.sql("SELECT id::text FROM audit_record WHERE writer = 'drill'")
        return {str(event_id) for event_id in self._known} - {str(row[0]) for row in rows}

    def _home(self) -> None:
        """Return when what waited in queue and spool is in the store."""
        wait_until(lambda: depth(self.fleet) == 0 and not self._spooled(), seconds=600, what="queue and spool")

    def _spooled(self) -> bool:
        """Whether an event waits in a file; one that a drain is removing is looked for again."""
        files = [path for path in self.fleet.spool.iterdir() if path.suffix in (".spool", ".closed")]
        try:
            return any(path.stat().st_size for path in files)
        except FileNotFoundError:
            return True

    def _write_receipts(self) -> list[str]:
        """All receipts of both writers; the files."""
        folder = self.fleet.folder
        return [
            str(self.holder.write_receipts(folder / "receipts")),
            str(self.steady.write_receipts(folder / "receipts-steady")),
        ]

    def _size(self) -> int:
        return self.fleet.number("SELECT coalesce(max(size), 0) FROM audit_checkpoint")

    def _sealed(self) -> None:
        waiting = "SELECT count(*) FROM audit_unsealed"
        wait_until(lambda: not self.fleet.number(waiting), seconds=600, what="the sealer")
        heads = "SELECT (SELECT size FROM audit_head) - (SELECT max(size) FROM audit_checkpoint)"
        wait_until(lambda: not self.fleet.number(heads), seconds=600, what="a checkpoint of the newest head")

    def _manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.fleet.env, capture_output=True, text=True, check=False)

    def _start_witness(self) -> None:
        """A witness that knows the keys of now."""
        self._witness.start(Path(self.fleet.env["SEAL_PUBLIC_KEYS_FILE"]).read_text().split())
        self.fleet.env["SEAL_WITNESSES"] = self._witness.line

    def _timed(self, this: Round, what: str, act: Callable[[], T]) -> T:
        started = time.monotonic()
        result = act()
        this.seconds[what] = time.monotonic() - started
        return result

    def _print(self) -> None:
        table = Table("figure", *(each.name for each in self.rounds), title="Restore drill")
        figures = ("acknowledged", "steady", "waited", "gone", "named", "refilled", "sent_again", "leaves")
        words = {
            "steady": "of these by the steady load",
            "waited": "waited in queue or spool, and came home",
            "sent_again": "sent again by the writers",
            "leaves": "leaves cut off",
            "refilled": "brought back by refill",
        }
        for name in figures:
            table.add_row(words.get(name, name), *(f"{getattr(each, name):,}" for each in self.rounds))
        for what in ("backup", "restore", "resume"):
            table.add_row(f"{what} (s)", *(f"{each.seconds.get(what, 0):.1f}" for each in self.rounds))
        table.add_row("faults", *(str(len(each.faults)) for each in self.rounds))
        console.print(table)


def _words_before(text: str, end: str) -> list[str]:
    return [
        line.split(end)[0].rsplit(" ", 1)[-1] for line in text.splitlines() if line.startswith("log:") and end in line
    ]


def main() -> int:
    """Run one drill."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.restore")
    parser.add_argument("--share", type=float, default=1.0, help="of the events of a whole drill")
    drill = RestoreDrill(parser.parse_args().share)
    started = time.monotonic()
    try:
        passed = drill.run()
    finally:
        drill.stop()
    console.print(f"{'all of it came back' if passed else 'FAILED'} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
