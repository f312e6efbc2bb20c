"""What is told to machines: liveness, readiness, metrics."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.admin.conftest import parked_message

ROOT = Path(__file__).parent.parent.parent


def test_the_site_is_alive_and_ready() -> None:
    assert Client().get("/livez").json() == {"status": "alive"}
    ready = Client().get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def test_the_metrics_name_the_queue_and_the_promises() -> None:
    text = Client().get("/metrics").content.decode()
    for name in ("audit_recorded_total", "audit_breaker_open", "dlq_redis_up 1.0", "dlq_depth ", "dlq_balanced "):
        assert name in text


def test_a_scrape_asks_postgresql_a_few_questions() -> None:
    Client().get("/metrics")  # the clocks were compared, and connections made
    with ExitStack() as stack:
        asked = [stack.enter_context(CaptureQueriesContext(connections[name])) for name in ("default", "reader")]
        assert "audit_log_up 1.0" in Client().get("/metrics").content.decode()
    # What waits for the account is counted in portions: a statement each, as many as other tests have left.
    portion = "SELECT (received_at AT TIME ZONE 'UTC')::date, writer, count(*)"
    statements = [query["sql"] for each in asked for query in each if not query["sql"].lstrip().startswith(portion)]
    assert len(statements) <= 29, statements


TWO_PROCESSES = """
import os, django
django.setup()
from django.test import Client

from tests.admin.conftest import parked_message
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


def test_the_status_page_needs_no_login_and_shows_nothing_of_events() -> None:
    message = parked_message()
    page = Client().get("/status").content.decode()
    assert "parked events" in page
    assert "balanced" in page
    assert message.key not in page
    assert message.source + "</td>" not in page


@pytest.mark.slow
def test_the_status_page_answers_without_postgresql_and_without_redis(postgres: Any, redis_server: Any) -> None:
    with postgres.stopped():
        page = Client().get("/status").content.decode()
        assert "parked events" in page
        assert "badge-error" in page
    with redis_server.stopped():
        assert "not readable" in Client().get("/status").content.decode()
