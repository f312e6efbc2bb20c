"""Django's PostgreSQL backend on connections that do not wait for ever.

The server cuts a statement off after statement_timeout, unless it hangs. A page that then waited for it would hold
a thread that writers need, so the client gives up by itself a second after the server should have.
"""

from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base

from audit.postgres.connecting.hosts import FollowingConnection
from audit.postgres.replication import Unreplicated


class PatientConnection(FollowingConnection):
    """A connection on which no single wait takes longer than `patience` seconds."""

    patience: float | None = None

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.unreplicated = Unreplicated()
        self.add_notice_handler(self.unreplicated.note)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, self.patience if timeout is None else timeout)


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes the settings OPTIONS["patience"], in seconds, and OPTIONS["must_write"]."""

    patience: float | None = None
    must_write = False

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        self.patience = parameters.pop("patience", None)
        self.must_write = parameters.pop("must_write", False)
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> PatientConnection:
        connection = PatientConnection.connect(**conn_params)
        connection.patience = self.patience
        return connection

    def chunked_cursor(self) -> Any:
        """Return a cursor on the server; behind a pooler, where it ends with its transaction, in one alone."""
        is_kept_open = settings.DATABASE_POOLED and self.get_autocommit()
        return self.cursor() if is_kept_open else super().chunked_cursor()

    def is_usable(self) -> bool:
        """Whether the connection works, and its server takes writes where it must: one that did may be a standby now.

        Django asks before the first query of each request, and after an error, and then connects anew.
        """
        if self.connection is None:
            return False
        try:
            row = self.connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except psycopg.Error:
            return False
        return row is not None and not (self.must_write and row[0])
