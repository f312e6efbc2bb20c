"""`manage.py restore`: what belongs to a restore beside PostgreSQL's and Redis' own tools."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from audit.management.harmless import HarmlessCommand, operator_name
from audit.recovery import history, safe
from audit.recovery.check import Lacks, check

LACKS, UNKNOWN = 3, 4
SHOWN = 20


class Command(HarmlessCommand):
    help = (
        "What a restored store lacks; the keys of a backup; restore drills. Exit status of `check`: 0 nothing is known "
        f"to be lacking, {LACKS} something is, {UNKNOWN} nothing is, but not everybody could be asked."
    )
    # A store that was restored a moment ago may lack much that the checks ask for.
    requires_system_checks = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(dest="action", required=True)
        lacking = parsers.add_parser("check", help="what the store lacks, by anchor, witnesses, receipts and the queue")
        lacking.add_argument("receipts", nargs="*", type=Path, help="files of receipts, as their writers kept them")
        lacking.add_argument("--missing", type=Path, metavar="FILE", help="write the ids of all missing events there")
        secrets = parsers.add_parser("secrets", help="write the private keys of a backup into files")
        secrets.add_argument("backup", type=Path, help="the backup's folder")
        secrets.add_argument("--passphrase-file", type=Path, required=True)
        secrets.add_argument("--to", type=Path, required=True, help="a folder that is there, readable by you alone")
        drilled = parsers.add_parser("drilled", help="note that a backup was restored elsewhere, to try it")
        drilled.add_argument("backup", help="the backup's name, such as 20260818T100000.000000Z")
        drilled.add_argument("--outcome", choices=("success", "failure"), required=True)
        drilled.add_argument("--note", default="", help="what was found, up to 1,000 characters")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except (DatabaseError, OSError) as error:
            raise CommandError(f"Nothing was done: {error}") from None

    def _check(self, options: dict[str, Any]) -> None:
        lacks = check(options["receipts"], by=operator_name(), progress=lambda text: self.stderr.write(text))
        for line in _lines(lacks):
            self.stdout.write(line)
        if options["missing"] is not None:
            options["missing"].write_text("".join(f"{event_id}\n" for event_id in lacks.missing), encoding="utf-8")
        sys.exit(LACKS if lacks.anything else UNKNOWN if lacks.unknown else 0)

    def _secrets(self, options: dict[str, Any]) -> None:
        for path in safe.open_safe(options["backup"] / "safe.json", options["passphrase_file"], options["to"]):
            self.stdout.write(str(path))

    def _drilled(self, options: dict[str, Any]) -> None:
        history.note_drill(options["backup"], options["outcome"], options["note"][:1000], by=operator_name())
        self.stdout.write(f"noted: {options['outcome']}")


def _lines(lacks: Lacks) -> Iterator[str]:
    yield f"log: {lacks.size:,} leaves signed here, {lacks.known_size:,} known outside: {lacks.leaves:,} are gone"
    yield from (f"  {why}" for why in lacks.ahead)
    if lacks.checkpoints:
        yield f"  {lacks.checkpoints:,} checkpoints of the anchor are beyond it"
    if lacks.findings:
        yield f"  {lacks.findings} findings of the newest part of the log: see the admin, Findings"
    if lacks.receipts:
        counts = ", ".join(f"{count:,} {state}" for state, count in lacks.promised.items())
        yield f"receipts: {lacks.receipts:,}, {counts}"
        yield from (f"  nowhere: {event_id}" for event_id in lacks.missing[:SHOWN])
        if (more := len(lacks.missing) - SHOWN) > 0:
            yield f"  ... and {more:,} more: see the admin, Broken promises"
    if lacks.kept is not None:
        kept, lacking = lacks.kept.kept, lacks.kept.stored
        yield f"queue: {lacks.parked:,} wait; of {kept:,} kept drained events the store lacks {lacking:,}"
        if lacking:
            yield "  `manage.py refill` brings them back"
    if lacks.queue_is_older:
        yield "  Redis is older than PostgreSQL knew it, or another: the next drain settles it"
    if lacks.last_backup is not None:
        yield f"backup: the last one that this store knows of began at {lacks.last_backup:%Y-%m-%d %H:%M:%S}Z"
    yield from (f"NOT ASKED: {what}" for what in lacks.unknown)
    yield "LACKING" if lacks.anything else "UNKNOWN" if lacks.unknown else "nothing is known to be lacking"
