"""`manage.py dlq`: look after the dead letter queue. Needs Redis alone, but for `quarantine` and `release`."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import dlq.counters
import dlq.errors
import dlq.restore
import dlq.stream
from audit import safe_text
from audit.errors import AuditError
from audit.formats import times
from audit.management.counting import Counting
from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import Quarantined
from audit.queue import actions, quarantine
from dlq import policy
from dlq.message import STATES, Message
from dlq.selection import Selection

NOT_BALANCED = 3
ACTS = {"retry": actions.retry, "quarantine": actions.put_aside}


class Command(HarmlessCommand):
    help = "List, show, retry, snooze, quarantine, pause, export and check what is parked."
    # The queue must be at hand when PostgreSQL is not.
    requires_system_checks = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(dest="action", required=True)
        listing = parsers.add_parser("ls", help="what is parked, oldest first")
        _add_filters(listing)
        listing.add_argument("--limit", type=int, default=50)
        parsers.add_parser("show", help="one message with its history").add_argument("key", help="event id")
        parsers.add_parser("stats", help="the account of the queue, as JSON")
        check = parsers.add_parser("check", help=f"does the account balance? Exit status {NOT_BALANCED} when not")
        check.add_argument("--rebuild", action="store_true", help="make every index again from the stream")
        export = parsers.add_parser("export", help="NDJSON with digests, to standard output")
        _add_filters(export)
        for name, text in (
            ("retry", "due now"),
            ("snooze", "leave alone for a time"),
            ("quarantine", "keep elsewhere"),
        ):
            action = parsers.add_parser(name, help=text)
            action.add_argument("key", nargs="*", help="event ids; or filters, with --all")
            action.add_argument("--all", action="store_true", help="all that match the filters")
            action.add_argument("--dry-run", action="store_true", help="count, and do nothing")
            _add_filters(action)
            if name == "snooze":
                action.add_argument("--for", dest="span", default="1h", help="such as 30m, 4h, 2d")
        restore = parsers.add_parser("restore", help="park again what a file of the spool holds")
        restore.add_argument("file", type=Path)
        release = parsers.add_parser("release", help="park again what is in the quarantine; needs PostgreSQL")
        release.add_argument("key", nargs="+", help="event ids")
        parsers.add_parser("pause", help="drains leave the queue alone; parking goes on")
        parsers.add_parser("resume", help="drains work again")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if (act := ACTS.get(options["action"])) is not None:
                self._act(options, act)
            else:
                getattr(self, f"_{options['action']}")(options)
        except dlq.errors.Refused as error:
            raise CommandError(f"{error} The queue is in Redis: check REDIS_URL and the server.") from None
        except (AuditError, DatabaseError) as error:
            raise CommandError(f"Nothing was done: {error}") from None

    def _ls(self, options: dict[str, Any]) -> None:
        table = Table("event id", "age", "writer", "type", "state", "attempts", "next try (UTC)", "last error", "bytes")
        for _, message in zip(range(options["limit"]), _matching(options), strict=False):
            table.add_row(*(escape(safe_text.harmless(cell)) for cell in _cells(message)))
        Console(width=None if sys.stdout.isatty() else 200).print(table)

    def _show(self, options: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(_find(options["key"]).as_json(), indent=2, ensure_ascii=False))

    def _stats(self, options: dict[str, Any]) -> None:
        queue = dlq.stream.for_drain()
        paused = queue.activity.paused()
        stats = queue.totals.stats()
        figures = {
            **stats._asdict(),
            "balanced": stats.balanced,
            "oldest_age_s": round(queue.pages.oldest_age(), 1),
            "paused_by": paused and paused[0],
            **{name: at.isoformat() for name, at in queue.activity.beats().items()},
        }
        self.stdout.write(json.dumps(figures, indent=2))

    def _check(self, options: dict[str, Any]) -> None:
        queue = dlq.stream.for_drain()
        before = queue.totals.stats()
        if options["rebuild"]:
            rebuilt = actions.rebuild(operator_name())
            self.stdout.write(f"{rebuilt.messages} messages in the stream; every index was made again from it.")
            if rebuilt.missing:
                self.stdout.write("MISSING from the stream: " + " ".join(rebuilt.missing))
        stats = queue.totals.stats()
        self.stdout.write(
            f"{stats.enqueued} came = {stats.drained} stored + {stats.duplicate} stored before + "
            f"{stats.quarantined} quarantined + {stats.discarded} discarded + {stats.depth} here"
            + (f" + {stats.lost} LOST" if stats.lost else "")
        )
        if stats.lost:
            self.stdout.write("LOST: they came and are nowhere. Other hands were in Redis: tell your security officer.")
            sys.exit(NOT_BALANCED)
        if not stats.balanced or not dlq.counters.read(queue).whole:
            self.stdout.write("NOT BALANCED: `manage.py dlq check --rebuild` mends the indexes.")
            sys.exit(NOT_BALANCED)
        self.stdout.write("balanced" if before.balanced else "balanced now; it was not before")

    def _export(self, options: dict[str, Any]) -> None:
        for message in _matching(options):
            self.stdout.write(json.dumps(message.as_json(), ensure_ascii=False))

    def _restore(self, options: dict[str, Any]) -> None:
        """What is in the queue already stays one; what is stored already is found to be a duplicate."""
        try:
            count, damage = dlq.restore.restore_file(dlq.stream.for_drain(), options["file"])
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from None
        for line in damage:
            self.stderr.write(line)
        self.stdout.write(f"{count} events are in the queue{'; what could not be read is named above' * bool(damage)}")

    def _snooze(self, options: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        try:
            span = now - times.read_time(options["span"], now)
        except ValueError as error:
            raise CommandError(f"--for {options['span']!r}: {error}.") from None
        if not timedelta(0) < span <= timedelta(days=7):
            raise CommandError("--for takes a span of up to seven days, such as 30m, 4h, 2d.")
        self._act(options, partial(actions.snooze, span=span))

    def _release(self, options: dict[str, Any]) -> None:
        for key in options["key"]:
            row = Quarantined.objects.filter(key=key).first()
            if row is None:
                raise CommandError(f"No event {key} is in the quarantine.")
            self.stdout.write(f"{key}: {quarantine.release(row, by=operator_name())}")

    def _pause(self, options: dict[str, Any]) -> None:
        actions.pause(operator_name())
        self.stdout.write("Draining is paused; parking goes on. `manage.py dlq resume` ends it.")

    def _resume(self, options: dict[str, Any]) -> None:
        actions.resume(operator_name())
        self.stdout.write("Draining goes on.")

    def _act(self, options: dict[str, Any], act: Callable[[list[Message], str], int]) -> None:
        if bool(options["key"]) == options["all"]:
            raise CommandError("Name event ids, or give --all with filters; not both.")
        portions, size = self._portions(options)
        matched = looked = 0
        with Counting(size) as counting:
            for looked_at, messages in portions:
                if messages and not options["dry_run"]:
                    act(messages, operator_name())
                looked, matched = looked + looked_at, matched + len(messages)
                counting.show(looked, matched)
        self.stdout.write(f"{matched} messages{' match; nothing was done (--dry-run)' if options['dry_run'] else ''}")

    def _portions(self, options: dict[str, Any]) -> tuple[Iterable[tuple[int, list[Message]]], int]:
        """Matching messages in portions, each with how many were looked at for it; and how many that will be."""
        if keys := options["key"]:
            named = [_find(key) for key in keys]
            return [(len(named), named)], len(named)
        queue, selection = dlq.stream.for_drain(), _selection(options)
        return selection.portions(queue), selection.size(queue)


def _add_filters(parser: Any) -> None:
    parser.add_argument("--state", choices=STATES)
    parser.add_argument("--writer")
    parser.add_argument("--type", dest="kind")
    parser.add_argument("--error", help="the kind of the last error")
    parser.add_argument("--text", help="in the payload, as it stands there")
    parser.add_argument("--older", type=float, metavar="SECONDS", help="parked for longer than this")


def _matching(options: dict[str, Any]) -> Iterator[Message]:
    """Messages that pass every filter, page by page."""
    return _selection(options).all(dlq.stream.for_drain())


def _selection(options: dict[str, Any]) -> Selection:
    return Selection(
        state=options["state"],
        source=options["writer"] or "",
        kind=options["kind"] or "",
        error=options["error"] or "",
        text=options["text"] or "",
        older_s=options["older"] or 0,
    )


def _find(key: str) -> Message:
    message = dlq.stream.for_drain().pages.find(key)
    if message is None:
        raise CommandError(f"No parked event has the id {key}: it is stored, or was never here.")
    return message


def _cells(message: Message) -> list[str]:
    return [
        message.key,
        str(timedelta(seconds=round(message.age))),
        message.source,
        message.kind,
        message.state,
        f"{message.attempts}/{policy.MAX_RETRIES}",
        message.next_try.strftime("%Y-%m-%d %H:%M:%S") if message.next_try else "",
        message.last_error_class or message.reason,
        str(len(message.body)),
    ]
