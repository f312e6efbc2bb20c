"""`manage.py verify`: verify the log, and the records under it."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.ledger import heads
from audit.ledger.verify import Verdict, resume, verify
from audit.ledger.verify.result import FAILURES
from audit.management.counting import counted
from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import Checkpoint, Finding, Verification

SHOWN = 20
FAILED, NOT_COVERED = 3, 4
CHECKED = (
    "records",
    "purged",
    "leaves",
    "nodes",
    "roots",
    "checkpoints",
    "cosignatures",
    "anchored checkpoints",
    "witnesses",
)


class Command(HarmlessCommand):
    help = (
        "Verify the log: all of it, a range, what came since a checkpoint, or one correlation. "
        f"Exit status: 0 VERIFIED, {FAILED} a finding, {NOT_COVERED} nothing was there to verify."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--range", nargs=2, type=int, metavar=("FIRST", "LAST"), help="leaves FIRST to LAST-1")
        what.add_argument("--since", type=int, metavar="NUMBER", help="what came since the checkpoint of this number")
        what.add_argument("--correlation", metavar="ID", help="the records of one correlation")
        what.add_argument("--resume", action="store_true", help="go on with the newest run that was cut off")

    def handle(self, *args: Any, **options: Any) -> None:
        with counted("leaves") as show:
            run = _run(options, show)
        self._print(run)
        verdict = Verdict(run.verdict)
        sys.exit(0 if verdict is Verdict.VERIFIED else FAILED if verdict in FAILURES else NOT_COVERED)

    def _print(self, run: Verification) -> None:
        findings = Finding.objects.filter(run=run).order_by("kind", "index")
        for finding in findings[:SHOWN]:
            self.stdout.write(f"{finding.kind} {finding.subject}: {finding.detail}{_where(finding)}")
        if (more := findings.count() - SHOWN) > 0:
            self.stdout.write(f"... and {more} more: see the admin, verification {run.pk}.")
        for text in run.not_covered:
            self.stdout.write(f"not covered: {text}")
        counts = ", ".join(f"{run.counts[name]} {name}" for name in CHECKED if run.counts.get(name))
        seconds = (run.updated_at - run.started_at).total_seconds()
        self.stdout.write(f"checked: {counts or 'nothing'} ({seconds:.1f} s)")
        self.stdout.write(run.verdict)


def _run(options: dict[str, Any], progress: Any) -> Verification:
    more: dict[str, Any] = {"requested_by": operator_name(), "progress": progress}
    if options["resume"]:
        run = Verification.objects.filter(ended_at=None).first()
        if run is None:
            raise CommandError("No run was cut off: there is nothing to go on with.")
        return resume(run, progress=progress)
    if options["correlation"]:
        return verify("correlation", correlation_id=options["correlation"], **more)
    if options["since"] is not None:
        return verify("range", first=_size_of(options["since"]), **more)
    if options["range"]:
        first, last = options["range"]
        if not 0 <= first < last:
            raise CommandError("A range is FIRST and LAST, with 0 <= FIRST < LAST.")
        return verify("range", first=first, last=last, **more)
    return verify(**more)


def _size_of(number: int) -> int:
    checkpoint = Checkpoint.objects.filter(number=number).first()
    if checkpoint is None:
        head = heads.newest_checkpoint()
        raise CommandError(f"There is no checkpoint {number}; the newest is {head.number if head else 'none'}.")
    return checkpoint.size


def _where(finding: Finding) -> str:
    first = f", first seen {finding.first_seen:%Y-%m-%d %H:%M}Z"
    return f" (record {finding.record_id}{first})" if finding.record_id else f" ({first[2:]})"
