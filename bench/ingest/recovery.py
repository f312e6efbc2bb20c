"""The queue after an outage, worked off while writers go on."""

from bench.ingest.result import Goal, Rate, Row
from bench.ingest.scene import Part, Scene
from bench.queue.outage import LIMIT_S, Outage


def measure(scene: Scene) -> Part:
    """One outage in an installation of its own; every promise is compared with the store at its end."""
    outage = Outage(scene.size.parked)
    try:
        outage.run()
    finally:
        outage.fleet.stop()
    verdict = outage.verdict
    broken = len(verdict.lost) + verdict.duplicated + len(verdict.altered) + (verdict.verification != "VERIFIED")
    what = f"{outage.parked:,} parked, empty after PostgreSQL's return"
    rows = [
        Row(what, "", Goal(LIMIT_S, "s", at_least=False), [outage.seconds]),
        Row("events lost, doubled or altered by that", "", Goal(0, at_least=False), [broken]),
    ]
    return Part(rows, [Rate("drained meanwhile, one drainer", "events/s", [outage.parked / outage.seconds])])
