"""The cache and the queue of django-q2 are opened as the queue of events is: on a cluster, under one hash tag each."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dlq.fleets import Cluster

SCRIPT = """
import django
django.setup()
from django.core.cache import cache
from django_q.brokers import get_broker
from django_q.status import Stat
from audit.access import limits
cache.set("name", "value", 60)
assert cache.get("name") == "value", cache.get("name")
broker = get_broker()
broker.enqueue("task")
broker.set_stat("django_q:{auditsite}:cluster:one", "1", 60)
assert broker.get_stats("django_q:{auditsite}:cluster:*") == [b"1"]
assert broker.queue_size() == 1 and broker.dequeue()[0][1] == b"task" and broker.ping()
limits.count("payments", 3, 5)
assert limits.usage("payments") == (3, 5, 0), limits.usage("payments")
print("all of it")
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.mark.slow
def test_cache_tasks_and_limits_work_on_a_cluster(cluster: Cluster) -> None:
    addresses = dict.fromkeys(("REDIS_URL", "CACHE_URL", "QUEUE_URL"), cluster.url)
    environment = os.environ | addresses | {"DJANGO_SETTINGS_MODULE": "auditsite.settings"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("all of it\n", 0), done.stderr
