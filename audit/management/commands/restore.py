"""`manage.py restore`: what belongs to a restore beside PostgreSQL's and Redis' own tools."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from audit.management import HarmlessCommand, operator_name
from audit.recovery import history, safe


class Command(HarmlessCommand):
    help = "Open the keys of a backup, and note restore drills."
    # A store that was restored a moment ago may lack much that the checks ask for.
    requires_system_checks = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(dest="action", required=True)
        secrets = parsers.add_parser("secrets", help="write the private keys of a backup into files")
        secrets.add_argument("backup", type=Path, help="the backup's folder")
        secrets.add_argument("--passphrase-file", type=Path, required=True)
        secrets.add_argument("--to", type=Path, required=True, help="a folder that is there, readable by you alone")
        drilled = parsers.add_parser("drilled", help="note that a backup was restored elsewhere, to try it")
        drilled.add_argument("backup", help="the backup's name, such as 20260818T100000.000000Z")
        drilled.add_argument("--outcome", choices=("success", "failure"), required=True)
        drilled.add_argument("--note", default="", help="what was found, up to 1,000 characters")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except (DatabaseError, OSError) as error:
            raise CommandError(f"Nothing was done: {error}") from None

    def _secrets(self, options: dict[str, Any]) -> None:
        for path in safe.open_safe(options["backup"] / "safe.json", options["passphrase_file"], options["to"]):
            self.stdout.write(str(path))

    def _drilled(self, options: dict[str, Any]) -> None:
        history.note_drill(options["backup"], options["outcome"], options["note"][:1000], by=operator_name())
        self.stdout.write(f"noted: {options['outcome']}")
