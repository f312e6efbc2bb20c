"""A store of a year whose first third is due, and what is done with it: bundles, plans, removal beside ingest."""

import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from audit.formats.note import Signer
from bench import seed
from bench.evidence import export
from bench.fleet import ROOT, Fleet
from bench.ingest.scene import CONNECTIONS, Site
from bench.ledger.log import connect
from bench.wire import Load, fire

APPROVED_BY = "carla"
# Ingest is measured in slices, so that what is counted beside a removal lies within it.
SLICE_S, ALONE_SLICES = 1.0, 6
# Of the records that are due, as many go into a bundle before.
BUNDLED = 10
SPARSE = "category:security writer:service-07"
APPROVE = """
from audit.models import RetentionRequest
from audit.retention import purge
purge.decide(RetentionRequest.objects.get(pk={plan}), approve=True, by="{by}")
"""
# A store that was kept so since it began: the only floor is of so many days.
FLOOR = """
ALTER TABLE audit_retentiondecision DISABLE TRIGGER audit_check;
WITH asked AS (
    INSERT INTO audit_retentionrequest (kind, category, days, reason, asked_by)
    VALUES ('policy', '', {days}, 'what is measured', 'bench') RETURNING id
)
INSERT INTO audit_retentiondecision (request_id, decision, decided_by, decided_at, record_id)
SELECT id, 'approved', '{by}', '1970-01-02 00:00:00+00', '00000000-0000-0000-0000-000000000000' FROM asked;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE audit_retentiondecision ENABLE ALWAYS TRIGGER audit_check;
"""
OLD = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'audit_record'::regclass AND c.relname < 'audit_record_' || to_char(now(), 'YYYY_MM')
"""
REMOVED = "SELECT coalesce(sum(purged), 0)::bigint FROM audit_purgerun"
DUE_LEAVES = """
SELECT max(l.index) + 1 FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id WHERE r.received_at < '{until}'
"""
SOME_DUE = "SELECT record_id::text FROM audit_leaf WHERE index = 1"


class Turn(NamedTuple):
    """What one turn of ingest reached, alone or beside a removal."""

    rate: float
    """Events kept a second."""
    p99_ms: float
    worst_ms: float
    removed: int = 0
    seconds: float = 0.0
    """How long the removal took, the start of its process included."""


class Store:
    """A whole installation in a folder of its own; `stop` removes it."""

    def __init__(self, size: int, plans: int):
        """Of `size` records a third is due, in so many `plans`."""
        self.size, self._plans = size, plans
        self.fleet = Fleet(drainers=0)
        # Whole months are due: the last plan reaches to the first day of a month, two thirds of the time before now.
        now = datetime.now(UTC)
        month = (now.year * 12 + now.month - 1) - 8
        self._due_until = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        self._floor = (now - self._due_until).days
        self._days = round(self._floor * 1.5)
        self._began = now - timedelta(days=self._days)

    def fill(self) -> None:
        """Records of a year, sealed; the floor; then the services."""
        fleet = self.fleet
        fleet.start_servers()
        folder = fleet.folder / "exports"
        folder.mkdir()
        fleet.env["EXPORT_DIR"] = str(folder)
        connect(fleet.env)
        seed.load(fleet.env["DATABASE_OWNER_URL"], self.size, days=self._days)
        fleet.manage("seal")
        fleet.sql(FLOOR.format(days=self._floor, by=APPROVED_BY))
        fleet.start_services()
        fleet.start_sealer()
        self._site = Site(fleet, fleet.new_writer())
        self._requests = self._site.single()
        self._site.warm_up(2)

    def stop(self) -> None:
        """End everything."""
        self.fleet.stop()

    def archive(self) -> tuple[float, float]:
        """Archive what is due and check it, as a purge asks; return the seconds of both."""
        folder = str(self.fleet.folder / "archive")
        due = self.fleet.number(DUE_LEAVES.format(until=self._due_until.isoformat()))
        started = time.monotonic()
        self.fleet.manage("archive", "create", folder, "--from", "0", "--to", str(due))
        created = time.monotonic()
        self.fleet.manage("archive", "check", folder)
        checked = time.monotonic()
        self.fleet.wait_for_sealer()
        return created - started, checked - created

    def make_bundles(self) -> list[Path]:
        """Evidence of before: a range of what is due, records of all the time that a query names, one record."""
        folder = Path(self.fleet.env["EXPORT_DIR"])
        last = max(self.size // 3 // BUNDLED, 1)
        made = [folder / export.measure(self.fleet, last).name, folder / export.measure(self.fleet, 0, SPARSE).name]
        address = f"http://127.0.0.1:{self.fleet.site_port}/api/v1/audit/events/{self.fleet.sql(SOME_DUE)[0][0]}/bundle"
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {self._site.key}"})
        record = folder / "record.jsonl"
        with urllib.request.urlopen(asked, timeout=60) as answer:
            record.write_bytes(answer.read())
        return [*made, record]

    def says_of_bundle(self, bundle: Path) -> str:
        """The verdict of verify.py, or what it says in place of one."""
        log_key, receipt_key = (str(Signer.parse(self.fleet.env[name])) for name in ("SEAL_KEY", "RECEIPT_KEY"))
        evidence = ["evidence"] if bundle.suffix == ".zip" else []
        more = ["--receipt-key", receipt_key] if evidence else []
        said = self._verifier(*evidence, str(bundle), "--key", log_key, *more)
        return said.rsplit("VERDICT: ", 1)[-1].strip()

    def bytes_of_old(self) -> int:
        """What the months before this one take on the disk, their indexes too."""
        self.fleet.sql("CHECKPOINT")
        return self.fleet.number(OLD)

    def removed(self) -> int:
        """How many records all plans have removed."""
        return self.fleet.number(REMOVED)

    def approved_plan(self, number: int) -> tuple[int, float]:
        """Plan the next part of what is due, have it approved and sealed; return its number, and the seconds of it."""
        until = self._began + (self._due_until - self._began) * (number + 1) / self._plans
        due = min(until + timedelta(days=self._floor), datetime.now(UTC))
        started = time.monotonic()
        said = self.fleet.manage("purge", "plan", "--due", due.isoformat(), "--reason", f"part {number + 1}")
        seconds = time.monotonic() - started
        found = re.search(r"Purge (\d+) is requested", said)
        assert found is not None, said
        self.fleet.manage("shell", "--verbosity", "0", "-c", APPROVE.format(plan=found[1], by=APPROVED_BY))
        self.fleet.wait_for_sealer()
        return int(found[1]), seconds

    def send(self) -> Turn:
        """Ingest alone."""
        return _turn([self._slice() for _ in range(ALONE_SLICES)])

    def purge_and_send(self, plan: int) -> Turn:
        """Ingest for as long as the run of a plan takes."""
        before, started = self.removed(), time.monotonic()
        command = [self.fleet.python, "manage.py", "purge", "run", str(plan)]
        running = subprocess.Popen(
            command, cwd=ROOT, env=self.fleet.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        slices: list[Load] = []
        while running.poll() is None or not slices:
            slices.append(self._slice())
        seconds = time.monotonic() - started
        said = running.communicate()[0]
        if running.returncode:
            raise RuntimeError(f"the run of the plan {plan} ended with {running.returncode}:\n{said}")
        # The last slice lies partly behind the removal; it is what there is where the removal was shorter than one.
        return _turn(slices[:-1] or slices, removed=self.removed() - before, seconds=seconds)

    def faults_of_certificate(self, plan: int) -> list[str]:
        """What is wrong with the certificate of a plan that has ended, by verify.py; a leaf that it covers is named."""
        certificate, ranges = self.fleet.folder / f"purge-{plan}.txt", self.fleet.folder / f"purge-{plan}.ranges"
        certificate.write_text(self.fleet.manage("purge", "show", str(plan), "--certificate"), encoding="utf-8")
        ranges.write_text(self.fleet.manage("purge", "show", str(plan), "--ranges"), encoding="utf-8")
        leaf = ranges.read_text(encoding="utf-8").split()[0]
        key = str(Signer.parse(self.fleet.env["RECEIPT_KEY"]))
        more = ("--receipt-key", key, "--ranges", str(ranges), "--leaf", leaf)
        said = self._verifier("purge", str(certificate), *more)
        return [] if f"PURGED  leaf {leaf}: " in said else [f"the certificate of the plan {plan}: {said}"]

    def _slice(self) -> Load:
        return fire(self.fleet.ingest_port, self._requests, seconds=SLICE_S, connections=CONNECTIONS)

    def _verifier(self, *arguments: str) -> str:
        command = [sys.executable, "verify.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def _turn(slices: list[Load], *, removed: int = 0, seconds: float = 0.0) -> Turn:
    """All slices together; each lasts as long, so the rate is their mean."""
    latencies = sorted(latency for each in slices for latency in each.latencies)
    return Turn(
        statistics.mean(each.kept_rate for each in slices),
        latencies[int(len(latencies) * 0.99)] * 1000,
        latencies[-1] * 1000,
        removed,
        seconds,
    )
