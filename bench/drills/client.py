"""`make drill-client KILLS=200`: the sending process is killed -9 again and again, while server and Redis go in turns.

Every event for which `record` had returned must be in the store, once, at the end. Each process is killed at a random
moment; the one after it takes over what it left.
"""

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import redis
from rich.console import Console
from rich.table import Table

from bench.fleet import ROOT, Fleet
from bench.load import WRITER, wait_until

# What the sending process does: it records as fast as it can, in four threads, and says which ids it was promised.
SENDING = """
import os, sys, threading
from auditclient import Client, Config

client = Client(Config.of_environment())

def record(number):
    count = 0
    while True:
        count += 1
        event = {"event_type": "drill.client.recorded", "correlation_id": f"drill-{os.getpid()}-{number}",
            "event_data": {"count": count, "padding": "x" * 300}}
        # One write of less than a pipe takes at once: lines of threads do not mix.
        os.write(1, (client.record(event).event_id + "\\n").encode())

for number in range(4):
    threading.Thread(target=record, args=(number,), daemon=True).start()
threading.Event().wait()
"""
STORED = (
    "SELECT id::text, count(*) FROM audit_record WHERE writer = %s AND event_type LIKE 'drill.client.%%' GROUP BY id"
)
# After its first event, so that each has something to lose.
ALIVE_S = (0.0, 0.8)
# Who is away, in turns; each for so many kills.
TURNS = ("nobody", "the store", "Redis", "both", "PostgreSQL")
KILLS_A_TURN = 2
console = Console()


class Drill:
    """One drill."""

    def __init__(self, kills: int, seed: int):
        self.kills, self._random = kills, random.Random(seed)
        self.fleet = Fleet(workers=2)
        self.promised: set[str] = set()
        self.times = dict.fromkeys(TURNS, 0)
        self._away = "nobody"

    def run(self) -> bool:
        """Kill, then hold every promise against the store; return whether all were kept."""
        self.fleet.start()
        environ = self._environ(self.fleet.new_writer())
        for number in range(self.kills):
            if number % KILLS_A_TURN == 0:
                self._take_away(TURNS[number // KILLS_A_TURN % len(TURNS)])
            self._kill_once(environ)
            self.times[self._away] += 1
        self._take_away("nobody")
        self._send_the_rest(environ)
        return self._account()

    def _environ(self, key: str) -> dict[str, str]:
        spool = self.fleet.folder / "client-spool"
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            "AUDIT_URL": f"http://127.0.0.1:{self.fleet.port}/api/v1/audit",
            "AUDIT_KEY": key,
            "AUDIT_REDIS_URL": self.fleet.redis.url(),
            "AUDIT_SPOOL_DIR": str(spool),
        }

    def _take_away(self, who: str) -> None:
        """Bring back what is away, and take away what is next."""
        fleet = self.fleet
        if self._away in ("the store", "both"):
            fleet.start_web()
        if self._away in ("Redis", "both"):
            fleet.redis.start()
        if self._away == "PostgreSQL":
            fleet.postgres.start()
        self._away = who
        if who in ("the store", "both"):
            fleet.stop_web()
        if who in ("Redis", "both"):
            fleet.redis.kill()
        if who == "PostgreSQL":
            fleet.postgres.stop()

    def _kill_once(self, environ: dict[str, str]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", SENDING], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        told = [process.stdout.readline()]
        pipe = process.stdout
        reader = threading.Thread(target=lambda: told.append(pipe.read()))
        reader.start()
        time.sleep(self._random.uniform(*ALIVE_S))
        process.kill()
        process.wait()
        reader.join()
        pipe.close()
        # A line without its end was cut off by the kill.
        self.promised |= {line.decode() for line in b"".join(told).split(b"\n")[:-1]}

    def _send_the_rest(self, environ: dict[str, str]) -> None:
        """A last process takes over what the others left, and the drainers empty the queue."""
        done = subprocess.run(
            [sys.executable, "-m", "auditclient", "send", "--timeout", "120"],
            env=environ,
            input=b'{"event_type": "drill.client.ended", "correlation_id": "drill"}\n',
            capture_output=True,
        )
        console.print(f"the last process: {done.stdout.decode().strip()}")
        if done.returncode:
            console.print(done.stderr.decode())
        wait_until(lambda: not any(Path(environ["AUDIT_SPOOL_DIR"]).glob("*.spool")), seconds=60, what="the spool")
        wait_until(lambda: self._left() == 0, seconds=300, what="the queue to empty")

    def _left(self) -> int:
        with redis.Redis.from_url(self.fleet.redis.url()) as server:
            depths: list[Any] = [server.llen("{dlq}:inbox"), server.xlen("{dlq}:s")]
        return sum(depths)

    def _account(self) -> bool:
        with psycopg.connect(self.fleet.env["DATABASE_URL"]) as connection:
            stored: dict[str, int] = dict(connection.execute(STORED, (WRITER,)).fetchall())
        lost, doubled = self.promised - stored.keys(), len([count for count in stored.values() if count > 1])
        table = Table(title="The client's drill")
        table.add_column("figure")
        table.add_column("value", justify="right")
        rows = {f"kills while {who} was away": count for who, count in self.times.items()} | {
            "kills": sum(self.times.values()),
            "events for which record() returned": len(self.promised),
            "records stored": len(stored),
            "stored, return not heard": len(stored.keys() - self.promised),
            "lost": len(lost),
            "duplicated": doubled,
        }
        for name, value in rows.items():
            table.add_row(name, f"{value:,}")
        console.print(table)
        return not lost and not doubled and len(self.promised) >= self.kills


def main() -> int:
    """Run one drill."""
    parser = argparse.ArgumentParser(prog="python -m bench.drills.client")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    drill = Drill(options.kills, options.seed)
    try:
        passed = drill.run()
    finally:
        drill.fleet.stop()
    console.print("nothing lost or duplicated" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
