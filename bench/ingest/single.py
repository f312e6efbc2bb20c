"""Single events: beside a view that does nothing and an insert that nothing precedes, a naive build and a commit."""

import json
from collections.abc import Callable
from itertools import islice

from audit.formats import event
from bench import pgbench
from bench.ingest.result import Goal, Rate, Row
from bench.ingest.scene import CONNECTIONS, Part, Scene, Site, in_turns, ratios
from bench.load import WRITER, sample
from bench.peers.site import KINDS
from bench.wire import fire

INSERTS = 20
POST, BARE, INSERT, OTHER = "POST events", "bare DRF view", "prepared insert", "other"


def measure(scene: Scene) -> Part:
    """All of it in turns, and after each round the latency at half of what was reached in it."""
    parked, late_ms, inserted_ms = 0, [], []

    def post() -> float:
        nonlocal parked
        load = fire(ours.fleet.ingest_port, requests, seconds=scene.size.seconds, connections=CONNECTIONS)
        parked += load.statuses[202]
        return scene.kept(load)

    ours, inserts = scene.ours, inserts_of_rows()
    requests, bare = ours.single(), ours.single("/bare")
    runs: dict[str, Callable[[], float]] = {
        BARE: lambda: _rate(scene, ours, bare),
        INSERT: lambda: pgbench.rate(ours.fleet, inserts, scene.size.seconds),
        POST: post,
        **_beside(scene),
    }

    def half_of_it(rates: dict[str, list[float]]) -> None:
        rate = max(1.0, rates[POST][-1] / 2)
        port, seconds = ours.fleet.ingest_port, scene.size.seconds
        late_ms.append(fire(port, requests, seconds=seconds, connections=CONNECTIONS, rate=rate).percentile(0.99))
        inserted = pgbench.latencies(ours.fleet, inserts, seconds, rate)
        inserted_ms.append(inserted[int(len(inserted) * 0.99)])

    rates = in_turns(scene.size.rounds, runs, then=half_of_it)
    return Part(_rows(scene, rates, late_ms, inserted_ms, parked), _rates(scene, rates))


def inserts_of_rows() -> pgbench.Load:
    """Inserts of the same rows, by as many clients as there are connections, as the site's role."""
    scripts: list[str] = []
    variables: dict[str, str] = {}
    for number, document in enumerate(islice(sample(), INSERTS)):
        accepted = event.accept(document, writer=WRITER)
        row = json.loads(accepted.body) | {
            "digest": f"\\x{accepted.digest.hex()}",
            "received_at": accepted.received_at.isoformat(),
        }
        row["event_data"] = json.dumps(row["event_data"])
        del row["event_id"]
        columns, marks = ", ".join(row), ", ".join(f":e{number}_{name}" for name in row)
        scripts.append(f"INSERT INTO audit_record (id, {columns}) VALUES (uuidv7(), {marks});")
        variables |= {f"e{number}_{name}": str(value) for name, value in row.items()}
    return pgbench.Load(scripts, clients=CONNECTIONS, variables=variables, role="audit_app", jobs=2)


def _beside(scene: Scene) -> dict[str, Callable[[], float]]:
    """The runs of what is not this site."""
    runs: dict[str, Callable[[], float]] = {}
    if scene.other is not None:
        other, requests = scene.other, scene.other.single()
        runs[OTHER] = lambda: _rate(scene, other, requests)
    if scene.peers is not None:
        peers, sent = scene.peers, {kind: scene.ours.single(f"/{kind}") for kind in KINDS}
        for kind in KINDS:
            runs[kind] = lambda kind=kind: scene.kept(peers.load(kind, sent[kind], scene.size.seconds))  # type: ignore[misc]
    return runs


def _rate(scene: Scene, site: Site, requests: list[bytes]) -> float:
    return scene.kept(fire(site.fleet.ingest_port, requests, seconds=scene.size.seconds, connections=CONNECTIONS))


def _rows(
    scene: Scene, rates: dict[str, list[float]], late_ms: list[float], inserted_ms: list[float], parked: int
) -> list[Row]:
    limits = [1 / (1 / bare + 1 / insert) for bare, insert in zip(rates[BARE], rates[INSERT], strict=True)]
    remark = f"{parked} answers were 202" if parked else ""
    what = f"{POST}, {CONNECTIONS} connections"
    return [
        Row(what, "limit of view and insert", Goal(0.7), ratios(rates[POST], limits), remark),
        Row("p99 at half of that load", "", Goal(10, "ms", at_least=False), late_ms),
        Row("p99 of prepared inserts at that rate, ms", "", None, inserted_ms),
        _against(scene, rates, "naive build", "naive", 4.0, scene.not_measured.get("peers", "")),
        _against(scene, rates, scene.other_name, OTHER, 2.0, scene.not_measured.get("other", "")),
    ]


def _against(scene: Scene, rates: dict[str, list[float]], name: str, kind: str, goal: float, why: str) -> Row:
    values = ratios(rates[POST], rates[kind]) if kind in rates else []
    return Row(POST, name, Goal(goal), values, "" if values else why)


def _rates(scene: Scene, rates: dict[str, list[float]]) -> list[Rate]:
    names = {
        POST: f"{POST}, {CONNECTIONS} connections",
        BARE: "a DRF view that does nothing, on the same processes",
        INSERT: f"the same rows by prepared INSERT, {CONNECTIONS} clients of pgbench",
        OTHER: f"{POST} at {scene.other_name}",
        **KINDS,
    }
    return [Rate(names[kind], "/s", values) for kind, values in rates.items()]
