"""tracing: follow an event through the processes, with OpenTelemetry, where somebody asks for it.

otel    everything that knows OpenTelemetry; imported only where traces are asked for (settings.TRACING)

A writer's request has a span within the trace that its `traceparent` names, and recording another in it. The event
carries this trace to the queue and to the sealer, beside what is hashed and signed; spans of batches, of drain and
seal, have it as a link, for they are of many traces. Whatever is here does nothing while nothing is traced.
"""

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import msgspec
from django.conf import settings

from audit.formats.event import Accepted

# So many links a span may have, unless OpenTelemetry is told otherwise.
MOST_LINKS = 128
Result = TypeVar("Result")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


class Request:
    """The span of a request; this one is of none."""

    def answered(self, route: str, status: int) -> None:
        """Say which route it had, and the status of its answer."""


@contextmanager
def serving(method: str, traceparent: str) -> Iterator[Request]:
    """Serve a request within the trace that `traceparent` names, or one of its own."""
    if not settings.TRACING:
        yield Request()
        return
    from audit.tracing import otel

    with otel.serving(method, known(traceparent.encode(errors="replace"))) as request:
        yield request


def recording(record: Callable[[Sequence[Accepted]], Result]) -> Callable[[Sequence[Accepted]], Result]:
    """Decorate what keeps events: it has a span, and the events carry its trace on, where that is sampled."""

    @wraps(record)
    def traced(events: Sequence[Accepted]) -> Result:
        if not settings.TRACING:
            return record(events)
        from audit.tracing import otel

        with otel.recording(len(events)) as trace:
            return record([msgspec.structs.replace(event, trace=trace) for event in events] if trace else events)

    return traced


@contextmanager
def work(name: str, traces: Iterable[str]) -> Iterator[None]:
    """Do something for many events, in a span that links to the traces that brought them; in none without any."""
    if settings.TRACING and (linked := _some(traces)):
        from audit.tracing import otel

        with otel.work(name, linked):
            yield
    else:
        yield


def tell(name: str, began_ns: int, traces: Iterable[str]) -> None:
    """Tell of work that is done, begun at `began_ns` (Unix time), as `work` does."""
    if settings.TRACING and (linked := _some(traces)):
        from audit.tracing import otel

        otel.tell(name, began_ns, linked)


def known(traceparent: bytes) -> str:
    """Return it where it is one as W3C has it, of version 00; else nothing. Anybody may have written it."""
    text = traceparent.decode("ascii", "replace")
    return text if _TRACEPARENT.match(text) else ""


def log_ids(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: name the trace and the span in which a line is written."""
    from audit.tracing import otel

    return otel.log_ids(event)


def _some(traces: Iterable[str]) -> list[str]:
    """As many as a span may have links, each once, in their order."""
    return [*dict.fromkeys(trace for trace in traces if trace)][:MOST_LINKS]
