"""`manage.py worker`: django-q2's cluster, under a watchdog that notices when it hangs.

kill -9 of one idle worker makes the cluster hang for good while its heartbeat says that it works. So the watchdog looks
at ended tasks: where none has ended for WORKER_STALE_S, though PostgreSQL is up, it kills the whole group and starts
it again. Nothing is lost by that, for django-q2 only triggers.
"""

import subprocess
import sys
import threading
import time
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand

import dlq.errors
import dlq.stream
from audit.health import serve_metrics
from audit.ingest.notify import notify_anyway
from audit.management.stopping import stop_at_signal
from audit.postgres.gateway import is_up

log = structlog.get_logger(__name__)

LOOK_S = 2.0


class Command(BaseCommand):
    help = "Run the schedule's cluster, and start it again when it hangs or ends. Ends on SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = stop_at_signal()
        serve_metrics()
        watch(stop)


class Cluster:
    """One cluster on a leash: whatever ends this process ends it, with all of its processes."""

    def __init__(self) -> None:
        self.started_at = time.time()
        command = [sys.executable, "-m", "auditsite.leash", "--", sys.executable, sys.argv[0], "qcluster"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        """Stop it; after 15 s it is killed, for orphans would keep working beside the next cluster."""
        self._process.terminate()
        self._process.wait()

    @property
    def hangs(self) -> bool:
        """Whether no task ended for long, though one could have."""
        silent_for = time.time() - max(self.started_at, last_task())
        return silent_for > settings.WORKER_STALE_S and is_up()


def watch(stop: threading.Event) -> None:
    cluster = Cluster()
    try:
        while not stop.wait(LOOK_S):
            if cluster.ended:
                log.error("queue_cluster_ended")
            elif cluster.hangs:
                log.error("queue_cluster_hung")
                notify_anyway("audit.worker", "The schedule did not tick: its cluster hung, and is started again.")
            else:
                continue
            cluster.end()
            cluster = Cluster()
    finally:
        cluster.end()


def last_task() -> float:
    """Return when a task ended last, in Unix seconds; now where Redis cannot say: the cluster is not at fault then."""
    try:
        ended = dlq.stream.for_drain().activity.beats().get("last_task_at")
    except dlq.errors.Refused:
        return time.time()
    return 0.0 if ended is None else ended.timestamp()
