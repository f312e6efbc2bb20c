"""What the rest of an installation costs writers: sealer, reconcile and people on the pages, beside none of them."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from bench.ingest.result import Goal, Rate, Row
from bench.ingest.scene import CONNECTIONS, Part, Scene, Site, in_turns, ratios
from bench.ledger.log import LAG, connect
from bench.pages.queue import Visitor
from bench.wire import fire

PAGES = ("/admin/", "/admin/audit/record/?q=", "/admin/audit/hourcount/", "/admin/audit/gap/", "/admin/audit/parked/")
PAGE_EVERY_S = 1.0
RECONCILE_EVERY_S = 5.0
ALONE, TOGETHER = "alone", "together"


def measure(scene: Scene) -> Part:
    """Ingest alone and in company, in turns; and how long after its commit a record is in a signed checkpoint."""
    fleet = scene.ours.fleet
    fleet.sql("ALTER SYSTEM SET track_commit_timestamp = on")
    fleet.postgres.stop()
    fleet.postgres.start()
    fleet.manage("drain_dlq")
    fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
    visitor, late_s = Visitor(fleet), list[float]()

    def together() -> float:
        with _company(scene.ours, visitor):
            began = fleet.sql("SELECT now()")[0][0]
            rate = _rate(scene)
            # By this sealer: another would begin a second later, and that is no delay of an installation's.
            fleet.wait_for_sealer()
        lags: Any = fleet.sql(LAG, began)[0][0]
        late_s.append(float(lags[1]))
        return rate

    def alone() -> float:
        fleet.seal_all()
        return _rate(scene)

    rates = in_turns(scene.size.rounds, {ALONE: alone, TOGETHER: together})
    what = "POST events with sealing, reconcile and readers"
    return Part(
        [
            Row(what, "without", Goal(0.9), ratios(rates[TOGETHER], rates[ALONE])),
            Row("commit to signed commit, p99, meanwhile", "", Goal(1, "s", at_least=False), late_s),
        ],
        [Rate(what, "/s", rates[TOGETHER]), Rate("the same without them", "/s", rates[ALONE])],
    )


def reconcile_forever() -> None:
    """Reconcile what was sealed, again and again. In a process of its own."""
    connect({})
    from audit.completeness import reconcile

    reconcile.reconcile()
    print("ready", flush=True)
    while True:
        time.sleep(RECONCILE_EVERY_S)
        reconcile.reconcile()


def _rate(scene: Scene) -> float:
    site = scene.ours
    return scene.kept(fire(site.fleet.ingest_port, site.single(), seconds=scene.size.seconds, connections=CONNECTIONS))


@contextmanager
def _company(site: Site, visitor: Visitor) -> Iterator[None]:
    """Everything else that runs in an installation, begun and caught up before writers are measured."""
    fleet = site.fleet
    script = "import bench.ingest.company as company; company.reconcile_forever()"
    reconciling = subprocess.Popen(
        [fleet.python, "-c", script], cwd=fleet.root, env=fleet.env, stdout=subprocess.PIPE, text=True
    )
    stop = threading.Event()
    reading = threading.Thread(target=_read, args=(visitor, stop))
    fleet.start_sealer()
    try:
        assert reconciling.stdout is not None
        assert reconciling.stdout.readline() == "ready\n", "reconcile did not run"
        # What writers left before is sealed in nobody's measurement, nor is the start of the sealer.
        fleet.wait_for_sealer()
        reading.start()
        yield
    finally:
        stop.set()
        if reading.is_alive():
            reading.join()
        reconciling.terminate()
        reconciling.communicate()
        fleet.stop_sealer()


def _read(visitor: Visitor, stop: threading.Event) -> None:
    """Open a page every PAGE_EVERY_S, each in turn."""
    for path in cycle(PAGES):
        visitor.get(path)
        if stop.wait(PAGE_EVERY_S):
            return
