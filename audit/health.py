"""/livez, /readyz and /metrics."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

import dlq.durability
import dlq.errors
import dlq.gauges
import dlq.spool
import dlq.stream
from audit import gauges, metric_files
from audit.postgres import durability, gateway

log = structlog.get_logger(__name__)


def livez(request: HttpRequest) -> JsonResponse:
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
    spool = {} if settings.DLQ_SPOOL_DIR is None else {"spool": _spool()}
    return {"postgresql": _postgresql(), "redis": _redis(), **spool}


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of all processes, and of queue and log as they are now."""
    queue = CollectorRegistry()
    queue.register(dlq.gauges.QueueGauges())
    queue.register(gauges.Gauges())
    return HttpResponse(_counters() + generate_latest(queue), content_type=CONTENT_TYPE_LATEST)


def serve_metrics() -> None:
    """Serve what this process and those beside it counted on METRICS_PORT: for a service that answers no requests.

    A port that is taken is logged, and ends nothing: where several services share a host, the first serves for all.
    """
    if not settings.METRICS_PORT:
        return
    try:
        server = ThreadingHTTPServer(("0.0.0.0", settings.METRICS_PORT), _MetricsHandler)
    except OSError as error:
        log.error("metrics_not_served", port=settings.METRICS_PORT, error=str(error))
        return
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _MetricsHandler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        """Answer every path with the counters."""
        body = _counters()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape is no event."""


def _counters() -> bytes:
    """The counters of this process; of all that share PROMETHEUS_MULTIPROC_DIR, where it is set."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return bytes(generate_latest(REGISTRY))
    return metric_files.text(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))


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
