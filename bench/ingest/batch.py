"""Batches and the drain, beside COPY of the same rows into the same table."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

import psycopg
import redis

from audit.formats import event
from bench.fleet import ROOT
from bench.ingest.result import Goal, Rate, Row
from bench.ingest.scene import BATCH, Part, Scene, Site, in_turns, ratios
from bench.load import WRITER, sample
from bench.wire import fire

CONNECTIONS = 4
COPY, POST, DRAIN, TWO = "COPY", "POST batch", "drain", "two drainers"
OTHER_POST, OTHER_DRAIN = "other's POST batch", "other's drain"
COPIED = ("id", "writer", *(name for name in event.FIELDS if name != "event_id"), "digest", "received_at")


class Installation(Protocol):
    """Where drainers work: with which Python, of which folder, with which settings."""

    python: str
    root: Path
    env: dict[str, str]


def measure(scene: Scene) -> Part:
    """COPY, batches over HTTP, the drain with one drainer and with two, in turns."""
    size, ours, other = scene.size, scene.ours, scene.other
    runs: dict[str, Callable[[], float]] = {
        COPY: lambda: copy_rate(ours, size.records),
        POST: lambda: batch_rate(scene, ours),
        DRAIN: lambda: drain_rate(ours, size.records),
        TWO: lambda: drain_rate(ours, size.records, drainers=2),
    }
    if other is not None:
        runs[OTHER_POST] = lambda: batch_rate(scene, other)
        runs[OTHER_DRAIN] = lambda: drain_rate(other, size.records)
    rates = in_turns(size.rounds, runs)
    rows = [
        Row(f"POST batch of {BATCH}, {CONNECTIONS} connections", "COPY", Goal(0.7), ratios(rates[POST], rates[COPY])),
        Row("drain, one drainer", "COPY", Goal(0.4), ratios(rates[DRAIN], rates[COPY])),
        Row("drain, two drainers", "COPY", Goal(0.6), ratios(rates[TWO], rates[COPY])),
    ]
    if other is not None:
        rows.append(Row(f"POST batch of {BATCH}", scene.other_name, None, ratios(rates[POST], rates[OTHER_POST])))
        rows.append(Row("drain, one drainer", scene.other_name, None, ratios(rates[DRAIN], rates[OTHER_DRAIN])))
    names = {
        COPY: f"COPY of rows that are ready, {BATCH} a transaction, 1 connection",
        POST: f"POST batch of {BATCH}, {CONNECTIONS} connections",
        DRAIN: f"drain of {size.records:,} parked, one drainer",
        TWO: f"drain of {size.records:,} parked, two drainers",
        OTHER_POST: f"POST batch of {BATCH} at {scene.other_name}",
        OTHER_DRAIN: f"drain at {scene.other_name}",
    }
    return Part(rows, [Rate(names[kind], "events/s", values) for kind, values in rates.items()])


def copy_rate(site: Site, records: int) -> float:
    """Rows a second of COPY into the table of records."""
    accepted = [event.accept(document, writer=WRITER) for document in islice(sample(), records)]
    rows = [_copy_row(each) for each in accepted]
    with psycopg.connect(site.fleet.postgres.url("audit_app", "drill"), autocommit=True) as connection:
        started = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            with connection.cursor().copy(f"COPY audit_record ({', '.join(COPIED)}) FROM STDIN") as copy:
                copy.write("".join(rows[first : first + BATCH]))
        return len(rows) / (time.perf_counter() - started)


def batch_rate(scene: Scene, site: Site) -> float:
    """Events a second in batches."""
    load = fire(site.fleet.ingest_port, site.batches(), seconds=scene.size.seconds, connections=CONNECTIONS)
    return scene.kept(load) * BATCH


def drain_rate(site: Site, records: int, *, drainers: int = 1) -> float:
    """Events a second from the queue into the store: parked while PostgreSQL is stopped, then drained in one pass."""
    depth = park(site, records)
    with ready(site.fleet, drainers) as waiting:
        return depth / max(drained(waiting))


def park(site: Site, records: int) -> int:
    """Park at least so many events while PostgreSQL is stopped; start it again, and return how many wait."""
    fleet, requests = site.fleet, site.batches(4)
    fleet.postgres.stop()
    with redis.Redis.from_url(fleet.redis.url()) as client:
        while (depth := int(client.xlen("{dlq}:s"))) < records:
            fire(fleet.ingest_port, requests, seconds=0.2, connections=2)
    fleet.postgres.start()
    return depth


@contextmanager
def ready(fleet: Installation, drainers: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Yield drainers, each of which is ready to begin, and have them end afterwards, none by itself before."""
    command = [fleet.python, str(ROOT / "bench" / "queue" / "drainer.py")]
    env = fleet.env | {"PYTHONPATH": str(fleet.root)}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    waiting = [
        subprocess.Popen(command, cwd=fleet.root, env=env, stdin=pipe, stdout=pipe, stderr=nothing, text=True)
        for _ in range(drainers)
    ]
    try:
        for process in waiting:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "a drainer did not start"
        yield waiting
    finally:
        ends = [process.communicate("end\n")[0] for process in waiting]
        assert all(said.endswith("end\n") for said in ends), "a drainer ended before it was told to"


def drained(waiting: list[subprocess.Popen[str]]) -> list[float]:
    """Have drainers that are ready begin together; return how many seconds each took. All of them run still then."""
    for process in waiting:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [_said_by(process) for process in waiting]


def _said_by(process: subprocess.Popen[str]) -> float:
    """What a drainer says that it took, last of all that its command prints."""
    assert process.stdout is not None
    for line in process.stdout:
        said, _, seconds = line.partition(" ")
        if said == "drained":
            return float(seconds)
    raise AssertionError("a drainer ended before it had drained")


def _copy_row(accepted: event.Accepted) -> str:
    document = json.loads(accepted.body) | {"id": str(accepted.id), "digest": f"\\x{accepted.digest.hex()}"}
    document |= {
        "received_at": accepted.received_at.isoformat(),
        "event_data": json.dumps(document["event_data"]),
    }
    values = [document.get(name) for name in COPIED]
    return "\t".join("\\N" if v is None else str(v).replace("\\", "\\\\") for v in values) + "\n"
