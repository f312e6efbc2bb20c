"""What following a request costs, in processor time of the process that serves it, exporting included.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python -m auditsite.offline python -m bench.ingest.traced

Needs no server of ours: it measures what tracing adds to a request, beside nothing at all. Whoever listens at the
endpoint is another process: `python -m bench.ingest.traced --collect 4318` reads what it is sent and keeps nothing.
"""

import argparse
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Any

import django

ROUNDS, REQUESTS = 5, 3_000
TRACEPARENT = f"00-{'1' * 32}-{'2' * 16}-"


class Sink(BaseHTTPRequestHandler):
    """Takes what is posted."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def microseconds(flags: str) -> float:
    """Processor time of a request with one event; nothing is traced where `flags` are empty."""
    from django.conf import settings

    from audit import tracing

    settings.TRACING = bool(flags)
    keep = tracing.recording(len)
    began = time.process_time()
    for _ in range(REQUESTS):
        with tracing.serving("POST", TRACEPARENT + flags) as span:
            keep([])
            span.answered("api/v1/audit/events", 201)
    if flags:
        from audit.tracing import otel

        otel.tracers().processor.force_flush()
    return (time.process_time() - began) / REQUESTS * 1e6


def main() -> int:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest.traced")
    parser.add_argument("--collect", type=int, help="be the collector, at this port")
    if port := parser.parse_args().collect:
        ThreadingHTTPServer(("127.0.0.1", port), Sink).serve_forever()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    django.setup()
    kinds = {"nothing is traced": "", "a request that is not sampled": "00", "one that is": "01"}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, flags in kinds.items():
            found[name].append(microseconds(flags))
    for name, values in found.items():
        print(f"{name}: {median(values):.1f} µs ({min(values):.1f} to {max(values):.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
