"""`manage.py receipts verify`: does the store keep what its receipts promise?"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.progress import TextColumn, TimeElapsedColumn

from audit.errors import AuditError
from audit.formats import receipt
from audit.ingest import trail
from audit.management.bars import bar
from audit.management.harmless import operator_name
from audit.receipts import verify
from audit.receipts.verify import BROKEN, NOT_OURS, STATES, UNKNOWN, ReceiptResult, VerifiedReceipts

RECEIPTS_AT_ONCE = 200
EVENTS_NAMED = 20
BROKE, NOT_KNOWN = 3, 4


class Command(BaseCommand):
    help = (
        "Take receipts back, and say what became of every event that they promise. Exit status: 0 none is broken, "
        f"{BROKE} a broken promise, {NOT_KNOWN} something is unknown, or no receipt of this store."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        files = actions.add_parser("verify", help="verify the receipts in files")
        text = "receipts, or an answer of the API a line; - is standard input"
        files.add_argument("files", nargs="+", metavar="FILE", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["files"]
        counts: Counter[str] = Counter()
        read, named = 0, 0
        columns = (TextColumn("{task.completed} receipts, {task.fields[events]} events"), TimeElapsedColumn())
        try:
            trail.add("audit.receipts.verified", actor=operator_name(), correlation="completeness", files=len(names))
            with bar(*columns) as progress:
                task = progress.add_task("receipts", total=None, events=0)
                pieces = receipt.pieces(_lines(names))
                while portion := list(islice(pieces, RECEIPTS_AT_ONCE)):
                    verified = verify.verify_receipts(portion)
                    named += self._name(verified.results, read, EVENTS_NAMED - named)
                    read, counts = read + verified.receipts, counts + Counter(verified.counts)
                    progress.update(task, completed=read, events=counts.total())
        except (AuditError, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from None
        verified = VerifiedReceipts([], read, {state: counts[state] for state in STATES if counts[state]})
        self.stdout.write(verified.sentence)
        sys.exit({BROKEN: BROKE, UNKNOWN: NOT_KNOWN}.get(verified.verdict, 0))

    def _name(self, results: Iterable[ReceiptResult], before: int, room: int) -> int:
        """Name events whose promise is not kept, as far as there is room; return how many."""
        bad = [result for result in results if result.state in (BROKEN, NOT_OURS, UNKNOWN)][: max(room, 0)]
        for result in bad:
            number = before + result.receipt + 1
            self.stdout.write(f"{result.state}: receipt {number} {result.event_id}: {result.why}")
        return len(bad)


def _lines(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from sys.stdin
            continue
        with Path(name).open(encoding="utf-8") as file:
            yield from file
