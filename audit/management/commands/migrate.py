"""`manage.py migrate` as the owner role: no other role may change the schema."""

import time
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError
from psycopg.errors import LockNotAvailable

from audit.postgres.connecting import addresses

log = structlog.get_logger(__name__)

PAUSE_S = 1.0


class Command(migrate.Command):
    """Waits for each lock for MIGRATE_LOCK_MS alone, for whoever inserts waits behind it, and tries again."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # The live checks expect what this command is about to create.
        parser.set_defaults(database="owner", skip_checks=True)

    def handle(self, *args: Any, **options: Any) -> None:
        if addresses.is_pooled(options["database"]):
            raise CommandError(
                "DATABASE_OWNER_URL leads to a pooler: migrations bound their waits for locks by the session, and "
                "inserts would wait behind them. Give it the address of PostgreSQL itself."
            )
        gives_up_at = time.monotonic() + settings.MIGRATE_PATIENCE_S
        while True:
            try:
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable) or time.monotonic() > gives_up_at:
                    raise
                log.warning("migration_waits_for_a_lock", again_in_s=PAUSE_S)
                time.sleep(PAUSE_S)
