"""`manage.py statement`: say, signed, how many records match a query."""

from typing import Any

from django.core.management.base import CommandParser

from audit.evidence import statements
from audit.evidence.request import Requester
from audit.management.harmless import HarmlessCommand, operator_name


class Command(HarmlessCommand):
    help = "Count the records that match, sign how many they are, record it, and print the statement for verify.py."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("query", help='as the search takes it: "type:role.grant actor:x after:2026-01-01"')

    def handle(self, *args: Any, **options: Any) -> None:
        facts = statements.make(Requester(operator_name(), may_unredacted=True), options["query"]).event_data
        self.stdout.write(facts["note"], ending="")
        self.stderr.write(
            f"{facts['found']} records of the leaves {facts['first']} to {facts['last'] - 1} match. To check it: "
            f"manage.py export --range {facts['first']} {facts['last']}"
        )
