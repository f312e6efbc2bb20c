"""What is told to machines: liveness, readiness, metrics."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

ROOT = Path(__file__).parent.parent.parent


def test_the_site_is_alive_and_ready() -> None:
    assert Client().get("/livez").json() == {"status": "alive"}
    ready = Client().get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def test_the_metrics_name_the_queue_and_the_promises() -> None:
    text = Client().get("/metrics").content.decode()
    for name in ("audit_recorded_total", "audit_breaker_open", "dlq_redis_up 1.0", "dlq_depth ", "dlq_balanced "):
        assert name in text


TWO_PROCESSES = """
import os, django
django.setup()
from django.test import Client
from audit import metrics
if os.fork() == 0:
    metrics.recorded.labels(state="stored").inc(3)
    metrics.breaker_open.set(1)
    os._exit(0)
os.wait()
metrics.recorded.labels(state="stored").inc(4)
metrics.breaker_open.set(0)
text = Client().get("/metrics", headers={"host": "localhost"}).content.decode()
assert 'audit_recorded_total{state="stored"} 7.0' in text, text
assert "audit_breaker_open 0.0" in text, text
"""


@pytest.mark.slow
def test_metrics_of_all_processes_are_added_up_and_the_dead_are_not_live(tmp_path: Path) -> None:
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "auditsite.settings"}
    done = subprocess.run([sys.executable, "-c", TWO_PROCESSES], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
