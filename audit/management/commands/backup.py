"""`manage.py backup`: copy all that the store is restored from."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from audit.management import HarmlessCommand, operator_name
from audit.recovery.backup import back_up
from audit.recovery.backup_check import check_backup

NOT_WHOLE = 3


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

    def handle(self, *args: Any, folder: Path, check: bool, **options: Any) -> None:
        if check:
            self._check(folder)
            return
        try:
            made = back_up(
                folder,
                by=operator_name(),
                redis_file=options["redis_file"],
                passphrase_file=options["secrets"],
                progress=lambda text: self.stderr.write(text),
            )
        except (DatabaseError, OSError) as error:
            raise CommandError(f"No backup was made: {error}") from None
        self.stdout.write(f"{folder / made.name}: {made.bytes:,} bytes, {made.log_size:,} log entries signed")

    def _check(self, folder: Path) -> None:
        manifest, faults = check_backup(folder)
        for fault in faults:
            self.stdout.write(fault)
        size = sum(facts["bytes"] for facts in manifest["files"].values())
        state = "NOT WHOLE" if faults else "whole"
        self.stdout.write(f"{manifest['name']}: {state}; {len(manifest['files'])} files, {size:,} bytes")
        sys.exit(NOT_WHOLE if faults else 0)
