"""`make run`: the whole site on one machine, set up from nothing, stopped by Ctrl-C.

1. Servers: those of DATABASE_URL and REDIS_URL, else real ones of our own in .local/.
2. Roles, schema, static files, sample data where the store is empty.
3. Site, ingest, queue cluster, drain watcher, sealer, and a streamer where STREAMS_FILE names targets, each on a leash;
   what ends by itself is started again.
4. Until Ctrl-C or SIGTERM, or until the make that started it is gone; then all that was started is stopped, the site
   first.
"""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from rich.console import Console

from audit.management.stopping import Told
from auditsite import greeting, several
from auditsite.embedded import Postgres, Redis, Server
from auditsite.front import bounds
from auditsite.roles import ROLES, create_database

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
DATABASE = "audit"
ORIGIN = "localhost/audit"
RESTART_PAUSE_S = 1.0
UNDER_MAKE = "--under-make"
# Threads of each process that may wait for a server: several writes that wait together are stored together.
INGEST_THREADS = 8
SITE_WORKERS, SITE_THREADS = 2, 4
# What is done before anything is served, a process each; the second knows the keys that the first has made.
PREPARATIONS = (
    (
        "migrating, making keys, collecting static files",
        ("migrate", "--verbosity", "0"),
        ("sealkey", "--verbosity", "0", "create", "--origin", ORIGIN, "--if-missing"),
        ("receiptkey", "--verbosity", "0", "create", "--origin", ORIGIN, "--if-missing"),
        ("collectstatic", "--noinput", "--verbosity", "0"),
    ),
    (
        "loading sample data, checking",
        ("loadsample", "--logins", str(LOCAL / "logins")),
        ("check", "--database", "default"),
    ),
)
console = Console(highlight=False)


@dataclass
class Service:
    """A process that is kept running."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self, env: dict[str, str]) -> None:
        with (LOCAL / "log" / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "auditsite.leash", "--", *self.command],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def main() -> int:
    """Run until told to stop."""
    LOCAL.mkdir(exist_ok=True)
    lock = _only_one()
    starter = os.getppid() if UNDER_MAKE in sys.argv else None
    stop = Told()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: _stop(stop, _frame))
    servers: list[Server] = []
    services: list[Service] = []
    try:
        env = _environment(servers)
        _prepare(env)
        wanted = int(os.environ.get("PORT", "8000"))
        port = free_port(wanted)
        ingest_port = free_port(int(os.environ.get("INGEST_PORT", port + 1)))
        services += _services(port, ingest_port)
        for service in services:
            service.start(env)
        for name, serving in (("web", port), ("ingest", ingest_port)):
            _wait_for(name, serving, stop)
        _greet(port, wanted, ingest_port, env, servers)
        keep_running(services, env, stop, starter)
        return 0
    except subprocess.CalledProcessError as error:
        console.print(f"[red]{' '.join(error.cmd[1:])} failed:[/red] its output is above.")
        return 1
    finally:
        console.print("stopping")
        for service in services:
            service.stop()
        for server in reversed(servers):
            server.stop()
        lock.close()


def free_port(wanted: int) -> int:
    """The wanted loopback port, or the next one that is free."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit(f"No port from {wanted} to {wanted + 99} is free: set PORT.")


def kept_secret(name: str) -> str:
    """A secret of this folder, made once."""
    path = LOCAL / "secrets" / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return path.read_text(encoding="ascii")


