"""/livez, /readyz and /metrics."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

import dlq.durability
import dlq.errors
import dlq.gauges
import dlq.spool
import dlq.stream
from audit import gauges
from audit.postgres import durability, gateway


def livez(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "alive"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Ready while an event can be kept durably: in PostgreSQL, in Redis or in the spool. The body names each part.

    A service that took itself out of the balancer because PostgreSQL is down would make its DLQ
    unreachable in the very outage that the DLQ is for.
    """
    parts = servers()
    ready = any(part["ok"] for part in parts.values())
    status = "ready" if all(part["ok"] for part in parts.values()) else "degraded" if ready else "not ready"
    return JsonResponse({"status": status, "parts": parts}, status=200 if ready else 503)


def servers() -> dict[str, dict[str, Any]]:
    """Each server, whether it is ok, and what is wrong with it."""
    spool = {} if settings.DLQ_SPOOL_DIR is None else {"spool": _spool()}
    return {"postgresql": _postgresql(), "redis": _redis(), **spool}


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of all processes, and of queue and log as they are now."""
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        _forget_dead_processes(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = generate_latest(registry)
    else:
        text = generate_latest(REGISTRY)
    queue = CollectorRegistry()
    queue.register(dlq.gauges.QueueGauges())
    queue.register(gauges.Gauges())
    return HttpResponse(text + generate_latest(queue), content_type=CONTENT_TYPE_LATEST)


def _forget_dead_processes(folder: Path) -> None:
    """A process that was killed leaves its last gauges behind: a breaker would seem open for ever."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


def _postgresql() -> dict[str, Any]:
    breaker = gateway.gateway().breaker
    if breaker.is_open:
        return {"ok": False, "fault": f"the breaker is open: {breaker.reason}"}
    try:
        with gateway.gateway().connection(0.2) as connection:
            connection.execute("SELECT 1")
    except Exception as error:
        return {"ok": False, "fault": type(error).__name__}
    # Still ready: an event that is kept less well than it should be is better kept than refused.
    return {"ok": True, **durability.facts()}


def _spool() -> dict[str, Any]:
    return {"ok": True} if dlq.spool.has_room() else {"ok": False, "fault": "the folder is full, or cannot be written"}


def _redis() -> dict[str, Any]:
    try:
        dlq.stream.default().ping()
    except dlq.errors.Refused as error:
        return {"ok": False, "fault": type(error.__cause__ or error).__name__}
    of_redis = dlq.durability.durability()
    # Still ready: an event that is parked here is better kept than refused, and the operator is told.
    return {"ok": True, "durable": of_redis.ok, **({"findings": of_redis.findings} if of_redis.findings else {})}
