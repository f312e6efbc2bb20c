"""`manage.py report`: a compliance report, as JSON, HTML or PDF."""

from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from audit.evidence.request import Requester
from audit.management.harmless import HarmlessCommand, operator_name
from audit.postgres.faults import headline
from audit.reports import build, render


class Command(HarmlessCommand):
    help = "Make a compliance report of some days, write it to a file and print its digest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, metavar="DAY")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True, metavar="DAY")
        parser.add_argument(
            "--pack", action="append", required=True, metavar="NAME", help="a set of controls; repeat it"
        )
        parser.add_argument("--format", choices=("json", "html", "pdf"), default="json")
        parser.add_argument("--output", type=Path, metavar="FILE", help="else report-FIRST-LAST.FORMAT in this folder")
        parser.add_argument("--site", default="", metavar="URL", help="stands before the links of HTML and PDF")

    def handle(self, *args: Any, **options: Any) -> None:
        begun = build.request(Requester(operator_name()), options["first"], options["last"], options["pack"])
        try:
            made = build.resume(begun)
        except DatabaseError as error:
            raise CommandError(
                f"PostgreSQL gave up before the report was made: {headline(error)}. What is finished of it is kept, "
                f"and a worker goes on with it: it stands under Compliance reports, as {begun.pk}."
            ) from error
        if made.state != "ready":
            raise CommandError(f"The report is {made.state}. {made.error}".strip())
        body = render.file(made, options["format"], site=options["site"].rstrip("/"))
        path = options["output"] or Path(f"report-{made.first}-{made.last}.{options['format']}")
        path.write_bytes(body)
        self.stdout.write(f"sha256 {made.digest}, checkpoint {made.checkpoint}")
        self.stdout.write(str(path))
