"""`manage.py import`: events of other systems, from their files."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn

from audit.errors import NothingKept
from audit.imports import catalogue, converters
from audit.imports.converters import Converters
from audit.imports.mapping import Mapping
from audit.imports.reading.opening import Source
from audit.imports.run import Summary, run
from audit.ingest import trail
from audit.management.bars import bar
from audit.management.harmless import HarmlessCommand, operator_name
from audit.management.stopping import stop_at_signal
from audit.models import Writer

NOT_ALL, NOT_KEPT = 3, 4
UNMAPPED_SHOWN = 30
WORDS = {
    "stored": "stored",
    "duplicate": "there already",
    "parked": "parked",
    "dead": "not mapped, kept as they came in the dead letter queue",
    "refused": "refused",
    "mapped": "would be recorded",
    "not mapped": "not mapped",
}


class Command(HarmlessCommand):
    help = (
        "Import files of another system, plain or in gzip: each event once, however often it is run. What was cut off "
        "goes on. Exit status: 0 all events are stored or parked, "
        f"{NOT_ALL} some are not (each is named), or a file ends in its middle, {NOT_KEPT} neither PostgreSQL nor the "
        "queue takes events."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="the name of a mapping, such as cloudtrail; with --mapping any name")
        parser.add_argument("files", nargs="+", metavar="FILE", help="a path, or - for standard input")
        parser.add_argument("--mapping", type=Path, metavar="FILE", help="a mapping of your own (docs/imports.md)")
        parser.add_argument("--writer", help="as whose events they are recorded; the source if not given")
        parser.add_argument(
            "--processes",
            type=int,
            choices=range(converters.MOST + 1),
            metavar="N",
            help=f"that convert beside this one, 0 to {converters.MOST}; half as many as cores if not given",
        )
        parser.add_argument("--dry-run", action="store_true", help="convert, tell what would not map, keep nothing")

    def handle(self, *args: Any, source: str, files: list[str], **options: Any) -> None:
        mapping = catalogue.load(options["mapping"]) if options["mapping"] else catalogue.find(source)
        writer, dry_run = options["writer"] or source, options["dry_run"]
        number = converters.sound_number() if options["processes"] is None else options["processes"]
        # Forked before PostgreSQL is asked for the first time.
        with closing(Converters(number, mapping, writer)) as beside:
            _check_writer(writer)
            sys.exit(self._all(files, mapping, writer, dry_run, beside))

    def _all(self, files: list[str], mapping: Mapping, writer: str, dry_run: bool, beside: Converters) -> int:
        stop, worst = stop_at_signal(), 0
        for name in files:
            summary = self._import(name, mapping, writer, dry_run, stop, beside)
            self._report(summary)
            if not dry_run:
                _record(summary, mapping, writer)
            if summary.broken or summary.counts["refused"] or summary.counts["dead"] or summary.counts["not mapped"]:
                worst = NOT_ALL
            if stop.is_set():
                break
        return worst

    def _import(
        self, name: str, mapping: Mapping, writer: str, dry_run: bool, stop: Any, beside: Converters
    ) -> Summary:
        columns = (TextColumn("{task.fields[events]:,} events"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
        with bar(*columns) as shown:
            task = shown.add_task(name, total=None, events=0)

            def progress(summary: Summary, source: Source) -> None:
                shown.update(task, completed=source.passed() or 0, total=source.size, events=summary.events)

            try:
                return run(
                    name, mapping, writer=writer, dry_run=dry_run, stop=stop, progress=progress, converters=beside
                )
            except NothingKept as error:
                self.stderr.write(f"{name}: {error} What was taken before is kept; run it again to go on.")
                sys.exit(NOT_KEPT)

    def _report(self, summary: Summary) -> None:
        counts = ", ".join(f"{count:,} {WORDS[state]}" for state, count in summary.counts.items() if count)
        self.stdout.write(f"{summary.name}: {summary.events:,} events: {counts or 'none'}")
        if summary.purged:
            end = "was purged since: it is" if summary.purged == 1 else "were purged since: they are"
            self.stdout.write(f"  of those that were there {summary.purged:,} {end} not stored again")
        if (at := summary.began_at) is not None:
            self.stdout.write(f"  went on after line {at.line:,}, byte {at.offset:,}: what is before was taken then")
        for fault in summary.faults:
            text = "; ".join(f"{field}: {text}" if field else text for field, text in fault.errors.items())
            self.stdout.write(f"  {fault.place}: {WORDS[fault.state].partition(',')[0]}: {text}")
        if (
            more := sum(summary.counts[state] for state in ("dead", "refused", "not mapped")) - len(summary.faults)
        ) > 0:
            self.stdout.write(f"  and {more:,} more")
        if summary.unmapped:
            names = [f"{name} ({count:,})" for name, count in summary.unmapped.most_common(UNMAPPED_SHOWN)]
            rest = len(summary.unmapped) - len(names)
            more_names = f", and {rest} more" if rest else ""
            self.stdout.write(f"  in event_data alone, for no field is filled by them: {', '.join(names)}{more_names}")
        if summary.broken:
            self.stdout.write(f"  not read to its end: {summary.broken}")
        elif not summary.is_whole:
            self.stdout.write("  stopped before its end: run it again to go on")


def _check_writer(name: str) -> None:
    """Raises `CommandError`. While PostgreSQL is away the name is taken as it is: events are parked."""
    try:
        if not Writer.objects.filter(name=name).exists():
            raise CommandError(
                f"There is no writer {name!r}: make it by `manage.py writer create {name}`, or name one by --writer."
            )
    except DatabaseError:
        return


def _record(summary: Summary, mapping: Mapping, writer: str) -> None:
    """Record who imported which file, and what came of it."""
    trail.add(
        "audit.import.run",
        actor=operator_name(),
        outcome="success" if summary.is_whole else "failure",
        correlation=f"import-{summary.digest[:16]}",
        file=summary.name,
        sha256=summary.digest if summary.is_whole else None,
        writer=writer,
        mapping=mapping.made_by,
        mapping_sha256=mapping.digest,
        counts=dict(summary.counts),
        purged=summary.purged or None,
        began_at_byte=summary.began_at.offset if summary.began_at else None,
        not_whole=summary.broken or None,
    )
