"""The commands that run a store."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django_q.models import Schedule

import dlq.stream
from audit import tasks
from audit.formats.event import accept
from audit.ingest import trail
from audit.ingest.record import _park
from audit.models import OWN_WRITER, LegalHold, Record, RedactionRule, Report, Review
from audit.postgres.faults import Fault
from audit.queue import drain
from bench.ports import free_port
from tests.attacks.scene import Scene
from tests.audit.conftest import an_event

ROOT = Path(__file__).parents[3]


def test_partitions_are_made_ahead_and_made_once() -> None:
    tasks.make_partitions()
    assert tasks.make_partitions() == 0


def test_the_schedules_are_there_and_name_functions_that_exist() -> None:
    for name, (function, _, _) in tasks.SCHEDULES.items():
        assert Schedule.objects.get(name=name).func == function
        assert callable(getattr(tasks, function.rpartition(".")[2]))


def test_a_tick_drains_and_leaves_a_sign_of_life(own_queue: None) -> None:
    accepted = accept(an_event(), writer="tests")
    _park([accepted], Fault.DOWN)
    assert "stored" in tasks.tick()
    assert Record.objects.filter(id=accepted.id).exists()
    assert "last_tick_at" in dlq.stream.default().activity.beats()


def test_samples_are_loaded_only_into_an_empty_store() -> None:
    accepted = accept(an_event(), writer="tests")
    drain.store_promised([accepted], timeout_s=20)
    out = StringIO()
    call_command("loadsample", stdout=out)
    assert "nothing was loaded" in out.getvalue()


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.slow
def test_the_watcher_drains_shows_what_it_counts_and_ends_at_sigterm_with_nothing_leased(
    own_queue: None, tmp_path: Path
) -> None:
    accepted = [accept(an_event(), writer="tests") for _ in range(20)]
    _park(accepted, Fault.DOWN)
    port = free_port()
    own = {"METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DLQ_PREFIX": settings.DLQ_PREFIX}
    watcher = subprocess.Popen([sys.executable, "manage.py", "drain_dlq", "--watch"], cwd=ROOT, env=os.environ | own)
    try:
        deadline = time.monotonic() + 60
        while Record.objects.filter(id__in=[one.id for one in accepted]).count() < 20:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        while not (counted := re.search(r'dlq_drained_total{outcome="drained"} (\d+)', scraped(port))):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert int(counted[1]) >= 20
    finally:
        watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(timeout=60) == 0
    assert dlq.stream.default().totals.stats().leased == 0
    assert "last_watch_at" in dlq.stream.default().activity.beats()


@pytest.mark.slow
def test_the_sample_is_loaded_beside_the_records_that_the_store_makes_of_itself(postgres: Any, tmp_path: Path) -> None:
    scene = Scene(postgres.url(), tmp_path)
    try:
        scene.build(batches=0)
        with scene.fresh():
            trail.add("audit.sealkey.created", actor="somebody", correlation="sealkey")
            call_command("loadsample", stdout=StringIO())
            assert Record.objects.exclude(writer=OWN_WRITER).count() > 500
            while Report.next_pending() is not None:
                tasks.go_on_with_reports()
            found = [kind.objects.count() for kind in (Review, LegalHold, RedactionRule)]
            assert (found, Report.objects.get().state) == ([1, 1, 1], "ready")
    finally:
        scene.stop()
