"""A PostgreSQL and a standby that streams from it, both real, each in its folder."""

from pathlib import Path

import psycopg

from auditsite.embedded import Postgres
from bench.load import wait_until


class Pair:
    """A primary, begun as a copy of a server whose database is migrated, and its standby."""

    def __init__(self, folder: Path, database: str):
        self.database = database
        self.primary, self.standby = Postgres(folder / "one"), Postgres(folder / "two")

    def start(self, model: Postgres) -> None:
        """Return when the standby has all that the primary has; from then on the primary waits for it."""
        _copy(model, self.primary)
        self.primary.start()
        _copy(self.primary, self.standby, "-R")
        self.standby.start()
        wait_until(self._streams, seconds=30, what="the standby")
        self.run(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")

    def url(self, role: str = "audit_app") -> str:
        """The address of both, in this order, as a role."""
        return f"postgresql://{role}@/{self.database}?host={self.primary.sockets},{self.standby.sockets}"

    def environment(self) -> dict[str, str]:
        """What the site is told of them."""
        roles = {
            "DATABASE_URL": "audit_app",
            "DATABASE_OWNER_URL": "audit_owner",
            "DATABASE_READER_URL": "audit_reader",
        }
        return {variable: self.url(role) for variable, role in roles.items()}

    def promote(self) -> None:
        """Have the standby take writes."""
        self.run(self.standby, "SELECT pg_promote()")

    def run(self, server: Postgres, *statements: str) -> None:
        """Run statements as the administrator."""
        with psycopg.connect(server.url(database=self.database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def stop(self) -> None:
        """End both."""
        self.standby.stop()
        self.primary.stop()

    def _streams(self) -> bool:
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").fetchone()
        return row == (1,)


def _copy(source: Postgres, target: Postgres, *more: str) -> None:
    target.data.mkdir(parents=True)
    target.sockets.mkdir()
    target._hand_over()
    place = ["-h", str(source.sockets), "-U", "postgres", "-D", str(target.data)]
    target._run("pg_basebackup", "-X", "stream", "-c", "fast", *place, *more)
