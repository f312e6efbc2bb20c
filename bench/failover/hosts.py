"""Two hosts that know nothing of each other: ingest, a drainer and a sealer on each."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from audit.formats.note import Signer
from auditsite.roles import ROLES, create_database
from bench.failover.cluster import Cluster
from bench.failover.network import Node
from bench.failover.queue import Queue
from bench.failover.writers import answers
from bench.fleet import ROOT
from bench.load import WRITER, wait_until

PORT = 8000
DATABASE = "audit"


class Host:
    """One host, and what runs on it."""

    def __init__(self, number: int, folder: Path, env: dict[str, str]):
        self.name = f"web{number}"
        self.node = Node(self.name, 32 + number)
        self.heads = folder / f"{self.name}-heads.jsonl"
        self._folder = folder
        metrics = folder / f"{self.name}-metrics"
        metrics.mkdir()
        self._env = env | {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "ALLOWED_HOSTS": self.node.address}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def place(self) -> tuple[str, int]:
        """Where writers send to."""
        return self.node.address, PORT

    def start(self) -> None:
        """Start all that does not run."""
        place = ("--host", self.node.address, "--port", str(PORT))
        self._start("ingest", "-m", "auditsite.front", "--role", "ingest", *place, "--workers", "1", "--threads", "4")
        self._start("drainer", "manage.py", "drain_dlq", "--watch")
        self._start("sealer", "-m", "bench.failover.sealer", str(self.heads))
        wait_until(partial(answers, self.place), seconds=120, what=self.name)

    def kill_sealer(self) -> None:
        """kill -9 of the sealer."""
        process = self._processes.pop("sealer")
        process.kill()
        process.wait()

    def ended(self) -> list[str]:
        """What has ended that nobody has ended."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def _start(self, name: str, *command: str) -> None:
        if name not in self._processes:
            log = self._folder / f"{self.name}-{name}.log"
            self._processes[name] = self.node.start([sys.executable, *command], log, env=self._env, cwd=ROOT)


class Site:
    """Both hosts over one cluster and one queue."""

    def __init__(self, folder: Path, cluster: Cluster, queue: Queue):
        self._cluster = cluster
        create_database(cluster.url("postgres", "postgres"), DATABASE)
        self.env = os.environ | {variable: cluster.url(role, DATABASE) for variable, role in ROLES.items()}
        self.env |= {
            "DJANGO_SETTINGS_MODULE": "auditsite.settings",
            "RUN_ENV": os.devnull,
            "REDIS_URL": queue.url(0),
            "CACHE_URL": queue.url(1),
            "QUEUE_URL": queue.url(2),
            "SECRET_KEY": "drill",
            "SEAL_KEY": Signer("drill.example/log", bytes(32)).encode(),
            "RECEIPT_KEY": Signer("drill.example/log/receipts", bytes(32)).encode(),
            "SECURE_COOKIES": "false",
            "STATIC_ROOT": str(folder / "static"),
            "STATIC_COMPRESSED": "false",
            "LOG_LEVEL": "INFO",
            # All servers share one machine here: how busy it is must not refuse an event.
            "DLQ_TIMEOUT_MS": "1000",
        }
        self.manage("migrate", "--verbosity", "0")
        self.hosts = [Host(number, folder, self.env) for number in (1, 2)]
        for host in self.hosts:
            host.start()

    def address(self) -> str:
        """The database, as an administrator of PostgreSQL."""
        return self._cluster.url("postgres", DATABASE)

    def new_writer(self) -> str:
        """The key of a new writer."""
        return self.manage("writer", "create", WRITER, "--scopes", "write", "read").strip()

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout
