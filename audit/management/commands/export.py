"""`manage.py export`: an evidence bundle of a query or of a range of the log."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from audit.evidence import build, export
from audit.evidence.request import ExportRequest, Requester
from audit.management.counting import counted
from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import Export


class Command(HarmlessCommand):
    help = "Make an evidence bundle in EXPORT_DIR, for verify.py on another machine, and print where it is."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--query", metavar="QUERY", help='as the search takes it: "correlation:rr-7"; "" is everything'
        )
        what.add_argument("--range", nargs=2, type=int, metavar=("FIRST", "LAST"), help="leaves FIRST to LAST-1")
        text = "all leaves from the first to the last received then"
        what.add_argument("--received", nargs=2, metavar=("SINCE", "UNTIL"), help=text)
        what.add_argument("--resume", type=UUID, metavar="ID", help="go on with a bundle that was cut off or cancelled")
        parser.add_argument("--sample", type=int, metavar="COUNT", help="so many of them, drawn")
        parser.add_argument("--seed", default="", help="what they are drawn with; without it one is made up")
        parser.add_argument("--unredacted", action="store_true", help="without redaction; it is recorded")
        parser.add_argument("--csv", action="store_true", help="the records as a table, too")

    def handle(self, *args: Any, **options: Any) -> None:
        bundle = _bundle(options)
        with counted("records") as show:
            made = build.resume(bundle, progress=show)
        if made.state != "ready":
            raise CommandError(f"The bundle is {made.state}. {made.error}".strip())
        self.stdout.write(f"{made.records} records, manifest {made.digest}")
        self.stdout.write(f"{settings.EXPORT_DIR}/{made.name}")


def _bundle(options: dict[str, Any]) -> Export:
    requester = Requester(operator_name(), may_unredacted=True)
    if options["resume"] is None:
        return export.request(requester, **_wanted(options))
    bundle = Export.objects.filter(pk=options["resume"]).first()
    if bundle is None:
        raise CommandError(f"There is no bundle {options['resume']}.")
    if not bundle.is_under_way and not export.reopen(bundle, requester):
        raise CommandError(f"The bundle is {bundle.state}: there is nothing to go on with.")
    return bundle


def _wanted(options: dict[str, Any]) -> ExportRequest:
    wanted = ExportRequest(with_csv=options["csv"], unredacted=options["unredacted"])
    wanted["sample"], wanted["seed"] = options["sample"], options["seed"]
    if options["range"]:
        wanted["first"], wanted["last"] = options["range"]
    elif options["received"]:
        wanted["received"] = tuple(options["received"])
    else:
        wanted["query"] = options["query"]
    return wanted
