"""`make bench-log SHARE=1`: how fast records are sealed, how late, what it costs writers, and how fast all is verified.

python -m bench.ledger.log [--share 1] [rate] [ingest] [verify] [proof] [chains]     all of them where none is named
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from audit.formats import event
from bench import pgbench
from bench.fleet import ROOT, Fleet
from bench.load import EVENTS, WRITER, median, sample, wait_until
from bench.wire import fire, request

STEPS, BATCH = 10, 1_000
WRITERS = (1, 8, 32)
console = Console(width=None if sys.stdout.isatty() else 150)

# From commit to commit: what a reader of the store could have seen.
LAG = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM
    pg_xact_commit_timestamp(c.xmin) - pg_xact_commit_timestamp(r.xmin))::float8)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
CROSS JOIN LATERAL (SELECT xmin FROM audit_checkpoint WHERE size > l.index ORDER BY size LIMIT 1) c
WHERE r.stored_at > %s
"""
CHAIN_TABLE = """
CREATE TABLE IF NOT EXISTS chain (
    n bigint GENERATED ALWAYS AS IDENTITY, id uuid PRIMARY KEY DEFAULT uuidv7(), correlation text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(), body jsonb NOT NULL, previous bytea, hash bytea);
CREATE INDEX IF NOT EXISTS chain_correlation ON chain (correlation, n DESC);
"""
BODY = json.dumps({"text": "x" * 900, "n": 1})
SCRIPTS = {
    "plain insert": f"INSERT INTO chain (correlation, body) VALUES ('rr-' || :c, '{BODY}');",
    "insert + queue, live sealer (ours)": f"""
WITH stored AS (INSERT INTO chain (correlation, body, hash) VALUES ('rr-' || :c, '{BODY}', sha256('{BODY}'))
    RETURNING id, hash, at)
INSERT INTO audit_unsealed SELECT id, audit_leaf_hash(id, hash, at, NULL, at), at FROM stored;""",
    "advisory lock + previous hash": f"""
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('rr-' || :c));
INSERT INTO chain (correlation, body, previous, hash)
SELECT 'rr-' || :c, '{BODY}', p.hash, sha256(coalesce(p.hash, '') || '{BODY}'::bytea)
FROM (SELECT (SELECT hash FROM chain WHERE correlation = 'rr-' || :c ORDER BY n DESC LIMIT 1)) p(hash);
COMMIT;""",
}


FILL_QUEUE = "INSERT INTO audit_unsealed SELECT uuidv7(), sha256(int8send(g)), now() FROM generate_series(1, %s) g"


class Size(NamedTuple):
    """How much is measured."""

    step: int = 1_000_000
    """Leaves in each of the steps in which the log grows."""
    records: int = 1_000_000
    seconds: float = 8.0
    rounds: int = 3
    chain_seconds: int = 5

    @classmethod
    def of(cls, share: float) -> "Size":
        """A share of a whole bench; less than all of it in one round."""
        if share >= 1:
            return cls()
        whole = cls()
        few = max(int(whole.step * share), BATCH)
        return cls(few, few, whole.seconds * share, 1, max(1, int(whole.chain_seconds * share)))


class LogFleet(Fleet):
    """An installation whose sealer is started when it is wanted."""

    def __init__(self, size: Size) -> None:
        # The lag to each signed head is measured, so each stays.
        super().__init__(drainers=0, SEAL_KEEP_S="0")
        self.size = size


def measure_rate(fleet: LogFleet) -> list[tuple[str, ...]]:
    """Leaves a second while the log grows: records that wait, and one sealer."""
    rates, step = [], fleet.size.step
    for _ in range(STEPS):
        fleet.sql(FILL_QUEUE, step)
        started = time.perf_counter()
        fleet.manage("seal")
        rates.append(step / (time.perf_counter() - started))
        console.print(f"  {len(rates) * step:,} leaves: {rates[-1]:,.0f}/s")
    rows = [("seal, median over the growth", f"{median(rates):,.0f} leaves/s", f"slowest step {min(rates):,.0f}")]
    return [*rows, ("seal, last step", f"{rates[-1]:,.0f} leaves/s", f"{rates[-1] / rates[0]:.2f} of the first")]


