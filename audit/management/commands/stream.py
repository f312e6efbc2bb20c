"""`manage.py stream`: give the targets of `streams.toml` the log, record after record."""

import threading
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from audit.archive.places import METAVAR
from audit.health import serve_metrics
from audit.management.counting import counted
from audit.management.harmless import HarmlessCommand, operator_name
from audit.management.stopping import join, stop_at_signal
from audit.streams import cursor, kinds, state
from audit.streams.days import check, make
from audit.streams.kinds import Plan
from audit.streams.stream import GaveUp, stream


class Command(HarmlessCommand):
    help = "Stream the log to the targets of STREAMS_FILE: every record at least once, in the order of the log."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        running = actions.add_parser("run", help="stream until SIGTERM, as a service: all targets, or those named")
        running.add_argument("names", nargs="*", metavar="NAME")
        once = actions.add_parser("once", help="give a target what it lacks now, and end")
        once.add_argument("name", metavar="NAME")
        actions.add_parser("list", help="all targets, how far each is, and what it says")
        placing = actions.add_parser("place", help="stream to a target from another log entry on")
        placing.add_argument("name", metavar="NAME")
        placing.add_argument("--from", dest="first", type=int, required=True, metavar="INDEX")
        ending = actions.add_parser("end", help="nobody waits for this target any more: its lag counts no longer")
        ending.add_argument("name", metavar="NAME")

        day = actions.add_parser("day", help="write the records of a UTC day as Parquet files, with a signed manifest")
        day.add_argument("day", metavar="YYYY-MM-DD")
        day.add_argument("place", metavar=METAVAR, help="where the day gets a folder or prefix of its own, day=...")
        day.add_argument("--unredacted", action="store_true", help="do not apply the rules of redaction")
        checking = actions.add_parser("check-day", help="hold the files of a day against their manifest and the log")
        checking.add_argument("place", metavar=METAVAR, help="of the day, such as FOLDER/day=2026-11-27")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action'].replace('-', '_')}")(options)

    def _run(self, options: dict[str, Any]) -> None:
        plans = [kinds.plan_of(name) for name in options["names"]] or list(kinds.plans().values())
        if not plans:
            raise CommandError("STREAMS_FILE names no target: there is nothing to stream to.")
        stop = stop_at_signal()
        serve_metrics()
        threads = [threading.Thread(target=_follow, args=(plan, stop), name=f"stream {plan.name}") for plan in plans]
        for thread in threads:
            thread.start()
        join(threads)

    def _once(self, options: dict[str, Any]) -> None:
        plan = kinds.plan_of(options["name"])
        try:
            taken = stream(plan, stop_at_signal(), follow=False)
        except GaveUp as error:
            raise CommandError(f"{plan.name} did not take what it was given: {error}") from None
        self.stdout.write(f"{plan.name} has taken {taken} records; {plan.target.place}")

    def _list(self, options: dict[str, Any]) -> None:
        lags = state.lags()
        if not lags:
            self.stdout.write("STREAMS_FILE names no target.")
        for lag in lags:
            row = lag.stream
            self.stdout.write(f"{row.name}  {lag.state}  entry {row.position} of {lag.size}, {lag.records} behind")
            self.stdout.write(f"  {row.kind} {row.place}")
            if row.problem:
                self.stdout.write(f"  since {row.problem_since:%Y-%m-%d %H:%M:%S}Z: {row.problem}")

    def _place(self, options: dict[str, Any]) -> None:
        cursor.place_at(options["name"], options["first"], by=operator_name())
        self.stdout.write(f"{options['name']} is given the log from the entry {options['first']} on.")

    def _day(self, options: dict[str, Any]) -> None:
        with counted("records") as show:
            made = make.make(
                options["day"],
                options["place"],
                by=operator_name(),
                unredacted=options["unredacted"],
                progress=show,
            )
        self.stdout.write(f"{made}: check it with `manage.py stream check-day {made}`")

    def _check_day(self, options: dict[str, Any]) -> None:
        read, notes = check.check(options["place"])
        for note in notes:
            self.stdout.write(note)
        self.stdout.write(f"{read.day}: log entries {read.first} to {read.last - 1}, {read.purged} of them purged")
        self.stdout.write(f"{len(read.parts)} files are as they were signed, and each row leads to its leaf")

    def _end(self, options: dict[str, Any]) -> None:
        cursor.end(options["name"], by=operator_name())
        self.stdout.write(f"{options['name']} has ended. Take it out of STREAMS_FILE, or the next run begins it again.")


def _follow(plan: Plan, stop: threading.Event) -> None:
    try:
        stream(plan, stop, follow=True)
    finally:
        connections.close_all()
