"""`manage.py refill`: bring back what was drained since the backup from which PostgreSQL was restored."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError

import dlq.errors
from audit.management.counting import counted
from audit.management.harmless import HarmlessCommand, operator_name
from audit.management.stopping import stop_at_signal
from audit.queue.refill import Refilled, refill
from dlq.drain import DatabaseDown

REFUSED, DATABASE_DOWN = 3, 4


class Command(HarmlessCommand):
    help = (
        "Record what Redis keeps of drained events and the store lacks: after a restore from a backup. "
        f"Exit status: 0 all that is kept is in the store, {REFUSED} something was refused, "
        f"{DATABASE_DOWN} PostgreSQL is not up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what is lacking, and store nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        stop = stop_at_signal()
        try:
            with counted("kept events") as show:
                done = refill(
                    by=operator_name(),
                    dry_run=dry_run,
                    stop=stop,
                    progress=lambda so_far: show(so_far.looked_at, max(so_far.kept, so_far.looked_at)),
                )
        except (DatabaseDown, OperationalError):
            self.stdout.write("PostgreSQL is not up: what is kept stays in Redis. Run it again when it is back.")
            sys.exit(DATABASE_DOWN)
        except dlq.errors.Refused as error:
            raise CommandError(f"{error} What is kept is in Redis: check REDIS_URL and the server.") from None
        self._report(done, "to be stored" if dry_run else "stored")
        sys.exit(REFUSED if done.refused else 0)

    def _report(self, done: Refilled, word: str) -> None:
        self.stdout.write(
            f"{done.looked_at:,} kept: {done.here:,} here already, {done.stored:,} {word}, {done.refused:,} refused"
        )
        for writer, count in done.by_writer.most_common():
            self.stdout.write(f"  {count:>9,} of {writer}")
        for key, why in done.refusals:
            self.stdout.write(f"  refused {key}: {why}")
