"""The faults of `make chaos`, by lane: each breaks one thing, and what it broke is whole again when it ends."""

import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import psycopg
import redis

from bench.account import depth
from bench.fleet import ROOT, Fleet
from bench.load import wait_until

Fault = Callable[[random.Random], None]
HOUR_S = 3600
DISK_BYTES = 4 * 2**20
FORGE = """
import dlq.stream
from audit.formats import canonical, event
from dlq.message import Document
accepted = event.accept({document!r}, writer="drill")
dlq.stream.for_drain().park(
    [Document(key=str(accepted.id), digest=accepted.digest, body=accepted.body, source="drill",
              kind=accepted.event_type, received_at=accepted.received_at)], reason="database-down")
print(accepted.id)
"""
FORGED = {
    "version": "1.0",
    "event_type": "forged.by.redis",
    "event_timestamp": "2026-08-18T10:00:00Z",
    "event_category": "gateway",
    "event_action": "forged",
    "event_outcome": "success",
    "correlation_id": "forged",
    "event_data": {},
}


class Skipped(Exception):
    """The act could not be made this time, for another fault was in its way."""


class Acts:
    """All faults of a fleet."""

    def __init__(self, fleet: Fleet):
        self._fleet = fleet
        self.forged: list[str] = []
        folders = (fleet.spool, fleet.anchor.parent)
        self._disks = [folder for folder in folders if _mount(folder)]

    def stop(self) -> None:
        """Take the small disks away again."""
        for folder in self._disks:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)

    def of_postgres(self) -> dict[str, Fault]:
        """PostgreSQL goes away, hangs, is locked."""
        server = self._fleet.postgres
        return {
            "PostgreSQL stopped": partial(_down, server.stop, server.start, (2, 8)),
            "PostgreSQL killed": partial(_down, server.kill, server.start, (1, 6)),
            "PostgreSQL hung": partial(_down, server.freeze, server.thaw, (1, 6)),
            "PostgreSQL unreachable": partial(self._hole, "postgres", (2, 8)),
            "PostgreSQL's connections cut": lambda rng: self._fleet.network("postgres", "cut"),
            "lock as pg_dump takes it, and new partitions": self._dump,
        }

    def of_redis(self) -> dict[str, Fault]:
        """Redis goes away, is full, is restored from an older file, fails over."""
        fleet = self._fleet  # whose server is another one after a failover
        return {
            "Redis killed": lambda rng: _down(fleet.redis.kill, fleet.redis.start, (1, 5), rng),
            "Redis hung": lambda rng: _down(fleet.redis.freeze, fleet.redis.thaw, (1, 4), rng),
            "Redis unreachable": partial(self._hole, "redis", (1, 6)),
            "Redis's connections cut": lambda rng: self._fleet.network("redis", "cut"),
            "Redis full": self._fill_redis,
            "Redis's disk full": self._fill_disk,
            "queue restored from an older file": self._restore_queue,
            "entry forged with Redis' password": self._forge,
            "replica cut off and promoted": self._promote,
        }

    def of_processes(self) -> dict[str, Fault]:
        """Processes are killed, sleep, live by a wrong clock, find a full disk."""
        return {
            "web worker killed": self._kill_web_worker,
            "drainer killed": self._kill_drainer,
            "drainer asleep past its lease": self._sleep_drainer,
            "sealer killed": self._kill_sealer,
            "process of the schedule killed": self._kill_of_schedule,
            "disk full under the anchor": partial(self._fill, self._fleet.anchor.parent),
            "disk full under the spool": partial(self._fill, self._fleet.spool),
            "clock of a process jumps": self._jump,
            "key rotated": self._rotate,
        }

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A machine that is saturated, and nothing broken: two busy loops, and a loop of writes with fsync."""
        file = self._fleet.folder / "busy"
        loops = ["while True: pass"] * 2 + [
            f"import os\nfile = open({str(file)!r}, 'wb')\n"
            "while True: file.seek(0); file.write(b'x' * 4096); file.flush(); os.fsync(file.fileno())",
        ]
        processes = [subprocess.Popen([sys.executable, "-c", loop]) for loop in loops]
        try:
            yield
        finally:
            for process in processes:
                process.kill()
                process.wait()
            file.unlink(missing_ok=True)

    def put_forged_aside(self) -> None:
        """Have a person quarantine what was forged, once the drains have refused it. Raises `TimeoutError`."""
        for key in self.forged:
            wait_until(partial(self._is_refused, key), seconds=120, what="the forged to be refused")
            self._fleet.manage("dlq", "quarantine", key)

    def _is_refused(self, key: str) -> bool:
        with suppress(RuntimeError):
            return "Forged" in self._fleet.manage("dlq", "show", key)
        return False

    def _hole(self, name: str, seconds: tuple[float, float], rng: random.Random) -> None:
        self._fleet.network(name, "hole")
        time.sleep(rng.uniform(*seconds))
        self._fleet.network(name, rng.choice(("pass", "cut")))

    def _dump(self, rng: random.Random) -> None:
        """pg_dump reads for long: ACCESS SHARE on every table. Partitions are made meanwhile."""
        try:
            with psycopg.connect(self._fleet.postgres.url("postgres", "drill"), connect_timeout=2) as connection:
                connection.execute("LOCK TABLE audit_record IN ACCESS SHARE MODE")
                subprocess.run(
                    [sys.executable, "manage.py", "partitions"],
                    cwd=ROOT,
                    env=self._fleet.env,
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
                time.sleep(rng.uniform(1, 3))
        except psycopg.OperationalError:
            raise Skipped from None

    def _fill_redis(self, rng: random.Random) -> None:
        with redis.Redis.from_url(self._fleet.redis.url()) as client:
            client.config_set("maxmemory", max(client.info("memory")["used_memory"] - 1, 1))
            time.sleep(rng.uniform(2, 8))
            client.config_set("maxmemory", 0)

    def _fill_disk(self, rng: random.Random) -> None:
        """No byte more into any file: with `appendfsync always` Redis ends itself at the next write."""
        server = self._server_of_redis()
        size = max(path.stat().st_size for path in self._fleet.redis.data.rglob("*") if path.is_file())
        server.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        with suppress(redis.RedisError), redis.Redis.from_url(self._fleet.redis.url(), socket_timeout=2) as client:
            client.set("chaos", "x" * 1000)
        time.sleep(rng.uniform(1, 4))
        self._fleet.redis.kill()
        self._fleet.redis.start()

    def _server_of_redis(self) -> psutil.Process:
        names = ("redis", "valkey")
        return next(each for each in self._fleet.redis.processes() if any(name in each.name() for name in names))

    def _restore_queue(self, rng: random.Random) -> None:
        """Keep its file while events wait, let them be drained, and bring the file back: nothing may come again.

        Only while the queue is empty and nobody reaches it: what came after the file would be lost with it.
        """
        older = self._fleet.folder / "older"
        shutil.rmtree(older, ignore_errors=True)
        self._fleet.network("postgres", "hole")
        try:
            wait_until(lambda: depth(self._fleet) > 10, seconds=10, what="events to wait")
            shutil.copytree(self._fleet.redis.data, older)
        except TimeoutError:
            raise Skipped from None
        finally:
            self._fleet.network("postgres", "cut")
        try:
            wait_until(lambda: depth(self._fleet) == 0, seconds=60, what="the queue to be empty")
            self._fleet.network("redis", "hole")
            time.sleep(1)
            if depth(self._fleet):
                raise Skipped
        except TimeoutError:
            raise Skipped from None
        else:
            self._fleet.redis.kill()
            shutil.rmtree(self._fleet.redis.data)
            shutil.copytree(older, self._fleet.redis.data)
            self._fleet.redis.start()
        finally:
            self._fleet.network("redis", "cut")

    def _forge(self, rng: random.Random) -> None:
        """Whoever has Redis' password, and not the key of the store, parks an event in the name of a writer."""
        code = FORGE.format(document=FORGED)
        try:
            done = subprocess.run(
                [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", code],
                cwd=ROOT,
                env=self._fleet.env | {"SECRET_KEY": "of a forger"},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            raise Skipped from None  # Redis is away
        self.forged.append(done.stdout.split()[-1])

    def _promote(self, rng: random.Random) -> None:
        """The replica is cut off, then the server dies, and what the replica has is all that there is."""
        try:
            wait_until(self._fleet.is_replicated, seconds=20, what="the replica")
        except TimeoutError:
            raise Skipped from None
        self._fleet.network("replication", "hole")
        time.sleep(rng.uniform(0.5, 4))
        self._fleet.redis.kill()
        self._fleet.promote()

    def _rotate(self, rng: random.Random) -> None:
        """Another key signs the log, or receipts, from now on, once every process knows it."""
        try:
            self._fleet.manage(rng.choice(("sealkey", "receiptkey")), "rotate", "--wait", "20")
        except RuntimeError as error:
            if not any(said in str(error) for said in ("Nothing was rotated", "The new key signs from now on, but")):
                raise
            raise Skipped from None  # Redis is away, or a process that could not say that it knows the key

    def _kill_web_worker(self, rng: random.Random) -> None:
        workers = self._fleet.processes("ingest")[1:]
        if workers:
            rng.choice(workers).kill()

    def _kill_drainer(self, rng: random.Random) -> None:
        number = rng.randrange(2)
        self._fleet.kill_drainer(number)
        time.sleep(rng.uniform(0, 2))
        self._fleet.start_drainer(number)

    def _sleep_drainer(self, rng: random.Random) -> None:
        """It wakes when others have taken over what it had leased."""
        processes = self._fleet.processes(f"drainer-{rng.randrange(2)}")
        for process in processes:
            process.suspend()
        time.sleep(rng.uniform(11, 14))
        for process in processes:
            process.resume()

    def _kill_sealer(self, rng: random.Random) -> None:
        self._fleet.stop_sealer(signal.SIGKILL)
        time.sleep(rng.uniform(0, 2))
        self._fleet.start_sealer()

    def _kill_of_schedule(self, rng: random.Random) -> None:
        below = self._fleet.processes("worker")[2:]  # not the watchdog, not the leash
        if below:
            with suppress(psutil.NoSuchProcess):
                rng.choice(below).kill()

    def _fill(self, folder: Path, rng: random.Random) -> None:
        """The disk of a folder is full to its last byte: what is written then ends half way."""
        if folder not in self._disks:
            raise Skipped
        filler = folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
        time.sleep(rng.uniform(2, 4))
        filler.unlink()

    def _jump(self, rng: random.Random) -> None:
        """One process's clock goes hours ahead or back, and is right again a little later."""
        file = self._fleet.clock_of(rng.choice(("ingest", "drainer-0", "drainer-1", "sealer", "worker")))
        file.write_text(str(rng.choice((-1, 1)) * rng.uniform(1, 9) * HOUR_S))
        time.sleep(rng.uniform(2, 6))
        file.write_text("0")


def _mount(folder: Path) -> bool:
    """Give a folder a small disk of its own; only root can, so others' runs leave out what needs it."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0777", "tmpfs", str(folder)]
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def _down(away: Callable[[], None], back: Callable[[], None], seconds: tuple[float, float], rng: random.Random) -> None:
    away()
    time.sleep(rng.uniform(*seconds))
    back()
