"""`make bench`: what each part reaches, beside its ceiling on the same machine in the same run."""

import json
import time
from collections.abc import Callable
from itertools import islice

import psycopg
import redis
from rich.console import Console
from rich.table import Table

from audit.formats import event
from bench.fleet import Fleet
from bench.load import EVENTS, WRITER, median, sample
from bench.wire import Load, fire, request

SECONDS = 6.0
ROUNDS = 3
BATCH = 500
PARKED = 10_000
console = Console()


def measure_single(fleet: Fleet, key: str) -> list[tuple[str, ...]]:
    """Single events against a view that does nothing, turn about."""
    bodies = [json.dumps(document).encode() for document in islice(sample(), 200)]
    bare = [request("/bare", body, key) for body in bodies]
    real = [request(EVENTS, body, key) for body in bodies]
    fire(fleet.port, real, seconds=2)
    pairs = [(fire(fleet.port, bare, seconds=SECONDS), fire(fleet.port, real, seconds=SECONDS)) for _ in range(ROUNDS)]
    assert all(load.statuses.keys() <= {201, 202} for pair in pairs for load in pair)
    parked = sum(load.statuses[202] for _, load in pairs)
    ratio = median(real.rate / bare.rate for bare, real in pairs)
    return [
        _row("bare DRF view", [bare for bare, _ in pairs], ""),
        _row(f"POST events ({parked} of them 202)", [real for _, real in pairs], f"{ratio:.2f} of bare"),
    ]


def measure_batch(fleet: Fleet, key: str) -> list[tuple[str, ...]]:
    """Batches over HTTP, and the drain, against COPY of the same rows into the same table, turn about."""
    rates: dict[str, list[float]] = {"COPY": [], "batch": [], "drain": []}
    for _ in range(ROUNDS):
        rates["COPY"].append(_copy(fleet))
        rates["batch"].append(_batches(fleet, key))
        rates["drain"].append(_drain(fleet, key))
    ceiling = median(rates["COPY"])
    names = {
        "COPY": "COPY, rows ready, 1 connection",
        "batch": f"POST batch of {BATCH}, 4 connections",
        "drain": f"drain of {PARKED} parked, 1 drainer",
    }
    return [
        (names[kind], f"{median(found):,.0f} events/s", "", "", f"{median(found) / ceiling:.2f} of COPY")
        for kind, found in rates.items()
    ]


def measure_outage(fleet: Fleet, key: str) -> list[tuple[str, ...]]:
    """How long a 202 takes from the moment that PostgreSQL stops, and hangs; eight senders, so that the queue
    before the saturated server is not what is measured."""
    requests = [request(EVENTS, json.dumps(document).encode(), key) for document in islice(sample(), 200)]
    rows = []
    for name, fail, mend in (
        ("202, PostgreSQL stopped", fleet.postgres.stop, fleet.postgres.start),
        ("202, PostgreSQL hung", fleet.postgres.freeze, fleet.postgres.thaw),
    ):
        load = _during(fleet, requests, fail)
        mend()
        rows.append(_row(name, [load], f"worst {max(load.latencies) * 1000:.0f} ms"))
        fleet.manage("drain_dlq")
    return rows


def _during(fleet: Fleet, requests: list[bytes], fail: Callable[[], None]) -> Load:
    fire(fleet.port, requests, seconds=1)
    fail()
    load = fire(fleet.port, requests, seconds=SECONDS, connections=8)
    assert load.statuses.keys() == {202}, load.statuses
    return load


def _copy(fleet: Fleet) -> float:
    accepted = [event.accept(document, writer=WRITER) for document in islice(sample(), 10_000)]
    rows = [_copy_row(one) for one in accepted]
    with psycopg.connect(fleet.postgres.url("audit_app", "drill"), autocommit=True) as connection:
        started = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            with connection.cursor().copy(f"COPY audit_record ({', '.join(COPIED)}) FROM STDIN") as copy:
                copy.write("".join(rows[first : first + BATCH]))
        return len(rows) / (time.perf_counter() - started)


COPIED = ("id", "writer", *(name for name in event.FIELDS if name != "event_id"), "digest", "received_at")


def _copy_row(accepted: event.Accepted) -> str:
    document = json.loads(accepted.body) | {"id": str(accepted.id), "digest": f"\\x{accepted.digest.hex()}"}
    document |= {
        "received_at": accepted.received_at.isoformat(),
        "event_data": json.dumps(document["event_data"]),
    }
    values = [document.get(name) for name in COPIED]
    return "\t".join("\\N" if v is None else str(v).replace("\\", "\\\\") for v in values) + "\n"


def _batches(fleet: Fleet, key: str) -> float:
    bodies = [json.dumps(list(islice(sample(), BATCH))).encode() for _ in range(8)]
    load = fire(fleet.port, [request(f"{EVENTS}/batch", body, key) for body in bodies], seconds=SECONDS, connections=4)
    assert load.statuses.keys() == {201}, load.statuses
    return load.rate * BATCH


def _drain(fleet: Fleet, key: str) -> float:
    """Park PARKED events while PostgreSQL is stopped, then one pass of `drain_dlq`."""
    requests = [request(f"{EVENTS}/batch", json.dumps(list(islice(sample(), BATCH))).encode(), key) for _ in range(4)]
    fleet.postgres.stop()
    with redis.Redis.from_url(fleet.redis.url()) as client:
        while (depth := int(client.xlen("{dlq}:s"))) < PARKED:
            fire(fleet.port, requests, seconds=0.05, connections=1)
    fleet.postgres.start()
    printed = fleet.manage("drain_dlq")
    seconds = float(printed.split("(")[1].split(" s")[0])
    return depth / seconds


def _row(name: str, loads: list[Load], remark: str) -> tuple[str, ...]:
    p50, p99 = (median(load.percentile(share) for load in loads) for share in (0.5, 0.99))
    return name, f"{median(load.rate for load in loads):,.0f} /s", f"{p50:.1f}", f"{p99:.1f}", remark


def main() -> None:
    """Measure all, print one table."""
    fleet = Fleet(drainers=0, application="bench.wsgi:application")
    try:
        fleet.start()
        key = fleet.new_writer()
        rows = [*measure_single(fleet, key), *measure_outage(fleet, key), *measure_batch(fleet, key)]
    finally:
        fleet.stop()
    table = Table(title=f"medians of {ROUNDS} rounds; only the ratios travel between machines")
    for column in ("what", "rate", "p50 ms", "p99 ms", "beside"):
        table.add_column(column, justify="left" if column in ("what", "beside") else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
