"""`manage.py backup`: copy all that the store is restored from."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, close_old_connections

from audit.errors import AuditError
from audit.health import serve_metrics
from audit.management.harmless import HarmlessCommand, operator_name
from audit.management.stopping import stop_at_signal
from audit.recovery.backup import back_up
from audit.recovery.backup_check import check_backup
from audit.recovery.prune import drop_unfinished, prune, whole

log = structlog.get_logger(__name__)

NOT_WHOLE = 3
RETRY_S = 300.0


class Command(HarmlessCommand):
    help = (
        "Copy anchor, spool, Redis and PostgreSQL into a folder of its own below FOLDER, under a signed manifest, "
        f"while all goes on. With --check: is the backup FOLDER whole? Exit status {NOT_WHOLE} where it is not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        parser.add_argument("--check", action="store_true", help="compare the backup FOLDER with its signed manifest")
        parser.add_argument("--redis-file", type=Path, metavar="RDB", help="a file of Redis that you copied yourself")
        parser.add_argument(
            "--secrets",
            type=Path,
            metavar="PASSPHRASE_FILE",
            help="add the private keys, encrypted with this passphrase",
        )
        parser.add_argument("--every", type=float, metavar="HOURS", help="go on until SIGTERM, as a service")
        parser.add_argument("--keep", type=int, default=0, metavar="N", help="of --every: remove all but the newest N")
        parser.add_argument("--wal", type=Path, help="of --keep: the archived WAL, which goes as no backup needs it")

    def handle(self, *args: Any, folder: Path, check: bool, **options: Any) -> None:
        if check:
            self._check(folder)
        elif options["every"] is None:
            try:
                self._back_up(folder, options)
            except (DatabaseError, OSError) as error:
                raise CommandError(f"No backup was made: {error}") from None
        elif options["every"] <= 0 or options["keep"] < 0:
            raise CommandError("--every needs hours, more than none, and --keep no negative number.")
        else:
            self._follow(folder, options)

    def _back_up(self, folder: Path, options: dict[str, Any]) -> None:
        made = back_up(
            folder,
            by=operator_name(),
            redis_file=options["redis_file"],
            passphrase_file=options["secrets"],
            progress=lambda text: self.stderr.write(text),
        )
        self.stdout.write(f"{folder / made.name}: {made.bytes:,} bytes, {made.log_size:,} log entries signed")

    def _follow(self, folder: Path, options: dict[str, Any]) -> None:
        """Make a backup as soon as the newest is so old; what fails is logged and tried again."""
        stop, every = stop_at_signal(), timedelta(hours=options["every"])
        serve_metrics()
        wait_s = _due_in_s(folder, every)
        while not stop.wait(wait_s):
            close_old_connections()
            began_at = datetime.now(UTC)
            try:
                self._back_up(folder, options)
                if options["keep"]:
                    prune(folder, keep=options["keep"], wal=options["wal"])
                wait_s = _due_in_s(folder, every)
            except (AuditError, DatabaseError, OSError) as error:
                log.error("backup_failed", error=str(error))
                drop_unfinished(folder, since=began_at)
                wait_s = min(RETRY_S, every.total_seconds())

    def _check(self, folder: Path) -> None:
        manifest, faults = check_backup(folder)
        for fault in faults:
            self.stdout.write(fault)
        size = sum(facts["bytes"] for facts in manifest["files"].values())
        state = "NOT WHOLE" if faults else "whole"
        self.stdout.write(f"{manifest['name']}: {state}; {len(manifest['files'])} files, {size:,} bytes")
        sys.exit(NOT_WHOLE if faults else 0)


def _due_in_s(folder: Path, every: timedelta) -> float:
    """Seconds until the newest whole backup is so old; 0 where it is, or where there is none."""
    newest = max((began_at for began_at, _ in whole(folder)), default=None)
    return 0.0 if newest is None else max((newest + every - datetime.now(UTC)).total_seconds(), 0.0)
