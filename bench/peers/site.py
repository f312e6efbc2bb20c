"""Starts the peers on the same PostgreSQL."""

import os
import subprocess
from pathlib import Path

import psycopg

from bench.environment import python_with
from bench.fleet import ROOT, Fleet, answers, free_port
from bench.load import wait_until
from bench.wire import Load, fire

PINNED = ROOT / "requirements" / "peers.txt"
KINDS = {
    "naive": "naive build: gunicorn, ModelSerializer, ORM create into one table",
    "auditlog": "the same row with django-auditlog",
    "simple-history": "the same row with django-simple-history",
    "pghistory": "the same row with django-pghistory",
    "chain": "lock and chain: advisory lock, previous hash, insert",
}
# What was looked for, and why it is not among them.
LEFT_OUT = "immudb: not measured: PyPI, npm and Debian have clients of it and no server"
CONNECTIONS = 16
# Twice as many processes as cores, as gunicorn advises, with a second thread to take what waits.
WORKERS, THREADS = 4, 2


class Peers:
    """gunicorn with one endpoint a peer. None asks for a key, which ours does."""

    def __init__(self, fleet: Fleet):
        """Install what they need, if it is not there yet, and make their tables. Raises `RuntimeError`."""
        self._python = python_with(PINNED.read_bytes())
        self._env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "bench.peers.settings",
            "PEERS_POSTGRES": str(fleet.postgres.sockets),
            "PYTHONPATH": str(ROOT),
        }
        self._fleet = fleet
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        with psycopg.connect(fleet.postgres.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE peers")
        self._migrate()
        with psycopg.connect(fleet.postgres.url("postgres", "peers"), autocommit=True) as connection:
            connection.execute("CREATE SEQUENCE peers_chain")

    def start(self) -> None:
        """Serve; returns when it answers."""
        command = [str(Path(self._python).parent / "gunicorn"), "bench.peers.wsgi", "--worker-class", "gthread"]
        command += ["--workers", str(WORKERS), "--threads", str(THREADS)]
        command += ["--bind", f"127.0.0.1:{self.port}", "--log-level", "warning"]
        with (self._fleet.folder / "peers.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._env, stdout=log, stderr=log)
        wait_until(lambda: answers(self.port), seconds=60, what="the peers")

    def load(self, kind: str, requests: list[bytes], seconds: float) -> Load:
        """What a peer does with these requests, all of them new events."""
        load = fire(self.port, requests, seconds=seconds, connections=CONNECTIONS)
        if not load.statuses[201]:
            raise RuntimeError(f"the peer {kind} answered {dict(load.statuses)}: see {self._fleet.folder}/peers.log")
        return load

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _migrate(self) -> None:
        # What refers to tables of Django's comes after them, and triggers after their tables.
        quiet = ("--verbosity", "0")
        for command in (("migrate", *quiet), ("migrate", "--run-syncdb", *quiet), ("pgtrigger", "install")):
            django = [self._python, "-m", "django", *command]
            done = subprocess.run(django, cwd=ROOT, env=self._env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"the tables of the peers could not be made:\n{done.stderr[-2000:]}")
