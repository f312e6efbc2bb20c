"""`manage.py account`: what was received on a day, and what became of it?"""

import sys
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import dlq.errors
from audit.accounting import balance, queue_counts
from audit.ingest import rejection_counters
from audit.management.counting import add_seconds, reconcile_with_bar

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
        add_seconds(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        day = _day(options["day"])
        reconcile_with_bar(options["seconds"])
        self._copy_from_redis()
        result = balance.compute(day, day, writer=options["writer"])
        for row in result.rows:
            not_yet = f" ({row.not_yet})" if row.not_yet else ""
            self.stdout.write(f"{row.writer}: {row.state}{not_yet}. {row.line.sentence}")
        self.stdout.write(f"{day}: {result.state}. {result.total.sentence}")
        sys.exit({"balanced": 0, balance.NOTHING: 0, "not yet": NOT_YET}.get(result.state, NOT_BALANCED))

    def _copy_from_redis(self) -> None:
        try:
            if not queue_counts.copy().whole:
                self.stderr.write(
                    "The queue's counters do not agree with its stream: `manage.py dlq check --rebuild` mends them."
                )
            rejection_counters.gather()
        except dlq.errors.Refused as error:
            self.stderr.write(f"Redis was not asked, figures of the queue are those of the last copy: {error}")


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise CommandError(f"--day {text!r} is not a day such as 2026-08-18.") from None