def measure_proof(fleet: LogFleet) -> list[tuple[str, ...]]:
    """One inclusion proof out of all, the part that the database does and the whole."""
    from audit.formats import merkle, tiles
    from audit.ledger import reader

    size = fleet.number("SELECT max(size) FROM audit_checkpoint")
    spans = [merkle.inclusion_spans(random.randrange(size), size) for _ in range(300)]
    for place in spans[:20]:
        reader.hashes(tiles.runs(place))
    in_database, whole = [], []
    for place in spans:
        started = time.perf_counter()
        look_up = reader.hashes(tiles.runs(place))
        in_database.append((time.perf_counter() - started) * 1000)
        for span in place:
            tiles.span_hash(span, look_up)
        whole.append((time.perf_counter() - started) * 1000)
    worst = sorted(in_database)[int(len(spans) * 0.99)]
    return [
        (f"inclusion proof of {size:,}, reading", f"{median(in_database):.2f} ms", f"p99 {worst:.2f} ms"),
        (f"inclusion proof of {size:,}, whole", f"{median(whole):.2f} ms", ""),
    ]


def measure_ingest(fleet: LogFleet) -> list[tuple[str, ...]]:
    """Single events over HTTP with the sealer and without, turn about; and how late records are covered."""
    fleet.sql("ALTER SYSTEM SET track_commit_timestamp = on")
    fleet.postgres.stop()
    fleet.postgres.start()
    key = fleet.new_writer()
    single = [request(EVENTS, json.dumps(document).encode(), key) for document in islice(sample(), 200)]
    rates: dict[bool, list[float]] = {True: [], False: []}
    fire(fleet.port, single, seconds=fleet.size.seconds / 3)
    for _ in range(fleet.size.rounds):
        for sealing in (False, True):
            fleet.seal_all()
            if sealing:
                fleet.start_sealer()
                time.sleep(2)
            load = fire(fleet.port, single, seconds=fleet.size.seconds)
            assert load.statuses.keys() <= {201, 202}, load.statuses
            rates[sealing].append(load.rate)
            if sealing:
                fleet.stop_sealer()
    on, off = median(rates[True]), median(rates[False])
    ratio = median(one / two for one, two in zip(rates[True], rates[False], strict=True))
    rows = [("POST, sealer off / on", f"{off:,.0f} / {on:,.0f} /s", f"{ratio:.3f} kept")]
    return [*rows, *_lag(fleet, single, "single events"), *_lag_of_batches(fleet, key)]


def _lag_of_batches(fleet: LogFleet, key: str) -> list[tuple[str, ...]]:
    bodies = [json.dumps(list(islice(sample(), 500))).encode() for _ in range(8)]
    return _lag(fleet, [request(f"{EVENTS}/batch", body, key) for body in bodies], "batches of 500")


def _lag(fleet: LogFleet, requests: list[bytes], what: str) -> list[tuple[str, ...]]:
    fleet.seal_all()
    fleet.start_sealer()
    time.sleep(2)
    before = fleet.number("SELECT count(*) FROM audit_leaf")
    began = fleet.sql("SELECT now()")[0][0]
    started = time.perf_counter()
    fire(fleet.port, requests, seconds=fleet.size.seconds, connections=16 if "single" in what else 4)
    wait_until(lambda: not fleet.number("SELECT count(*) FROM audit_unsealed"), seconds=60, what="the sealer")
    rate = (fleet.number("SELECT count(*) FROM audit_leaf") - before) / (time.perf_counter() - started)
    fleet.stop_sealer()
    lags: Any = fleet.sql(LAG, began)[0][0]
    return [(f"lag, {what} at {rate:,.0f}/s", f"p50 {lags[0]:.2f} s, p99 {lags[1]:.2f} s", "commit to signed commit")]


