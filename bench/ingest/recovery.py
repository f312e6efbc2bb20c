"""The queue after an outage, worked off while writers go on."""

from bench.ingest.result import Goal, Rate, Row
from bench.ingest.scene import Part, Scene
from bench.queue.outage import LIMIT_S, Outage


def measure(scene: Scene) -> Part:
    """One outage in an installation of its own; every promise is compared with the store at its end."""
    outage = Outage(scene.size.parked)
    try:
        whole = outage.run()
    finally:
        outage.fleet.stop()
    name = f"{outage.parked:,} parked, empty after PostgreSQL's return"
    remark = "" if whole else "NOT WHOLE, or too slow: see the table of the outage"
    rate = Rate("drained meanwhile, one drainer", "events/s", [outage.parked / outage.seconds])
    return Part([Row(name, "", Goal(LIMIT_S, "s", at_least=False), [outage.seconds], remark)], [rate])
