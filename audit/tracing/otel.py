"""Spans, by OpenTelemetry's SDK, and their way to a collector, by OTLP over HTTP.

Its own variables say where and how much: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME ...
Spans are sent by a thread of each process. Where nobody takes them they are dropped: nothing waits for them but the
end of a process, for TIMEOUT_S. Spans name routes, counts and outcomes: nothing of an event, of a writer or of a key.
"""

import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from audit.tracing import Request

SCOPE = "auditsite"
# How long a collector is waited for, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
TIMEOUT_S = 2.0
# Statuses from here on are our fault.
SERVER_ERROR = 500


class Tracers(NamedTuple):
    # Samples as OTEL_TRACES_SAMPLER says: by default what whoever calls has sampled, and all that begins here.
    requests: Tracer
    # Samples all: a batch is told of only where a trace was sampled that it links to.
    batches: Tracer
    processor: BatchSpanProcessor


@cache
def tracers() -> Tracers:
    """The tracers of this process; its child has the same, with a thread of its own."""
    timeout = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else TIMEOUT_S
    processor = BatchSpanProcessor(OTLPSpanExporter(timeout=timeout))
    providers = TracerProvider(resource=_resource()), TracerProvider(resource=_resource(), sampler=ALWAYS_ON)
    for provider in providers:
        provider.add_span_processor(processor)
    return Tracers(providers[0].get_tracer(SCOPE), providers[1].get_tracer(SCOPE), processor)


def _resource() -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say; the name of the process where they do not name it."""
    found = Resource.create()
    if not str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return found
    is_command = Path(sys.argv[0]).name == "manage.py" and len(sys.argv) > 1
    return found.merge(Resource({SERVICE_NAME: f"auditsite-{sys.argv[1] if is_command else settings.ROLE}"}))


class _Served(Request):
    def __init__(self, span: Span, method: str):
        self._span, self._method = span, method

    def answered(self, route: str, status: int) -> None:
        self._span.update_name(f"{self._method} /{route}" if route else self._method)
        self._span.set_attributes({"http.route": f"/{route}", "http.response.status_code": status})
        if status >= SERVER_ERROR:
            self._span.set_status(StatusCode.ERROR)


@contextmanager
def serving(method: str, traceparent: str) -> Iterator[Request]:
    """A span for a request, below the one that `traceparent` names."""
    # What this thread did before has no part in it.
    context = Context()
    if traceparent:
        context = trace.set_span_in_context(NonRecordingSpan(_context_of(traceparent)), context)
    attributes = {"http.request.method": method}
    span = tracers().requests.start_span(method, context, SpanKind.SERVER, attributes=attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield _Served(span, method)


@contextmanager
def recording(events: int) -> Iterator[str]:
    """A span for keeping so many events; its traceparent where it is sampled, else an empty text."""
    span = tracers().requests.start_span("record", attributes={"audit.events": events})
    with _ending(span):
        context = span.get_span_context()
        ids = f"{context.trace_id:032x}-{context.span_id:016x}"
        yield f"00-{ids}-01" if context.trace_flags.sampled else ""


@contextmanager
def work(name: str, traces: Sequence[str]) -> Iterator[None]:
    """A span of its own trace that links to these."""
    with _ending(_linked(name, traces)):
        yield


def tell(name: str, began_ns: int, traces: Sequence[str]) -> None:
    """The same of what is done."""
    _linked(name, traces, began_ns).end()


def log_ids(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the span of this thread, where it has one."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.update(trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}")
    return event


def _linked(name: str, traces: Sequence[str], began_ns: int | None = None) -> Span:
    links = [Link(_context_of(each)) for each in traces]
    return tracers().batches.start_span(name, Context(), SpanKind.CONSUMER, links=links, start_time=began_ns)


@contextmanager
def _ending(span: Span) -> Iterator[None]:
    """What goes wrong in it is its status; the words stay in our own log."""
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            raise


def _context_of(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
