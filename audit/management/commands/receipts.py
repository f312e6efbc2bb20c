"""`manage.py receipts verify`: does the store keep what its receipts promise?"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from audit.errors import AuditError
from audit.formats import receipt
from audit.ingest import trail
from audit.management import operator_name
from audit.receipts import verify
from audit.receipts.verify import BROKEN, NOT_OURS, STATES, UNKNOWN, Answer, Redeemed

PORTION = 200
SHOWN = 20
BROKE, NOT_KNOWN = 3, 4
TOLD = (BROKEN, NOT_OURS, UNKNOWN)


class Command(BaseCommand):
    help = (
        "Take receipts back, and say what became of every event that they promise. Exit status: 0 none is broken, "
        f"{BROKE} a broken promise, {NOT_KNOWN} something is unknown, or no receipt of this store."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        verify = actions.add_parser("verify", help="verify the receipts in files")
        verify.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="receipts, or an answer of the API a line; - is standard input",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["files"]
        columns = (TextColumn("{task.completed} receipts, {task.fields[events]} events"), TimeElapsedColumn())
        counts: Counter[str] = Counter()
        read, shown = 0, 0
        try:
            trail.add("audit.receipts.verified", actor=operator_name(), correlation="completeness", files=len(names))
            with Progress(*columns, console=Console(stderr=True)) as bar:
                task = bar.add_task("receipts", total=None, events=0)
                for portion in _portions(receipt.pieces(_lines(names))):
                    found = verify.redeem(portion)
                    shown += self._name(found.answers, read, SHOWN - shown)
                    read, counts = read + found.receipts, counts + Counter(found.counts)
                    bar.update(task, completed=read, events=counts.total())
        except (AuditError, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from None
        self._end(Redeemed([], read, {state: counts[state] for state in STATES if counts[state]}))

    def _name(self, answers: Iterable[Answer], before: int, room: int) -> int:
        """Name what is not kept, as far as there is room; return how many."""
        named = [one for one in answers if one.state in TOLD][: max(room, 0)]
        for one in named:
            self.stdout.write(f"{one.state}: receipt {before + one.receipt + 1} {one.event_id}: {one.why}")
        return len(named)

    def _end(self, found: Redeemed) -> None:
        self.stdout.write(found.sentence)
        sys.exit({BROKEN: BROKE, UNKNOWN: NOT_KNOWN}.get(found.verdict, 0))


def _lines(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from sys.stdin
            continue
        with Path(name).open(encoding="utf-8") as file:
            yield from file


def _portions(pieces: Iterator[str]) -> Iterator[list[str]]:
    while portion := list(islice(pieces, PORTION)):
        yield portion
