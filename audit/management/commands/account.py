"""`manage.py account`: what was received on a day, and what became of it?"""

import sys
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import dlq.errors
from audit.accounting import balance, queue_counts
from audit.accounting.balance import Entry
from audit.completeness.reconcile import reconcile
from audit.ingest import rejection_counters

NOT_BALANCED, NOT_YET = 3, 4


class Command(BaseCommand):
    help = (
        "Read what was sealed, copy what Redis counted, and print the account of a UTC day. "
        f"Exit status: 0 balanced or nothing received, {NOT_BALANCED} something is lost or unexplained, "
        f"{NOT_YET} not known yet."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--day", help="such as 2026-08-18; today")
        parser.add_argument("--writer", default="", help="this one alone")

    def handle(self, *args: Any, **options: Any) -> None:
        day = _day(options["day"])
        _bring_up_to_date(self.stderr)
        found = balance.look(day, day, writer=options["writer"])
        for one in found.entries:
            self.stdout.write(_line(one))
        self.stdout.write(f"{day}: {found.state}. {found.total.sentence}")
        sys.exit({"balanced": 0, balance.NOTHING: 0, "not yet": NOT_YET}.get(found.state, NOT_BALANCED))


def _bring_up_to_date(stderr: Any) -> None:
    columns = (TextColumn("records"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("reconcile", total=None)
        reconcile(progress=lambda done, total: bar.update(task, completed=done, total=total))
    try:
        if not queue_counts.copy().whole:
            stderr.write(
                "The queue's counters do not agree with its stream: `manage.py dlq check --rebuild` mends them."
            )
        rejection_counters.gather()
    except dlq.errors.Refused as error:
        stderr.write(f"Redis was not asked, figures of the queue are those of the last copy: {error}")


def _line(one: Entry) -> str:
    return f"{one.writer}: {one.state}{f' ({one.not_yet})' if one.not_yet else ''}. {one.line.sentence}"


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise CommandError(f"--day {text!r} is not a day such as 2026-08-18.") from None
