"""`manage.py bundle`: write records with their proofs to one file, for verify.py."""

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from audit.evidence import proof_bundle
from audit.management.harmless import HarmlessCommand
from audit.models import Record


class Command(HarmlessCommand):
    help = "Write sealed records with their proofs to standard output, for verify.py on another machine."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--record", type=UUID, nargs="+", metavar="ID", help="these records")
        which.add_argument("--correlation", metavar="ID", help="all records of one correlation")

    def handle(self, *args: Any, record: list[UUID] | None, correlation: str | None, **options: Any) -> None:
        records = Record.objects.filter(id__in=record) if record else Record.objects.filter(correlation_id=correlation)
        if not records.exists():
            raise CommandError("There is no such record.")
        with transaction.atomic(using="reader"):
            for line in proof_bundle.lines(records.order_by("event_timestamp", "id").iterator(chunk_size=500)):
                sys.stdout.buffer.write(line)
