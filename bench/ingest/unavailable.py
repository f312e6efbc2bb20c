"""202 while PostgreSQL is stopped, or hangs, beside 201 while it runs."""

from collections.abc import Callable

from bench.ingest.result import Goal, Rate, Row
from bench.ingest.scene import Part, Scene, ratios
from bench.wire import Load, fire

# So many that the queue before a saturated server is not what is measured.
CONNECTIONS = 8


def measure(scene: Scene) -> Part:
    """Each way of failing in turn with PostgreSQL running, measured from the moment that it fails."""
    postgres = scene.ours.fleet.postgres
    rows, rates = [], []
    for name, fail, mend in (
        ("stopped", postgres.stop, postgres.start),
        ("hung", postgres.freeze, postgres.thaw),
    ):
        stored, parked = zip(*(_round(scene, fail, mend) for _ in range(scene.size.rounds)), strict=True)
        stored_rates, parked_rates = [scene.kept(load) for load in stored], [scene.kept(load) for load in parked]
        what, late_ms = f"202, PostgreSQL {name}", [load.percentile(0.99) for load in parked]
        rows += [
            Row(what, "201", Goal(0.8), ratios(parked_rates, stored_rates)),
            Row(f"{what}: p99", "", Goal(50, "ms", at_least=False), late_ms),
            Row(f"{what}: worst", "", Goal(300, "ms", at_least=False), [load.worst for load in parked]),
        ]
        rates += [
            Rate(f"201, {CONNECTIONS} connections, before PostgreSQL is {name}", "/s", stored_rates),
            Rate(f"202, {CONNECTIONS} connections, PostgreSQL {name}", "/s", parked_rates),
        ]
    return Part(rows, rates)


def _round(scene: Scene, fail: Callable[[], None], mend: Callable[[], None]) -> tuple[Load, Load]:
    fleet, requests = scene.ours.fleet, scene.ours.single()
    stored = fire(fleet.ingest_port, requests, seconds=scene.size.seconds, connections=CONNECTIONS)
    fail()
    try:
        parked = fire(fleet.ingest_port, requests, seconds=scene.size.seconds, connections=CONNECTIONS)
    finally:
        mend()
    fleet.manage("drain_dlq")
    return stored, parked
