"""Starts the peers on the same PostgreSQL."""

import subprocess

import psycopg

from bench.fleet import Fleet
from bench.ports import free_port
from bench.project import Project
from bench.wire import Load, fire

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
        self._project = Project("bench.peers", PEERS_POSTGRES=str(fleet.postgres.sockets))
        self._fleet = fleet
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        with psycopg.connect(fleet.postgres.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE peers")
        self._project.make_tables()
        with psycopg.connect(fleet.postgres.url("postgres", "peers"), autocommit=True) as connection:
            connection.execute("CREATE SEQUENCE peers_chain")

    def start(self) -> None:
        """Serve; returns when it answers."""
        log = self._fleet.folder / "peers.log"
        self._process = self._project.serve(self.port, log, workers=WORKERS, threads=THREADS)

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
