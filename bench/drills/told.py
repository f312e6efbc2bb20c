"""What was told during a drill beside what was done: no alarm, outage or finding that is not true."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import psycopg

from bench.fleet import Fleet

# Alarms that are true only where one of these acts was done. What is not named here is never true: nothing was lost,
# nobody fell silent, no number is missing, nothing was altered.
TRUE_AFTER: dict[str, tuple[str, ...]] = {
    "dlq.depth": ("PostgreSQL", "Redis", "queue restored", "promoted", "lock"),
    "dlq.age": ("PostgreSQL", "Redis", "queue restored", "promoted", "lock"),
    "dlq.dead": ("forged",),
    "dlq.forged": ("forged",),
    "dlq.restored": ("queue restored", "promoted"),
    "audit.worker": ("process of the schedule", "PostgreSQL", "Redis", "clock"),
    "audit.seal": ("PostgreSQL", "Redis", "sealer", "clock", "anchor"),
    "audit.clock": ("clock",),
}
# How long after a fault the last request may still run into it, and how long it may take to notice.
SLACK = timedelta(seconds=15)
OUTAGES = "SELECT began_at, coalesce(up_at, emptied_at), parked FROM audit_episode ORDER BY began_at"
FINDINGS = {
    "findings of verifications": "SELECT count(*) FROM audit_finding",
    "gaps": "SELECT count(*) FROM audit_gap",
    "broken promises": "SELECT count(*) FROM audit_brokenpromise",
    "explained or open losses": "SELECT count(*) FROM audit_loss",
}


class Done(NamedTuple):
    """A fault that was made: from when to when it may have been felt."""

    name: str
    began_at: datetime
    ended_at: datetime


class Alarms:
    """A webhook that keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        alarms = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Keep the alarm."""
                body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                alarms.told.append((body["alarm"], body["text"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the alarms are printed at the end."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, name="alarms", daemon=True).start()

    def stop(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()

    def counts(self) -> Counter[str]:
        """How often each was told."""
        return Counter(name for name, _ in self.told)


def untrue(fleet: Fleet, alarms: Alarms, done: Iterable[Done], *, lasting: str) -> list[str]:
    """Everything that was told and is not true, in words. `lasting`: what was wrong from start to end."""
    faults = list(done)
    names = [lasting, *(fault.name for fault in faults)]
    lies = [
        f"the alarm {name}: {text}"
        for name, text in alarms.told
        if not any(word in fault for fault in names for word in TRUE_AFTER.get(name, ()))
    ]
    with psycopg.connect(fleet.postgres.url("postgres", "drill")) as connection:
        for began_at, ended_at, parked in connection.execute(OUTAGES).fetchall():
            if not any(_meet(fault, began_at) for fault in faults):
                lies.append(f"an outage from {began_at:%H:%M:%S} to {ended_at:%H:%M:%S} with {parked} parked")
        counts: Mapping[str, int] = {name: _count(connection, query) for name, query in FINDINGS.items()}
    return lies + [f"{count} {name}" for name, count in counts.items() if count]


def _meet(fault: Done, began_at: datetime) -> bool:
    """Whether the fault was felt when the outage began: it takes a while to notice, and the last request lingers."""
    return fault.began_at - SLACK <= began_at <= fault.ended_at + SLACK


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def now() -> datetime:
    """The right time."""
    return datetime.now(UTC)