def measure_verify(fleet: LogFleet) -> list[tuple[str, ...]]:
    """All of a million records recomputed, with everything that holds them."""
    fill(fleet, fleet.size.records - fleet.number("SELECT count(*) FROM audit_record"))
    fleet.seal_all()
    fleet.sql("VACUUM ANALYZE")
    seconds, peak, printed = run_measured([sys.executable, "manage.py", "verify"], fleet.env)
    assert printed.rstrip().endswith("VERIFIED"), printed
    size = fleet.number("SELECT max(size) FROM audit_checkpoint")
    what = f"verify all of {size:,} records"
    return [(what, f"{seconds:.1f} s", f"{size / seconds:,.0f} records/s, peak {peak / 1024:.0f} MB")]


def run_measured(command: list[str], env: dict[str, str]) -> tuple[float, int, str]:
    """Seconds, peak memory of the largest process in KiB, and what was printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.stdout


def fill(fleet: LogFleet, count: int) -> None:
    """Store so many sample events, with two processes."""
    console.print(f"  storing {count:,} records")
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, initializer=connect, initargs=(fleet.env,)) as pool:
        for _ in pool.imap_unordered(_fill, [BATCH] * (count // BATCH)):
            pass


def connect(env: dict[str, str]) -> None:
    os.environ |= env
    import django

    django.setup()


def _fill(count: int) -> None:
    from audit.ingest.record import store

    store([event.accept(document, writer=WRITER) for document in islice(sample(), count)], timeout_s=60)


def measure_chains(fleet: LogFleet) -> list[tuple[str, ...]]:
    """Our way beside the one that others take, at several numbers of writers, on one and on many correlations."""
    fleet.sql(CHAIN_TABLE)
    rows = []
    for many in (1, 10_000):
        for writers in WRITERS:
            rates = {name: _pgbench(fleet, script, writers, many) for name, script in SCRIPTS.items()}
            base = rates["plain insert"]
            kind = "one correlation" if many == 1 else "many correlations"
            cells = [f"{rate:,.0f}/s = {rate / base:.2f}" for rate in rates.values()]
            rows.append((f"{kind}, {writers} writers", *cells))
    return rows


def _pgbench(fleet: LogFleet, script: str, writers: int, correlations: int) -> float:
    fleet.sql("TRUNCATE chain")
    ours = "audit_unsealed" in script
    if ours:
        fleet.start_sealer()
    scripts = [f"\\set c random(1, {correlations})\n{script}"]
    rate = pgbench.rate(fleet, pgbench.Load(scripts, clients=writers), fleet.size.chain_seconds)
    if ours:
        fleet.stop_sealer()
    return rate


PARTS: dict[str, Callable[[LogFleet], list[tuple[str, ...]]]] = {
    "ingest": measure_ingest,
    "verify": measure_verify,
    "chains": measure_chains,
    "rate": measure_rate,
    "proof": measure_proof,
}


def main() -> None:
    """Measure what is wanted, in the order above: what fills the log with leaves of no records comes last."""
    parser = argparse.ArgumentParser(prog="python -m bench.log")
    parser.add_argument("--share", type=float, default=1.0, help="of a whole bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them where none is named")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    fleet = LogFleet(Size.of(options.share))
    try:
        fleet.start()
        os.environ |= fleet.env
        import django

        django.setup()
        for name, measure in PARTS.items():
            if not options.parts or name in options.parts:
                console.print(f"[bold]{name}[/bold]")
                _print(name, measure(fleet))
    finally:
        fleet.stop()


def _print(name: str, rows: list[tuple[str, ...]]) -> None:
    columns = ("writers", *SCRIPTS) if name == "chains" else ("what", "measured", "beside")
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
