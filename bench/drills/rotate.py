"""`make rotate SECONDS=10`: every key of a running site is rotated under a steady load, one after the other.

Site, ingest, two drainers, sealer, worker and a witness run all the while. Before each rotation, during it and after
it events are sent for SECONDS; PostgreSQL is away while the queue's key changes, so that entries that were signed with
the key of before wait for a drain that knows the next. At the end everything of before is verified again: receipts,
bundles, checkpoints, the log. Exit status 0 only when no request of a writer was refused or cut off, nothing was lost,
duplicated or altered, nothing was told that is not true, and a person who was logged in still is.
"""

import argparse
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.table import Table

from bench import softtoken
from bench.account import Verdict, compare, depth
from bench.drills import told
from bench.drills.holder import Holder
from bench.drills.keyed import Keyed
from bench.drills.told import Alarms, Done
from bench.drills.witnessed import Witnessed
from bench.fleet import ROOT
from bench.load import WRITER, Ledger, Senders, wait_until
from bench.pages.queue import Visitor
from bench.softtoken import SoftToken

THREADS, RATE = 4, 20.0
PROMISES = ("200", "201", "202")
COSIGNERS = "SELECT count(DISTINCT left(split_part(line, ' ', 3), 6)) FROM audit_cosignature"
console = Console(width=None if sys.stdout.isatty() else 110)


@dataclass
class Phase:
    """One key: what was answered while it was rotated."""

    key: str
    seconds: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)
    acknowledged: set[UUID] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    @property
    def refusals(self) -> dict[str, int]:
        """How often each status was answered that is no promise."""
        return {status: n for status, n in self.answers.items() if n and status not in (*PROMISES, "cut off")}


