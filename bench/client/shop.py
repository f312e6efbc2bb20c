"""Starts the shop, once for each way of auditing, on one PostgreSQL."""

from contextlib import ExitStack
from pathlib import Path

import psycopg

from auditsite.embedded import Postgres
from bench.ports import free_port
from bench.project import QUIET, Project
from bench.wire import Load, fire, request

KINDS = {
    "none": "without auditing",
    # What two shops that are the same differ by is what this machine cannot tell.
    "none-again": "without auditing, a second shop",
    "auditclient-process": 'auditclient, durability="process"',
    "auditclient-disk": 'auditclient, durability="disk"',
    "auditlog": "django-auditlog",
    "simple-history": "django-simple-history",
    "pghistory": "django-pghistory",
    # Copies of rows by a trigger: no Python, and nothing of who acted or in which request.
    "pghistory-alone": "django-pghistory, of nobody",
}
# Each worker has a port of its own: gunicorn gives a connection to whichever of its workers wakes up first, and a
# percentile would tell how many each happened to get.
WORKERS, THREADS = 2, 4
CONNECTIONS = 8
ORDER = request("/orders", b"{}", "nobody")


class Shops:
    """Workers for each kind. The store and its queue, for the client, are addresses where nobody listens."""

    def __init__(self, folder: Path):
        """Install what they need, if it is not there yet, and make their tables. Raises `RuntimeError`."""
        self._folder = folder
        self._postgres = Postgres(folder / "postgres")
        self._stack = ExitStack()
        self._ports = {kind: [free_port() for _ in range(WORKERS)] for kind in KINDS}
        nobody = free_port()
        self._project = Project(
            "bench.client",
            SHOP_POSTGRES=str(self._postgres.sockets),
            SHOP_AUDIT="none",
            AUDIT_URL=f"http://127.0.0.1:{nobody}/api/v1/audit",
            AUDIT_KEY="nobody",
            AUDIT_REDIS_URL=f"redis://127.0.0.1:{nobody}/0",
            AUDIT_EXIT_S="0",
        )

    def __enter__(self) -> "Shops":
        with ExitStack() as stack:
            stack.callback(self._postgres.stop)
            self._postgres.start()
            with psycopg.connect(self._postgres.url("postgres", "postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE shop")
            self._project.make_tables()
            self._project.manage("shell", *QUIET, "--command", "from bench.client.views import fill; fill()")
            for kind in KINDS:
                self._serve(kind, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self, kind: str, seconds: float, rate: float | None = None) -> Load:
        """What a shop does with changes of orders, as fast as it can or at a rate. Raises `RuntimeError`."""
        load = fire(self._ports[kind], [ORDER], seconds=seconds, connections=CONNECTIONS, rate=rate)
        if set(load.statuses) != {201}:
            raise RuntimeError(f"the shop {kind} answered {dict(load.statuses)}: see {self._folder}/{kind}.log")
        return load

    def _serve(self, kind: str, stack: ExitStack) -> None:
        spool, log = self._folder / f"{kind}-spool", self._folder / f"{kind}.log"
        for port in self._ports[kind]:
            process = self._project.serve(
                port, log, workers=1, threads=THREADS, SHOP_AUDIT=kind, AUDIT_SPOOL_DIR=str(spool)
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
