"""A PgBouncer in transaction mode before a PostgreSQL, for tests: apt-get install pgbouncer."""

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import psycopg

from auditsite.embedded import SYSTEM_USER, Postgres, Server

PORT = 6432
# So few server processes that clients change between them all the time.
SIZE = 3
ROLES = ("audit_app", "audit_reader", "audit_owner", "postgres")


def program() -> str | None:
    """Where PgBouncer is, or None."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PgBouncer(Server):
    """The pooler, on a socket; it lets in whoever PostgreSQL lets in."""

    name = "PgBouncer"

    def __init__(self, data: Path, postgres: Postgres, **options: str):
        super().__init__(data, f".s.PGSQL.{PORT}")
        self.postgres = postgres
        self.options = {"pool_mode": "transaction", "default_pool_size": str(SIZE)} | options

    def url(self, role: str, database: str) -> str:
        """The address for this role and database."""
        return f"postgresql://{role}@/{database}?host={self.sockets}&port={PORT}"

    def wait_until_it_reaches(self, database: str, roles: Iterable[str]) -> None:
        """Return once it leads these roles to PostgreSQL again.

        After PostgreSQL was away it turns each role away until `server_login_retry` is over, whatever has come back.
        """
        for role in roles:
            self._wait(partial(self._reaches, role, database))

    def _reaches(self, role: str, database: str) -> bool:
        try:
            with psycopg.connect(self.url(role, database), connect_timeout=2, autocommit=True) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _prepare(self) -> None:
        super()._prepare()
        users = "".join(f'"{role}" ""\n' for role in ROLES)
        (self.data / "users").write_text(users, encoding="ascii")
        settings = {
            "unix_socket_dir": str(self.sockets),
            "listen_port": str(PORT),
            "auth_type": "trust",
            "auth_file": str(self.data / "users"),
            "max_client_conn": "500",
            "server_login_retry": "1",
        } | self.options
        lines = ["[databases]", f"* = host={self.postgres.sockets}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (self.data / "pgbouncer.ini").write_text("\n".join([*lines, ""]), encoding="ascii")
        if self._as_other_user():
            for path in (self.data, *self.data.iterdir(), self.sockets):
                shutil.chown(path, SYSTEM_USER, SYSTEM_USER)

    def _as_other_user(self) -> bool:
        return os.geteuid() == 0

    def _command(self) -> list[str]:
        found = program()
        assert found is not None
        return [found, str(self.data / "pgbouncer.ini")]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres", "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