def _only_one() -> IO[str]:
    lock = (LOCAL / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(f"`make run` runs in this folder already: stop it first ({LOCAL / 'run.lock'}).") from None
    return lock


def _stop(stop: Told, frame: FrameType | None) -> None:
    if stop.is_set():
        raise KeyboardInterrupt  # asked twice
    stop.set()


def _environment(servers: list[Server]) -> dict[str, str]:
    """Start what has to be started; return the environment of everything that follows."""
    metrics = LOCAL / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    for folder in ("log", "spool", "exports"):
        (LOCAL / folder).mkdir(exist_ok=True)
    found = _redis(servers) | _databases(servers)
    found |= {
        "SECRET_KEY": kept_secret("secret_key"),
        "SECURE_COOKIES": "false",
        "STATIC_COMPRESSED": "false",
        "SEAL_KEY_FILE": str(LOCAL / "secrets" / "seal_key"),
        "SEAL_PUBLIC_KEYS_FILE": str(LOCAL / "secrets" / "seal_key.pub"),
        "RECEIPT_KEY_FILE": str(LOCAL / "secrets" / "receipt_key"),
        "RECEIPT_PUBLIC_KEYS_FILE": str(LOCAL / "secrets" / "receipt_key.pub"),
        "SEAL_ANCHOR_FILE": str(LOCAL / "anchor.jsonl"),
        "DLQ_SPOOL_DIR": str(LOCAL / "spool"),
        "EXPORT_DIR": str(LOCAL / "exports"),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    path = LOCAL / "run.env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in found.items()), encoding="utf-8")
    return os.environ | found


def _redis(servers: list[Server]) -> dict[str, str]:
    if "REDIS_URL" in os.environ:
        return {"REDIS_URL": os.environ["REDIS_URL"]}
    redis = Redis(LOCAL / "redis")
    servers.append(redis)
    with console.status("starting Redis"):
        redis.start()
    return {"REDIS_URL": redis.url(0), "CACHE_URL": redis.url(1), "QUEUE_URL": redis.url(2)}


def _databases(servers: list[Server]) -> dict[str, str]:
    if os.environ.keys() >= ROLES.keys():
        return {name: os.environ[name] for name in ROLES}
    if "DATABASE_URL" in os.environ:  # an administrator's: it makes the roles
        passwords = {role: kept_secret(role) for role in ROLES.values()}
        return create_database(os.environ["DATABASE_URL"], DATABASE, passwords)
    postgres = Postgres(LOCAL / "postgres")
    servers.append(postgres)
    with console.status("starting PostgreSQL"):
        postgres.start()
    return create_database(postgres.url(), DATABASE) | {"DATABASE_BACKUP_URL": postgres.url()}


def _prepare(env: dict[str, str]) -> None:
    for text, *commands in PREPARATIONS:
        words = [word for command in commands for word in (*command, several.SEPARATOR)]
        command = [sys.executable, "-m", "auditsite.several", *words]
        with console.status(text):
            subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)


def _services(port: int, ingest_port: int) -> list[Service]:
    manage = [sys.executable, "manage.py"]
    return [
        Service("web", _front("site", port, SITE_WORKERS, SITE_THREADS)),
        Service("ingest", _front("ingest", ingest_port, bounds.processes(), INGEST_THREADS)),
        Service("queue", [*manage, "worker"]),
        Service("drain", [*manage, "drain_dlq", "--watch"]),
        Service("seal", [*manage, "seal", "--follow"]),
        # Where there is something to stream to.
        *([Service("stream", [*manage, "stream", "run"])] if os.environ.get("STREAMS_FILE") else []),
    ]


def _front(role: str, port: int, workers: int, threads: int) -> list[str]:
    size = ("--workers", str(workers), "--threads", str(threads))
    return [sys.executable, "-m", "auditsite.front", "--role", role, "--port", str(port), *size]


def _wait_for(name: str, port: int, stop: Told) -> None:
    deadline = time.monotonic() + 60
    while not stop.wait(0.1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing answered at port {port} within 60 s: see {LOCAL / 'log' / name}.log.")


def _greet(port: int, wanted: int, ingest_port: int, env: dict[str, str], servers: list[Server]) -> None:
    if port != wanted:
        console.print(f"Port {wanted} is taken, so the site is at {port}: PORT=... chooses another.")
    for line in greeting.lines(port, ingest_port, LOCAL, env, _origins(servers)):
        console.print(line, markup=False, soft_wrap=True)


def _origins(servers: list[Server]) -> dict[str, str]:
    """Where the programs come from that serve: the environment, or this folder."""
    started = {server.name for server in servers}
    program = "the program that REDIS_SERVER names" if "REDIS_SERVER" in os.environ else "bundled"
    return {
        "PostgreSQL": f"bundled, data in {LOCAL}" if "PostgreSQL" in started else "from DATABASE_URL",
        "Redis": f"{program}, data in {LOCAL}" if "Redis" in started else "from REDIS_URL",
    }


def keep_running(services: list[Service], env: dict[str, str], stop: Told, starter: int | None) -> None:
    """Start again what ends by itself, until told to stop, or until the starter, a process id, is gone."""
    while not stop.wait(RESTART_PAUSE_S):
        if starter is not None and os.getppid() != starter:
            return  # killed, it could not pass its end on
        for service in services:
            if service.has_ended():
                console.print(f"{service.name} ended by itself and is started again: see its log.")
                service.start(env)


if __name__ == "__main__":
    sys.exit(main())
