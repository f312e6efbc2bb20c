"""A whole installation for one drill: servers, web, drainers, each a real process that may be killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from audit.formats.note import Signer
from auditsite.embedded import Postgres, Redis
from auditsite.front import bounds
from auditsite.roles import create_database
from bench.load import WRITER, wait_until
from bench.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
SITE_WORKERS, SITE_THREADS = 1, 4


class Fleet:
    """Starts in a folder of its own; `stop` ends every process and removes the folder."""

    def __init__(
        self,
        *,
        workers: int = bounds.processes(),
        threads: int = 8,
        drainers: int = 2,
        application: str = "auditsite.wsgi:application",
        proxied: bool = False,
        spooled: bool = False,
        clocked: bool = False,
        anchored: bool = False,
        replicated: bool = False,
        rotatable: bool = False,
        archived: bool = False,
        root: Path = ROOT,
        python: str = sys.executable,
        **settings: str,
    ):
        """`root` and `python` are the code that is run, and what runs it: another commit's, to be measured beside."""
        self.root = root
        self.python = python
        self.folder = Path(tempfile.mkdtemp(prefix="auditsite-"))
        self.folder.chmod(0o755)
        # Where PostgreSQL's own user writes the WAL that is full.
        self.wal = self.folder / "wal"
        self.wal.mkdir()
        self.wal.chmod(0o777)
        self.postgres = Postgres(self.folder / "postgres", archive=self.wal if archived else None)
        self.redis = Redis(self.folder / "redis")
        # Beside it where one replica is asked for; whoever is promoted becomes `redis`.
        self.replica = Redis(self.folder / "replica") if replicated else None
        # Of ingest, where writers send, and of the site, which people look at.
        self.port, self.site_port = free_port(), free_port()
        self.workers = workers
        self.threads = threads
        self._application = application
        self._proxied = proxied
        self._manage = ["-m", "bench.skewed", "0"] if clocked else ["manage.py"]
        self.spool = self.folder / "spool"
        self.anchor = self.folder / "anchor" / "checkpoints"
        self.clocks = self.folder / "clocks"
        for folder in (self.spool, self.anchor.parent, self.clocks):
            folder.mkdir()
        if spooled:
            settings |= {"DLQ_SPOOL_DIR": str(self.spool)}
        if anchored:
            settings |= {"SEAL_ANCHOR_FILE": str(self.anchor), "SEAL_ANCHOR_S": "1"}
        if replicated:
            settings |= {"DLQ_MIN_REPLICAS": "1"}
        self._rotatable = rotatable
        self._settings = settings
        self._drainers = drainers
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}
        self.env: dict[str, str] = {}
        self.proxies: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Servers, schema, web, drainers and a sealer with them; returns when the site answers."""
        self.start_servers()
        self.start_services()

    def start_services(self) -> None:
        """Web, drainers and a sealer with them; returns when the site answers."""
        self.start_web()
        for number in range(self._drainers):
            self.start_drainer(number)
        if self._drainers:
            self.start_sealer()

    def start_servers(self) -> None:
        """PostgreSQL and Redis with an empty, migrated database."""
        self.postgres.start()
        self.redis.start()
        metrics = self.folder / "metrics"
        metrics.mkdir()
        self.env = (
            os.environ
            | create_database(self.postgres.url("postgres", "postgres"), "drill")
            | {
                "DJANGO_SETTINGS_MODULE": "auditsite.settings",
                "RUN_ENV": os.devnull,
                "REDIS_URL": self.redis.url(),
                "CACHE_URL": self.redis.url(1),
                "QUEUE_URL": self.redis.url(2),
                "SECRET_KEY": "drill",
                "DATABASE_BACKUP_URL": self.postgres.url("postgres", "drill"),
                "SEAL_KEY": Signer("drill.example/log", bytes(32)).encode(),
                "RECEIPT_KEY": Signer("drill.example/log/receipts", bytes(32)).encode(),
                "SECURE_COOKIES": "false",
                "STATIC_ROOT": str(self.folder / "static"),
                "STATIC_COMPRESSED": "false",
                "PROMETHEUS_MULTIPROC_DIR": str(metrics),
                "LOG_LEVEL": "WARNING",
            }
            | self._settings
        )
        if self._proxied:
            self._start_proxies()
        if self.replica is not None:
            self._start_replica(self.replica)
        if self._rotatable:
            self._name_keys()
        self.manage("migrate", "--verbosity", "0")
        if self._rotatable:
            for command in ("sealkey", "receiptkey"):
                self.manage(command, "create", "--origin", "drill.example/log")

    def _start_replica(self, replica: Redis) -> None:
        """A replica that follows over a network of its own: the proxy "replication"."""
        replica.start()
        self.follow()
        wait_until(self.is_replicated, seconds=30, what="the replica")

    def follow(self) -> None:
        """Have the replica follow the server, over the network between them."""
        assert self.replica is not None
        port = self._replication_port()
        with redis.Redis.from_url(self.redis.url()) as server:
            server.config_set("repl-diskless-sync-delay", 0)  # it would wait for other replicas to come
        with redis.Redis.from_url(self.replica.url()) as follower:
            follower.replicaof("127.0.0.1", port)

    def _replication_port(self) -> int:
        if "replication" not in self.proxies:
            self._replication = self._start_proxy("replication", self.redis.socket)
        return self._replication

    def is_replicated(self) -> bool:
        """Whether the replica has what the server has."""
        assert self.replica is not None
        with suppress(redis.RedisError), redis.Redis.from_url(self.replica.url()) as follower:
            said: Any = follower.info("replication")
            return bool(said["master_link_status"] == "up" and not said["master_sync_in_progress"])
        return False

    def promote(self) -> None:
        """The replica takes the place of the server, which follows it from now on. The server must be down."""
        assert self.replica is not None
        with redis.Redis.from_url(self.replica.url()) as follower:
            follower.replicaof("NO", "ONE")
        self.redis, self.replica = self.replica, self.redis
        for name in ("redis", "replication"):
            self.network(name, f"to {self.redis.socket}")
            self.network(name, "cut")
        self.replica.start()
        self.follow()

    def _name_keys(self) -> None:
        """Keys in files, so that they can be rotated while all runs."""
        folder = self.folder / "keys"
        folder.mkdir()
        for kind in ("SEAL", "RECEIPT"):
            del self.env[f"{kind}_KEY"]
            file = folder / f"{kind.lower()}_key"
            self.env |= {f"{kind}_KEY_FILE": str(file), f"{kind}_PUBLIC_KEYS_FILE": f"{file}.pub"}

    def _start_proxies(self) -> None:
        """From here on the site reaches both servers over a network that can be taken away."""
        for name, socket_path in (
            ("postgres", self.postgres.sockets / ".s.PGSQL.5432"),
            ("redis", self.redis.socket),
        ):
            port = self._start_proxy(name, socket_path)
            for variable, value in self.env.items():
                if name == "redis" and value.startswith(f"unix://{self.redis.socket}"):
                    self.env[variable] = f"redis://127.0.0.1:{port}/{value[-1]}"
                elif name == "postgres" and variable.startswith("DATABASE"):
                    address, _, _ = value.partition("?")
                    self.env[variable] = address.replace("@/", f"@127.0.0.1:{port}/")

    def _start_proxy(self, name: str, socket_path: Path) -> int:
        port = free_port()
        command = [sys.executable, "-m", "bench.proxy", str(port), str(socket_path)]
        self.proxies[name] = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
        wait_until(lambda: answers(port), seconds=20, what=f"the proxy of {name}")
        return port

    def network(self, name: str, order: str) -> None:
        """Have the network before a server pass, swallow or cut: "pass", "hole", "cut"."""
        stdin = self.proxies[name].stdin
        assert stdin is not None
        stdin.write(f"{order}\n".encode())
        stdin.flush()

    @property
    def ingest_port(self) -> int:
        """The port to which writers send."""
        return self.port

    def start_web(self) -> None:
        """The site and ingest, the latter with `workers` processes of `threads` threads each."""
        if not (self.root / "auditsite" / "front").is_dir():
            self._start_granian()
            return
        for name, port in (("web", self.site_port), ("ingest", self.port)):
            self._start_front(name, port)
        for port in (self.site_port, self.port):
            wait_until(partial(answers, port), seconds=120, what="the site")

    def _start_front(self, name: str, port: int) -> None:
        is_ingest = name == "ingest"
        role = ("--role", "ingest" if is_ingest else "site", "--port", str(port))
        size = (self.workers, self.threads) if is_ingest else (SITE_WORKERS, SITE_THREADS)
        numbers = ("--workers", str(size[0]), "--threads", str(size[1]))
        self._spawn(name, [self.python, "-m", "auditsite.front", *role, *numbers, self._application])

    def _start_granian(self) -> None:
        """A commit that had one server for all, which it started so."""
        self.site_port = self.port
        command = [
            str(Path(self.python).parent / "granian"),
            *("--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "4", "--blocking-threads", "2", "--respawn-failed-workers"),
            *("--no-ws", "--log-level", "warning", self._application),
        ]
        self._spawn("web", command)
        wait_until(lambda: answers(self.port), seconds=120, what="the site")

    def stop_web(self) -> None:
        """End the site and ingest: nothing listens at their ports any more."""
        ended = [self._processes.pop(name) for name in ("web", "ingest") if name in self._processes]
        for process in ended:
            process.send_signal(signal.SIGTERM)
        for process in ended:
            process.wait(timeout=20)

    def start_drainer(self, number: int, *, skew_s: float = 0) -> None:
        """A drainer as a service runs it; with a wrong clock, if `skew_s` is given."""
        manage = ["-m", "bench.skewed", str(skew_s)] if skew_s else self._manage
        self._spawn(f"drainer-{number}", [self.python, *manage, "drain_dlq", "--watch"])

    def start_worker(self) -> None:
        """The schedule's cluster with its watchdog."""
        self._spawn("worker", [self.python, *self._manage, "worker"])

    def processes(self, name: str) -> list[psutil.Process]:
        """A service's process and all below it, the ones that still run."""
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            return []
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]

    def has(self, name: str) -> bool:
        """Whether a service of this name was started."""
        return name in self._processes

    def start_sealer(self) -> None:
        """A sealer as a service runs it."""
        self._spawn("sealer", [self.python, *self._manage, "seal", "--follow"])

    def stop_sealer(self, number: int = signal.SIGTERM) -> None:
        """End the sealer, with a signal."""
        process = self._processes.pop("sealer")
        process.send_signal(number)
        process.wait(timeout=20)

    def restart_service(self, name: str) -> None:
        """End a service, as its supervisor does, and start it again: it reads its settings anew."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)
        self._spawn(name, self._commands[name])

    def kill_worker(self) -> None:
        """kill -9 one worker of ingest; another is started."""
        workers = psutil.Process(self._processes["ingest"].pid).children()
        workers[0].kill()

    def kill_drainer(self, number: int) -> None:
        """kill -9 a drainer in the middle of its work."""
        process = self._processes.pop(f"drainer-{number}")
        process.kill()
        process.wait()

    def new_writer(self) -> str:
        """The key of a new writer."""
        return self.manage("writer", "create", WRITER, "--scopes", "write", "read").strip()

    def address(self) -> str:
        """The database, as an administrator of PostgreSQL."""
        return self.postgres.url("postgres", "drill")

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""
        done = subprocess.run(
            [self.python, "manage.py", *arguments], cwd=self.root, env=self.env, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def sql(self, text: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run a statement as superuser."""
        with psycopg.connect(self.postgres.url("postgres", "drill"), autocommit=True) as connection:
            cursor = connection.execute(text.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def number(self, text: str) -> int:
        """The one number that a statement selects."""
        return int(str(self.sql(text)[0][0]))

    def seal_all(self) -> None:
        """Have nothing wait."""
        self.start_sealer()
        self.wait_for_sealer()
        self.stop_sealer()

    def wait_for_sealer(self) -> None:
        """Return when all that is stored by now is sealed: under load something that came since always waits."""
        [(now,)] = self.sql("SELECT clock_timestamp()")
        waits = "SELECT EXISTS (SELECT FROM audit_unsealed WHERE stored_at <= %s)"
        wait_until(lambda: self.sql(waits, now) == [(False,)], seconds=600, what="the sealer")

    def restart(self, root: Path, python: str) -> None:
        """End every process, and start it again with the code in another folder, by another Python."""
        while self._processes:
            _, process = self._processes.popitem()
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        self.root, self.python = root, python
        if self.site_port == self.port:  # one server was all
            self.site_port = free_port()
        self.start_services()

    def stop(self) -> None:
        """End everything, web first."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
        self.postgres.stop()
        self.redis.stop()
        if self.replica is not None:
            self.replica.stop()
        for proxy in self.proxies.values():
            proxy.kill()
            proxy.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, name: str) -> str:
        """What a process has logged so far."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def clock_of(self, name: str) -> Path:
        """The file that says by how many seconds the clock of a service is wrong, where it was started `clocked`."""
        return self.clocks / name

    def _spawn(self, name: str, command: list[str]) -> None:
        self._commands[name] = command
        env = self.env | {"DRILL_CLOCK": str(self.clock_of(name))}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, cwd=self.root, env=env, stdout=log, stderr=log)


def answers(port: int) -> bool:
    """Whether something listens on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
