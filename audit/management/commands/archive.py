"""`manage.py archive`: archives of ranges of the log, made, checked and listed."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.archive import check, create, read, span
from audit.archive.places import METAVAR
from audit.evidence.request import Requester
from audit.ledger.verify.result import FAILURES, Verdict
from audit.management.counting import counted
from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import Archive

FAILED, NOT_COVERED = 3, 4


class Command(HarmlessCommand):
    help = (
        "Archive ranges of the log in folders or buckets, and prove archives against the log. "
        f"Exit status of check: 0 VERIFIED, {FAILED} something is altered or missing, {NOT_COVERED} something was not "
        "covered."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        making = actions.add_parser("create", help="archive a range in a place of its own; go on with one cut off")
        making.add_argument("folder", metavar=METAVAR)
        making.add_argument("--from", dest="first", metavar="INDEX|TIME", help="the first leaf, or what is sealed then")
        making.add_argument("--to", dest="last", metavar="INDEX|TIME", help="the leaf, or the time, after the range")
        making.add_argument("--month", metavar="YYYY-MM", help="what was sealed in a UTC month")
        checking = actions.add_parser("check", help="prove an archive against the log")
        checking.add_argument("folder", metavar=METAVAR)
        checking.add_argument("--volume", type=int, metavar="N", help="this volume alone")
        reading = actions.add_parser("read", help="read an archive back, to search in it: the page Archived records")
        reading.add_argument("folder", metavar=METAVAR)
        reading.add_argument("--volume", type=int, metavar="N", help="this volume alone")
        forgetting = actions.add_parser("forget", help="remove what was read back; the archive stays")
        forgetting.add_argument("archive", metavar=f"{METAVAR}|ID")
        actions.add_parser("list", help="all archives, and what their last check said")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        requester, folder = Requester(operator_name()), options["folder"]
        archive = _begun(requester, folder, options)
        with counted("records") as show:
            made = create.resume(archive, requester, show)
        self.stdout.write(
            f"leaves {made.first} to {made.last - 1} in {made.volumes.count()} volumes, {made.bytes} bytes"
        )
        self.stdout.write(f"index {made.digest}")
        self.stdout.write(f"{made.folder}: check it with `manage.py archive check`, before anything relies on it")

    def _check(self, options: dict[str, Any]) -> None:
        with counted("records") as show:
            result = check.check(Requester(operator_name()), options["folder"], options["volume"], show)
        for fault in result.faults:
            self.stdout.write(fault)
        for note in result.notes:
            self.stdout.write(note)
        archive = result.archive
        self.stdout.write(f"archive {archive.pk} of the leaves {archive.first} to {archive.last - 1}")
        part = "all of it" if result.is_whole else f"volume {result.volume} alone"
        self.stdout.write(f"checked: {part}, volumes: {result.volumes}, records proved: {result.records}")
        self.stdout.write(result.verdict)
        verdict = Verdict(result.verdict)
        sys.exit(0 if verdict is Verdict.VERIFIED else FAILED if verdict in FAILURES else NOT_COVERED)

    def _read(self, options: dict[str, Any]) -> None:
        with counted("records") as show:
            archive = read.read(Requester(operator_name()), options["folder"], options["volume"], show)
        volumes = archive.volumes.exclude(read_at=None)
        records = sum(volume.last - volume.first for volume in volumes)
        self.stdout.write(f"{records} records of {volumes.count()} volumes can be found under Archived records")

    def _forget(self, options: dict[str, Any]) -> None:
        archive = read.archive_of(options["archive"])
        read.forget(Requester(operator_name()), archive)
        self.stdout.write(f"The records of the archive {archive.pk} are no longer found; {archive.folder} is as it was")

    def _list(self, options: dict[str, Any]) -> None:
        for archive in Archive.objects.all():
            said = "not whole yet" if archive.is_under_way else "never checked"
            if (last := archive.last_check()) is not None:
                said = f"{last.verdict} {last.ended_at:%Y-%m-%d %H:%M}Z"
            self.stdout.write(f"{archive.first} to {archive.last - 1}  {said}  {archive.pk}  {archive.folder}")


def _begun(requester: Requester, folder: str, options: dict[str, Any]) -> Archive:
    bounds = [options[name] for name in ("first", "last") if options[name] is not None]
    if options["month"] and not bounds:
        return create.create(requester, folder, span.read_month(options["month"]))
    if len(bounds) == 2 and not options["month"]:
        return create.create(requester, folder, span.read_span(*bounds))
    if not bounds and not options["month"] and (begun := create.unfinished(folder)) is not None:
        return begun
    raise CommandError(
        f"There is no unfinished archive in {folder} to go on with. Say what to archive: --from and --to, or --month."
    )
