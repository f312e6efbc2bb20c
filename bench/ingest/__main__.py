"""`make bench SHARE=1`: what each part reaches, beside its ceiling on the same machine in the same run."""

import argparse
import json
import time
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import psycopg
import redis
from rich.console import Console
from rich.table import Table

from audit.formats import event
from bench.fleet import Fleet
from bench.load import EVENTS, WRITER, median, sample
from bench.wire import Load, fire, request

BATCH = 500
console = Console()


class Size(NamedTuple):
    """How much is measured."""

    seconds: float = 6.0
    rounds: int = 3
    # As many are copied, and parked, at a time.
    records: int = 10_000

    @classmethod
    def of(cls, share: float) -> "Size":
        """A share of a whole bench; less than all of it in one round."""
        whole = cls()
        return whole if share >= 1 else cls(whole.seconds * share, 1, max(BATCH, int(whole.records * share)))


def measure_single(fleet: Fleet, key: str, size: Size) -> list[tuple[str, ...]]:
    """Single events against a view that does nothing, turn about."""
    bodies = [json.dumps(document).encode() for document in islice(sample(), 200)]
    bare = [request("/bare", body, key) for body in bodies]
    real = [request(EVENTS, body, key) for body in bodies]
    fire(fleet.port, real, seconds=size.seconds / 3)
    pairs = [tuple(fire(fleet.port, sent, seconds=size.seconds) for sent in (bare, real)) for _ in range(size.rounds)]
    assert all(load.statuses.keys() <= {201, 202} for pair in pairs for load in pair)
    parked = sum(load.statuses[202] for _, load in pairs)
    ratio = median(real.rate / bare.rate for bare, real in pairs)
    return [
        _row("bare DRF view", [bare for bare, _ in pairs], ""),
        _row(f"POST events ({parked} of them 202)", [real for _, real in pairs], f"{ratio:.2f} of bare"),
    ]


def measure_batch(fleet: Fleet, key: str, size: Size) -> list[tuple[str, ...]]:
    """Batches over HTTP, and the drain, against COPY of the same rows into the same table, turn about."""
    rates: dict[str, list[float]] = {"COPY": [], "batch": [], "drain": []}
    for _ in range(size.rounds):
        rates["COPY"].append(_copy(fleet, size))
        rates["batch"].append(_batches(fleet, key, size))
        rates["drain"].append(_drain(fleet, key, size))
    ceiling = median(rates["COPY"])
    names = {
        "COPY": "COPY, rows ready, 1 connection",
        "batch": f"POST batch of {BATCH}, 4 connections",
        "drain": f"drain of {size.records} parked, 1 drainer",
    }
    return [
        (names[kind], f"{median(found):,.0f} events/s", "", "", f"{median(found) / ceiling:.2f} of COPY")
        for kind, found in rates.items()
    ]


def measure_outage(fleet: Fleet, key: str, size: Size) -> list[tuple[str, ...]]:
    """How long a 202 takes from the moment that PostgreSQL stops, and hangs; eight senders, so that the queue
    before the saturated server is not what is measured."""
    requests = [request(EVENTS, json.dumps(document).encode(), key) for document in islice(sample(), 200)]
    rows = []
    for name, fail, mend in (
        ("202, PostgreSQL stopped", fleet.postgres.stop, fleet.postgres.start),
        ("202, PostgreSQL hung", fleet.postgres.freeze, fleet.postgres.thaw),
    ):
        load = _during(fleet, requests, fail, size)
        mend()
        rows.append(_row(name, [load], f"worst {max(load.latencies) * 1000:.0f} ms"))
        fleet.manage("drain_dlq")
    return rows


def _during(fleet: Fleet, requests: list[bytes], fail: Callable[[], None], size: Size) -> Load:
    fire(fleet.port, requests, seconds=size.seconds / 6)
    fail()
    load = fire(fleet.port, requests, seconds=size.seconds, connections=8)
    assert load.statuses.keys() == {202}, load.statuses
    return load


def _copy(fleet: Fleet, size: Size) -> float:
    accepted = [event.accept(document, writer=WRITER) for document in islice(sample(), size.records)]
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


def _batches(fleet: Fleet, key: str, size: Size) -> float:
    bodies = [json.dumps(list(islice(sample(), BATCH))).encode() for _ in range(8)]
    load = fire(
        fleet.port, [request(f"{EVENTS}/batch", body, key) for body in bodies], seconds=size.seconds, connections=4
    )
    assert load.statuses.keys() == {201}, load.statuses
    return load.rate * BATCH


def _drain(fleet: Fleet, key: str, size: Size) -> float:
    """Park events while PostgreSQL is stopped, then one pass of `drain_dlq`."""
    requests = [request(f"{EVENTS}/batch", json.dumps(list(islice(sample(), BATCH))).encode(), key) for _ in range(4)]
    fleet.postgres.stop()
    with redis.Redis.from_url(fleet.redis.url()) as client:
        while (depth := int(client.xlen("{dlq}:s"))) < size.records:
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
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--share", type=float, default=1.0, help="of a whole bench")
    size = Size.of(parser.parse_args().share)
    fleet = Fleet(drainers=0, application="bench.wsgi:application")
    try:
        fleet.start()
        key = fleet.new_writer()
        measures = (measure_single, measure_outage, measure_batch)
        rows = [row for measure in measures for row in measure(fleet, key, size)]
    finally:
        fleet.stop()
    table = Table(title=f"median of {size.rounds}; only the ratios travel between machines")
    for column in ("what", "rate", "p50 ms", "p99 ms", "beside"):
        table.add_column(column, justify="left" if column in ("what", "beside") else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
