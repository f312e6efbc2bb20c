"""`make seed RECORDS=10000000`: as many records as a busy store has after 90 days, in minutes, with COPY.

Each is a whole record: its digest is that of its canonical event, it is numbered by its writer, and it is sealed, so
that all that verifies and reconciles holds of it. Indexes are taken away while rows are copied and made again after.
Only for a store that holds nothing but the sample: records can never be removed again.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parent.parent
DAYS, WRITERS, ACTORS, STEPS = 90, 50, 100, 20
PORTION = 50_000
SERVICES = ("gateway", "orchestration", "workflowexecution", "notification", "analysis", "security", "effectiveness")
ACTS = ("received", "created", "started", "completed", "failed", "approved", "denied", "escalated")
NAMESPACES = ("prod", "staging", "payments", "search", "ops")
COLUMNS = (
    "id, writer, version, event_type, event_timestamp, event_category, event_action, event_outcome, correlation_id, "
    "event_data, actor_type, actor_id, resource_type, resource_id, namespace, severity, duration_ms, source_seq, "
    "is_sensitive, digest, received_at, stored_at"
)
INDEXES = """
SELECT c.relname, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'audit_record'::regclass AND NOT i.indisprimary
"""
MONTH = """
CREATE TABLE IF NOT EXISTS {name} PARTITION OF audit_record FOR VALUES
    FROM (audit_uuid7_floor('{start}')) TO (audit_uuid7_floor('{end}'));
ALTER TABLE {name} ENABLE ALWAYS TRIGGER audit_no_change;
SELECT audit_guard_truncate('{name}');
REVOKE ALL ON {name} FROM PUBLIC, audit_app, audit_reader;
"""
STRANGERS = "SELECT writer FROM audit_record WHERE writer <> ALL(%s) LIMIT 1"
QUEUE = """
INSERT INTO audit_unsealed SELECT id, audit_leaf_hash(id, digest, received_at, parked_at, stored_at), stored_at
FROM audit_record WHERE writer LIKE 'service-%' ORDER BY id
"""
console = Console(stderr=True)


def load(url: str, count: int, *, days: int = DAYS) -> None:
    """Fill the store at its owner's address with `count` records of so many days that wait for the sealer. Exits where
    it is in use."""
    now = datetime.now(UTC)
    with psycopg.connect(url, autocommit=True) as connection, _bar() as bar:
        if (found := connection.execute(STRANGERS, [_known()]).fetchone()) is not None:
            raise SystemExit(f"The store has records of {found[0]!r}, which is no sample: seed another database.")
        _make_months(connection, now, days)
        indexes = connection.execute(INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        _copy(url, count, now, days, bar)
        steps = [definition for _, definition in indexes] + [QUEUE, "ANALYZE"]
        for statement in bar.track(steps, description="indexes, queue"):
            connection.execute(statement.encode())


def _known() -> list[str]:
    """The store itself, and the writers of the sample."""
    from audit.management.commands import loadsample
    from audit.models import OWN_WRITER

    return [OWN_WRITER, "demo", *loadsample.writers()]


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _make_months(connection: psycopg.Connection[Any], now: datetime, days: int) -> None:
    """Partitions for the months before this one; the store itself makes them ahead only."""
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(days // 28 + 1 if days <= DAYS else days * 12 // 365 + 1):
        end, start = start, (start - timedelta(days=1)).replace(day=1)
        connection.execute(MONTH.format(name=f"audit_record_{start:%Y_%m}", start=start, end=end).encode())


def _copy(url: str, count: int, now: datetime, days: int, bar: Progress) -> None:
    task = bar.add_task("records", total=count)
    portions = [(url, first, min(first + PORTION, count), count, now, days) for first in range(0, count, PORTION)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for copied in pool.imap_unordered(copy_portion, portions):
            bar.advance(task, copied)


def copy_portion(portion: tuple[str, int, int, int, datetime, int]) -> int:
    """Copy the records first .. last-1 of `count`."""
    url, first, last, count, now, days = portion
    statement = f"COPY audit_record ({COLUMNS}) FROM STDIN".encode()
    with psycopg.connect(url) as connection, connection.cursor().copy(statement) as copy:
        for line in rows(first, last, count, now, days):
            copy.write(line)
    return last - first


def rows(first: int, last: int, count: int, now: datetime, days: int) -> Iterator[bytes]:
    """Lines for COPY, each a record."""
    began, step = now - timedelta(days=days), timedelta(days=days) / count
    for n in range(first, last):
        yield _row(n, began + step * n)


def _row(n: int, moment: datetime) -> bytes:
    document = event(n, moment)
    body = json.dumps(document, sort_keys=True, separators=(",", ":"))  # canonical, for there is ASCII in it alone
    digest = hashlib.sha256(b"\x00" + body.encode()).hexdigest()
    received = document["event_timestamp"]
    data = json.dumps(document["event_data"])
    get = document.__getitem__
    values = [get(name) for name in _PLAIN_BEFORE] + [data] + [str(get(name)) for name in _PLAIN_AFTER]
    return ("\t".join([*values, "f", f"\\\\x{digest}", received, received]) + "\n").encode()


_PLAIN_BEFORE = [
    "event_id",
    "writer",
    "version",
    "event_type",
    "event_timestamp",
    "event_category",
    "event_action",
    "event_outcome",
    "correlation_id",
]
_PLAIN_AFTER = [
    "actor_type",
    "actor_id",
    "resource_type",
    "resource_id",
    "namespace",
    "severity",
    "duration_ms",
    "source_seq",
]


def event(n: int, moment: datetime) -> dict[str, Any]:
    """The n-th event: twenty steps a correlation, each fiftieth a failure."""
    mixed = n * 2_654_435_761 % 2**32  # spreads what follows each other
    service, act = SERVICES[mixed % 7], ACTS[mixed // 7 % 8]
    failed = mixed % 50 == 0
    milliseconds = int(moment.timestamp() * 1000)
    return {
        "version": "1.0",
        "event_id": f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{n >> 24 & 0xFFF:03x}-8000-{n:012x}",
        "writer": f"service-{n % WRITERS:02}",
        "event_type": f"{service}.action.{act}",
        "event_timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "event_category": service,
        "event_action": act,
        "event_outcome": "failure" if failed else "success",
        "correlation_id": f"rr-{n // WRITERS // STEPS}-{n % WRITERS:02}",
        "event_data": {
            "ip": f"10.{mixed >> 16 & 255}.{mixed >> 8 & 255}.{mixed & 255}",
            "try": n % 3,
            "request": f"q-{mixed:08x}",
        },
        "actor_type": "user",
        "actor_id": f"person-{mixed % ACTORS}",
        "resource_type": "deployment",
        "resource_id": f"deployment-{mixed % 5_003}",
        "namespace": NAMESPACES[mixed % 5],
        "severity": "critical" if failed else "info",
        "duration_ms": mixed % 10_000,
        "source_seq": n // WRITERS + 1,
        "is_sensitive": False,
    }


def main() -> None:
    """Seed the store that this shell's settings name, and seal it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    import django

    django.setup()
    # The settings also read where `make run` has its servers; they keep that to themselves.
    from auditsite.readers import env

    started = time.perf_counter()
    load(env.str("DATABASE_OWNER_URL"), options.records)
    subprocess.run([sys.executable, "manage.py", "seal"], cwd=ROOT, check=True)
    console.print(f"{options.records:,} records in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