class Rotation:
    """All keys of one installation."""

    def __init__(self, seconds: float, only: str = ""):
        """`seconds` of load on each side of a rotation; of all keys, or of those whose name has `only` in it."""
        self.seconds, self.only = seconds, only
        self.alarms = Alarms()
        self.fleet = Keyed(
            workers=2,
            anchored=True,
            spooled=True,
            rotatable=True,
            SEAL_KEEP_S="1",
            DLQ_ALERT_WEBHOOK=self.alarms.url,
        )
        self.witness = Witnessed(self.fleet)
        self.next_witness = Witnessed(self.fleet, folder="next-witness")
        self.ledger = Ledger()
        self.phases: list[Phase] = []
        self.done: list[Done] = []
        self.faults: list[str] = []

    def run(self) -> bool:
        """Rotate all, verify all of before, print the table, and say whether every promise was kept."""
        self.fleet.start_servers()
        self.fleet.env["EXPORT_DIR"] = str(self.fleet.folder / "exports")
        (self.fleet.folder / "exports").mkdir()
        self.witness.start(self.fleet.public_keys())
        self.fleet.env["SEAL_WITNESSES"] = self.witness.line
        if softtoken.missing():
            console.print(f"the log's key goes into no token: {softtoken.missing()}")
        else:
            self.token = SoftToken(self.fleet.folder)
            self.token.make()
            self.fleet.env |= self.token.env
        self._expect_no_answers()
        self.fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.fleet.start_services()
        self.fleet.start_worker()
        key = self.fleet.new_writer()
        self.holder = Holder(self.fleet.port, key)
        self.senders = Senders(self.fleet.port, key, self.ledger, count=THREADS, rate=RATE)
        self.person = Visitor(self.fleet)
        self._keep_evidence()
        self.senders.start()
        try:
            self._rotate_all()
        finally:
            self.senders.stop()
        wait_until(lambda: depth(self.fleet) == 0, seconds=120, what="the queue to be empty")
        both = Ledger(
            self.ledger.digests | self.holder.ledger.digests, self.ledger.acknowledged | self.holder.ledger.acknowledged
        )
        verdict = compare(self.fleet, both)
        self._verify_evidence()
        lies = told.untrue(self.fleet, self.alarms, self.done, lasting="")
        self._print(verdict, lies)
        return self._passed(verdict, lies)

    def stop(self) -> None:
        """End everything."""
        self.witness.stop()
        self.next_witness.stop()
        self.fleet.stop()
        self.alarms.stop()

    def _expect_no_answers(self) -> None:
        """Switch rules about answers off: nobody answers the load, which would truly be found after ten minutes."""
        pack = json.loads(self.fleet.manage("expectations", "dump"))
        for rule in pack["expectations"]:
            rule |= {"active": False, "inactive_because": "Nobody answers the events of a drill."}
        file = self.fleet.folder / "expectations.json"
        file.write_text(json.dumps(pack), encoding="utf-8")
        self.fleet.manage("expectations", "load", str(file))

    def _rotate_all(self) -> None:
        for key, act in {
            "none, the workers renewed": self.fleet.renew,
            "of a writer": self._writer,
            "of receipts": self._receipts,
            "of the log": self._log,
            **({} if softtoken.missing() else {"of the log, into a token and back": self._token}),
            "of a witness": self._witness,
            "of the queue": self._queue,
            "SECRET_KEY": self._secret_key,
            "passwords of PostgreSQL": self._postgres,
            "password of Redis": self._redis,
        }.items():
            if self.only in key:
                self._phase(key, act)

    # --- Rotations, as docs/rotation.md has them -------------------------------------------

    def _writer(self) -> None:
        new = self.fleet.manage("writer", "rotate", WRITER).strip().splitlines()[-1]
        self._load()  # with the key of before, which works on
        self.senders.use(new)
        self.holder.use(new)
        self._load()
        self.fleet.manage("writer", "revoke", WRITER, "--old")

    def _receipts(self) -> None:
        self.fleet.manage("receiptkey", "rotate")

    def _log(self) -> None:
        self.fleet.manage("sealkey", "prepare")
        self.witness.stop()
        self.witness.start(self.fleet.public_keys())
        self.fleet.manage("sealkey", "rotate")

    def _token(self) -> None:
        """By SoftHSM; what the key in the token has signed is believed by verify.py while it signs, and afterwards."""
        address = str(self.token.address("log"))
        for where in (("--pkcs11", address), ()):
            self.fleet.manage("sealkey", "prepare", *where)
            self.witness.stop()
            self.witness.start(self.fleet.public_keys())
            self.fleet.manage("sealkey", "rotate")
            self._load()
            self.fleet.wait_for_sealer()
            self._export()

    def _witness(self) -> None:
        """Another key under the same name; what the key of before has cosigned is believed as before."""
        self.next_witness.start(self.fleet.public_keys())
        self.fleet.env["SEAL_WITNESSES"] = f"{self.next_witness.line},={self.witness.key}"
        self.fleet.renew()
        self.witness.stop()
        self._expect(lambda: self.fleet.number(COSIGNERS) == 2, "the new key of the witness cosigns")

    def _queue(self) -> None:
        """PostgreSQL is away: entries signed with each of the keys wait, and all are drained."""
        old, new = self.fleet.secret("DLQ_ENTRY_KEY"), secrets.token_hex(32)
        began_at = told.now()
        self.fleet.postgres.stop()
        wait_until(lambda: depth(self.fleet) > 10, seconds=60, what="events to wait")
        for lines in ((old, new), (new, old)):
            self.fleet.put("DLQ_ENTRY_KEY", "\n".join(lines))
            self.fleet.renew()
        waits = depth(self.fleet)
        wait_until(lambda: depth(self.fleet) > waits + 10, seconds=60, what="events under the new key to wait")
        self.fleet.postgres.start()
        self.done.append(Done("PostgreSQL stopped", began_at, told.now()))
        wait_until(lambda: depth(self.fleet) == 0, seconds=120, what="the queue to be empty")
        self.fleet.put("DLQ_ENTRY_KEY", new)
        self.fleet.renew()

    def _secret_key(self) -> None:
        old, new = self.fleet.secret("SECRET_KEY"), secrets.token_hex(32)
        for lines in ((old, new), (new, old), (new,)):
            self.fleet.put("SECRET_KEY", "\n".join(lines))
            self.fleet.renew()
            self.person.get("/admin/audit/record/")

    def _postgres(self) -> None:
        self.fleet.set_passwords_of_postgres()
        self.fleet.renew()

    def _redis(self) -> None:
        old, new = self.fleet.redis_password, secrets.token_hex(32)
        self.fleet.tell_redis(f">{new}")
        self.fleet.address_redis(new)
        self.fleet.renew()
        self.fleet.tell_redis(f"<{old}")
        self.fleet.redis_password = new

    # --- What is seen ----------------------------------------------------------------------

    def _phase(self, key: str, act: Callable[[], None]) -> None:
        phase, before, known = Phase(key), dict(self.ledger.answers), set(self.ledger.acknowledged)
        told_before, started = len(self.alarms.told), time.monotonic()
        self._load()
        try:
            act()
            self._load()
            self.person.get("/admin/audit/record/")
        except (RuntimeError, TimeoutError, OSError) as error:
            self.faults.append(f"{key}: {error}")
        phase.seconds = time.monotonic() - started
        with self.ledger.lock:
            answers, acknowledged = dict(self.ledger.answers), set(self.ledger.acknowledged)
        phase.answers = {status: count - before.get(status, 0) for status, count in answers.items()}
        phase.acknowledged = acknowledged - known
        phase.told = [name for name, _ in self.alarms.told[told_before:]]
        self.phases.append(phase)
        console.print(f"{key}: {sum(phase.answers.values()):,} requests in {phase.seconds:.0f} s")

    def _load(self) -> None:
        time.sleep(self.seconds)
        self.holder.send(2)

    def _expect(self, holds: Callable[[], bool], what: str) -> None:
        with suppress(TimeoutError):
            wait_until(holds, seconds=30, what=what)
            return
        self.faults.append(f"not so: {what}")

    # --- Evidence of before ----------------------------------------------------------------

    def _keep_evidence(self) -> None:
        """Receipts, the bundle of a range and the public keys, as an auditor has them before anything is rotated."""
        self.holder.send(40)
        self.fleet.wait_for_sealer()
        self.receipts = self.holder.write_receipts(self.fleet.folder / "receipts")
        self.log_key = self.fleet.public_keys()[0]
        self.receipt_key = Path(self.fleet.env["RECEIPT_PUBLIC_KEYS_FILE"]).read_text(encoding="utf-8").split()[0]
        self.bundle = Path(self.fleet.manage("export", "--range", "0", "20").splitlines()[-1])

    def _verify_evidence(self) -> None:
        """The store and verify.py believe what was signed before, the latter by the keys of before."""
        self._run("manage.py", "receipts", "verify", str(self.receipts))
        self._run("manage.py", "receipts", "verify", str(self.holder.write_receipts(self.fleet.folder / "all")))
        keys = ("--key", self.log_key, "--receipt-key", self.receipt_key)
        self._run("verify.py", "evidence", str(self.bundle), *keys)
        self._export()

    def _export(self) -> None:
        """verify.py believes what is exported now, by the keys of now."""
        new = Path(self.fleet.manage("export", "--range", "0", "40").splitlines()[-1])
        receipt_key = Path(self.fleet.env["RECEIPT_PUBLIC_KEYS_FILE"]).read_text(encoding="utf-8").split()[0]
        self._run("verify.py", "evidence", str(new), "--key", self.fleet.public_keys()[0], "--receipt-key", receipt_key)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.fleet.env, capture_output=True, text=True
        )
        if done.returncode:
            self.faults.append(
                f"{' '.join(arguments[:3])}: status {done.returncode}. {done.stdout[-600:]}{done.stderr}"
            )

    # --- The end ---------------------------------------------------------------------------

    def _print(self, verdict: Verdict, lies: list[str]) -> None:
        table = Table("key", "s", "requests", "201", "202", "refused", "cut off", "lost", "told", title="Rotation")
        for phase in self.phases:
            counts = (phase.answers.get(status, 0) for status in ("201", "202"))
            lost = len(phase.acknowledged & verdict.lost)
            refused = ", ".join(f"{count:,} x {status}" for status, count in phase.refusals.items()) or "0"
            cells = [f"{value:,}" for value in (sum(phase.answers.values()), *counts)]
            cells += [refused, f"{phase.answers.get('cut off', 0):,}", f"{lost:,}"]
            names = ", ".join(dict.fromkeys(phase.told)) or "nothing"
            table.add_row(phase.key, f"{phase.seconds:.0f}", *cells, names)
        console.print(table)
        console.print(f"the log: {verdict.verification}; {verdict.stored:,} records, {len(verdict.lost)} lost")
        for line in (*self.faults, *lies):
            console.print(f"[red]{line}[/red]")

    def _passed(self, verdict: Verdict, lies: list[str]) -> bool:
        refused = any(phase.refusals or phase.answers.get("cut off", 0) for phase in self.phases)
        return verdict.whole and bool(self.phases) and not (lies or self.faults or refused)


def main() -> int:
    """Run one drill."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.rotate")
    parser.add_argument("--seconds", type=float, default=10, help="of load on each side of a rotation")
    parser.add_argument("--only", default="", help="the keys whose name has this in it")
    options = parser.parse_args()
    rotation, started = Rotation(options.seconds, options.only), time.monotonic()
    try:
        passed = rotation.run()
    finally:
        rotation.stop()
    verdict = "every key rotated, nobody refused, nothing lost, nothing told that is not so" if passed else "FAILED"
    console.print(f"{verdict} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
