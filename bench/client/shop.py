"""Starts the shop, once for each way of auditing, on one PostgreSQL."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import psycopg

from auditsite.embedded import Postgres
from bench.environment import python_with
from bench.fleet import ROOT, answers, free_port
from bench.load import wait_until
from bench.wire import Load, fire, request

PINNED = ROOT / "requirements" / "peers.txt"
KINDS = {
    "none": "without auditing",
    "auditclient-process": 'auditclient, durability="process"',
    "auditclient-disk": 'auditclient, durability="disk"',
    "auditlog": "django-auditlog",
    "simple-history": "django-simple-history",
    "pghistory": "django-pghistory",
}
WORKERS, THREADS = 2, 4
CONNECTIONS = 8
ORDER = request("/orders", b"{}", "nobody")


class Shops:
    """One gunicorn for each kind. The store and its queue, for the client, are addresses where nobody listens."""

    def __init__(self, folder: Path):
        """Install what they need, if it is not there yet, and make their tables. Raises `RuntimeError`."""
        self._python = python_with(PINNED.read_bytes())
        self._folder = folder
        self._postgres = Postgres(folder / "postgres")
        self._stack = ExitStack()
        self._ports = {kind: free_port() for kind in KINDS}
        nobody = free_port()
        self._env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "bench.client.settings",
            "SHOP_POSTGRES": str(self._postgres.sockets),
            "PYTHONPATH": str(ROOT),
            "AUDIT_URL": f"http://127.0.0.1:{nobody}/api/v1/audit",
            "AUDIT_KEY": "nobody",
            "AUDIT_REDIS_URL": f"redis://127.0.0.1:{nobody}/0",
            "AUDIT_EXIT_S": "0",
        }

    def __enter__(self) -> "Shops":
        with ExitStack() as stack:
            stack.callback(self._postgres.stop)
            self._postgres.start()
            with psycopg.connect(self._postgres.url("postgres", "postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE shop")
            self._make_tables()
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

    def _make_tables(self) -> None:
        quiet = ("--verbosity", "0")
        fill = ("shell", *quiet, "--command", "from bench.client.views import fill; fill()")
        # What refers to tables of Django's comes after them, and triggers after their tables.
        for command in (("migrate", *quiet), ("migrate", "--run-syncdb", *quiet), ("pgtrigger", "install"), fill):
            django = [self._python, "-m", "django", *command]
            env = self._env | {"SHOP_AUDIT": "none"}
            done = subprocess.run(django, cwd=ROOT, env=env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"the shop's tables could not be made:\n{done.stderr[-2000:]}")

    def _serve(self, kind: str, stack: ExitStack) -> None:
        spool = self._folder / f"{kind}-spool"
        env = self._env | {"SHOP_AUDIT": kind, "AUDIT_SPOOL_DIR": str(spool)}
        command = [str(Path(self._python).parent / "gunicorn"), "bench.client.wsgi", "--worker-class", "gthread"]
        command += ["--workers", str(WORKERS), "--threads", str(THREADS)]
        command += ["--bind", f"127.0.0.1:{self._ports[kind]}", "--log-level", "warning"]
        with (self._folder / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_until(lambda: answers(self._ports[kind]), seconds=60, what=f"the shop {kind}")
