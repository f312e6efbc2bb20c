"""A PostgreSQL that takes connections over TLS alone, on a port of the loopback: the bundled one was built without."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg

from auditsite.embedded import SYSTEM_USER, Postgres
from bench.load import wait_until
from bench.ports import free_port

# Debian's, of whichever version; apt-get install postgresql
PROGRAMS = Path("/usr/lib/postgresql")
DATABASE = "encrypted"
PASSWORD = "p@ss/w:o#r?d%"
# Whom pg_hba.conf lets in.
BY_PASSWORD = ("hostssl all all 127.0.0.1/32 scram-sha-256", "hostssl replication all 127.0.0.1/32 scram-sha-256")
BY_CERTIFICATE = tuple(f"{line} clientcert=verify-ca" for line in BY_PASSWORD)


def programs() -> Path | None:
    """The folder of the newest server that was built with TLS, or None."""
    found = [path.parent for path in PROGRAMS.glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class EncryptedPostgres(Postgres):
    """The server, with the certificate that stands in a folder as server.crt, server.key and ca.crt."""

    def __init__(self, data: Path, certificates: Path):
        super().__init__(data)
        self.port = free_port()
        self.certificates = certificates

    def address(self, role: str, *, host: str = "127.0.0.1", database: str = DATABASE, **more: str) -> str:
        """Where it is, with parameters of libpq."""
        query = "&".join(f"{name}={value}" for name, value in more.items())
        return f"postgresql://{role}:{quote(PASSWORD, safe='')}@{host}:{self.port}/{database}?{query}"

    def admit(self, *lines: str) -> None:
        """Let in over TCP whom these lines of pg_hba.conf name, in place of those of before."""
        text = "\n".join(("local all all trust", "local replication all trust", *lines, ""))
        (self.data / "pg_hba.conf").write_text(text, encoding="ascii")
        before = self._loaded_at()
        self.run("SELECT pg_reload_conf()")
        wait_until(lambda: self._loaded_at() != before, seconds=60, what="pg_hba.conf to be read")

    def run(self, statement: str) -> Any:
        """Run a statement as the administrator; return its first row."""
        with psycopg.connect(self.url(), autocommit=True) as administrator:
            cursor = administrator.execute(statement.encode())
            return cursor.fetchone() if cursor.description else None

    def _loaded_at(self) -> Any:
        return self.run("SELECT pg_conf_load_time()")

    def _prepare(self) -> None:
        is_new = not (self.data / "PG_VERSION").exists()
        super()._prepare()
        if not is_new:
            return
        for name in ("server.crt", "server.key", "ca.crt"):
            copy = self.data / name
            shutil.copyfile(self.certificates / name, copy)
            copy.chmod(0o600)
            if self._as_other_user():
                shutil.chown(copy, SYSTEM_USER, SYSTEM_USER)

    def _command(self) -> list[str]:
        _, *rest = super()._command()
        more = {"listen_addresses": "127.0.0.1", "port": str(self.port), "ssl": "on", "ssl_ca_file": "ca.crt"}
        options = [option for name, value in more.items() for option in ("-c", f"{name}={value}")]
        return [str(self._folder() / "postgres"), *rest, *options]

    def _run(self, program: str, *arguments: str) -> None:
        super()._run(str(self._folder() / program), *arguments)

    def url(self, role: str = "postgres", database: str = "postgres") -> str:
        """Over its socket, which needs no TLS."""
        return f"{super().url(role, database)}&port={self.port}"

    @staticmethod
    def _folder() -> Path:
        folder = programs()
        assert folder is not None
        return folder


class Scene(NamedTuple):
    """A server, the folder of its authority, and that of an authority that nobody here knows."""

    server: EncryptedPostgres
    known: Path
    unknown: Path

    def verified(self, role: str, **more: str) -> str:
        """An address by which the server is known to be the right one."""
        return self.server.address(role, sslmode="verify-full", sslrootcert=str(self.known / "ca.crt"), **more)
