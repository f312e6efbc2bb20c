"""`manage.py coverage rebuild`: is what is counted of each hour what the records say?"""

import sys
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from audit.completeness import coverage
from audit.completeness.coverage import Difference
from audit.formats import times
from audit.management import HarmlessCommand

SHOWN = 20
DIFFERED = 3


class Command(HarmlessCommand):
    help = (
        "Count the events of each writer and hour anew from the records, and say what differed. "
        f"Exit status: 0 nothing did, {DIFFERED} something did and is mended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        rebuild = actions.add_parser("rebuild", help="compute it from the records; mend what differs")
        rebuild.add_argument("--since", metavar="TIME", help="begin at this day: 30d, or 2026-08-18 (default: all)")

    def handle(self, *args: Any, since: str | None, **options: Any) -> None:
        differed = self._rebuild(_time(since) if since else None)
        if differed > SHOWN:
            self.stdout.write(f"... and {differed - SHOWN} more hours.")
        self.stdout.write(f"{differed} hours differed, and are mended." if differed else "No hour differed.")
        if differed:
            sys.exit(DIFFERED)

    def _rebuild(self, since: datetime | None) -> int:
        columns = (TextColumn("days"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[found]} differed"))
        more = (TimeElapsedColumn(), TimeRemainingColumn())
        differed = 0
        with Progress(*columns, *more, console=Console(stderr=True)) as bar:
            task = bar.add_task("days", total=1.0, found=0)
            progress = lambda part, found: bar.update(task, completed=part, found=found)  # noqa: E731
            for differed, one in enumerate(coverage.rebuild(since=since, progress=progress), 1):
                if differed <= SHOWN:
                    self.stdout.write(_line(one))
        return differed


def _time(text: str) -> datetime:
    try:
        return times.read_time(text)
    except ValueError as error:
        raise CommandError(f"--since {error}.") from None


def _line(one: Difference) -> str:
    was, is_now = one.was, one.is_now
    return (
        f"{one.writer} {one.hour:%Y-%m-%d %H}h: {was.events} events were counted, {is_now.events} there are; "
        f"failures {was.failures}, {is_now.failures}; through the queue {was.parked}, {is_now.parked}"
    )
