"""Two PostgreSQL servers, one of which replicates from the other: a copy of the servers of the session."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from audit.ledger import seal
from audit.postgres.gateway import gateway
from auditsite.embedded import SYSTEM_USER, Postgres, binaries
from bench.load import wait_until
from tests import servers
from tests.pooler import PORT, PgBouncer

STANDBY = "standby"


class Pair:
    """A primary and its standby. Django uses the primary until it is told to use the other."""

    def __init__(self, source: Postgres, folder: Path):
        self._kept = {alias: dict(connections[alias].settings_dict) for alias in connections}
        self.primary, self.standby = Postgres(folder / "primary"), Postgres(folder / "standby")
        self._poolers: dict[Postgres, PgBouncer] = {}
        program = [str(binaries() / "pg_basebackup"), "--checkpoint=fast", "--no-sync", "-D", str(self.primary.data)]
        subprocess.run([*program, "-d", source.url()], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{SYSTEM_USER}:", str(self.primary.data)], check=True)
        # By a program: a store has thousands of files, and Python takes a second to copy them.
        subprocess.run(["cp", "-a", str(self.primary.data), str(self.standby.data)], check=True)
        self._follow(self.standby, self.primary)
        self.primary.start()
        self.standby.start()
        self._wait_replicating(1)

    def follow_again(self) -> None:
        """Start a standby that a test has killed."""
        if not self.standby.processes():
            self.standby.start()
            self._wait_replicating(1)

    def use(self, server: Postgres) -> None:
        """Have Django talk to this server."""
        connections.close_all()
        gateway().close()
        for alias in connections:
            own = connections[alias].settings_dict
            own["HOST"], own["PORT"] = self._place(server, alias)
            own["OPTIONS"] = {name: value for name, value in own["OPTIONS"].items() if name != "host"}

    def _place(self, server: Postgres, alias: str) -> tuple[str, str]:
        """Host and port of a server: of a pooler before it, where the session has one and the alias goes through it."""
        if servers.pooler is None or alias == "owner":
            return str(server.sockets), ""
        if server not in self._poolers:
            self._poolers[server] = PgBouncer(server.data.parent / f"pooler-{server.data.name}", server)
            self._poolers[server].start()
        return str(self._poolers[server].sockets), str(PORT)

    def replicate_synchronously(self) -> None:
        """Have the primary confirm no commit before the standby has it."""
        self.run(self.primary, f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'", "SELECT pg_reload_conf()")
        wait_until(
            lambda: self.run(self.primary, "SELECT sync_state FROM pg_stat_replication") == ("sync",),
            seconds=30,
            what="a synchronous standby",
        )

    def cut(self) -> None:
        """Have nothing of the primary reach the standby any more."""
        self.run(self.standby, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        self._wait_replicating(0)

    def join(self) -> None:
        """Have the standby follow again."""
        address = self._address(self.primary)
        self.run(self.standby, f"ALTER SYSTEM SET primary_conninfo = '{address}'", "SELECT pg_reload_conf()")
        self._wait_replicating(1)

    def promote(self) -> None:
        """Make the standby a primary: the other one knows nothing of it."""
        self.run(self.standby, "SELECT pg_promote()")

    def cancel_waits(self) -> int:
        """Cancel each wait of the primary for its standby, as an administrator may; return how many there were."""
        waits = (
            "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        (count,) = self.run(self.primary, waits)
        return int(count)

    def waits(self) -> int:
        """Return how many processes of the primary wait for its standby."""
        (count,) = self.run(self.primary, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        return int(count)

    def run(self, server: Postgres, *statements: str) -> Any:
        """Run statements as the superuser in the database of the tests; return the first row of the last one."""
        database = connections["default"].settings_dict["NAME"]
        with psycopg.connect(server.url("postgres", str(database)), autocommit=True) as superuser:
            superuser.execute(b"SET synchronous_commit = local")
            for statement in statements:
                cursor = superuser.execute(statement.encode())
            return cursor.fetchone() if cursor.description else None

    def leave(self) -> None:
        """Put Django back."""
        connections.close_all()
        gateway().close()
        for alias, own in self._kept.items():
            connections[alias].settings_dict.update(own)

    def stop(self) -> None:
        """Put Django back, and stop both."""
        self.leave()
        for pooler in self._poolers.values():
            pooler.stop()
        for server in (self.standby, self.primary):
            server.kill()
            server.stop()

    def _follow(self, standby: Postgres, primary: Postgres) -> None:
        with (standby.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(f"primary_conninfo = '{self._address(primary)}'\n")
        (standby.data / "standby.signal").touch()

    @staticmethod
    def _address(primary: Postgres) -> str:
        return f"host={primary.sockets} user=postgres application_name={STANDBY}"

    def _wait_replicating(self, count: int) -> None:
        wait_until(
            lambda: self.run(self.primary, "SELECT count(*) FROM pg_stat_replication") == (count,),
            seconds=30,
            what=f"{count} standbys",
        )


def _seal() -> None:
    while seal.Sealer().once(from_start=True).more:
        pass


@contextmanager
def paired() -> Iterator[Pair]:
    """Two servers that are a copy of the session's, of which Django uses the primary; all that waits is sealed."""
    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own to copy: unset DATABASE_URL")
    _seal()  # once there, and not in each copy what all tests before have left
    folder = Path(tempfile.mkdtemp(prefix="pair-", dir=servers.FOLDER))
    folder.chmod(0o755)
    made = Pair(servers.postgres, folder)
    try:
        made.use(made.primary)
        _seal()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
