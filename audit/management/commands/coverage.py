"""`manage.py coverage rebuild`: is what is counted of each hour what the records say?"""

import sys
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from audit.completeness import coverage
from audit.completeness.coverage import HourDifference
from audit.formats import times
from audit.management.bars import bar
from audit.management.harmless import HarmlessCommand

HOURS_SHOWN = 20
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
        if differed > HOURS_SHOWN:
            self.stdout.write(f"... and {differed - HOURS_SHOWN} more hours.")
        self.stdout.write(f"{differed} hours differed, and are mended." if differed else "No hour differed.")
        if differed:
            sys.exit(DIFFERED)

    def _rebuild(self, since: datetime | None) -> int:
        columns = (TextColumn("days"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[count]} differed"))
        differed = 0
        with bar(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
            task = progress.add_task("days", total=1.0, count=0)
            show = lambda part, count: progress.update(task, completed=part, count=count)  # noqa: E731
            for differed, difference in enumerate(coverage.rebuild(since=since, progress=show), 1):
                if differed <= HOURS_SHOWN:
                    self.stdout.write(_line(difference))
        return differed


def _time(text: str) -> datetime:
    try:
        return times.read_time(text)
    except ValueError as error:
        raise CommandError(f"--since {error}.") from None


def _line(difference: HourDifference) -> str:
    writer, hour, was, is_now = difference
    return (
        f"{writer} {hour:%Y-%m-%d %H}h: {was.events} events were counted, {is_now.events} there are; "
        f"failures {was.failures}, {is_now.failures}; through the queue {was.parked}, {is_now.parked}"
    )
