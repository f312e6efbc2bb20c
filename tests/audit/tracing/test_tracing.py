"""One trace from a writer's request, over PostgreSQL or Redis, to drain and seal, told to a collector by OTLP."""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from audit import tracing
from audit.ledger.seal import Sealer
from audit.models import Record
from audit.postgres.faults import Fault
from audit.postgres.gateway import gateway
from audit.queue.drain import drain
from auditsite import logs, readers
from dlq import spool
from dlq.authenticity import is_authentic, sign
from dlq.message import Message
from tests.audit.conftest import EVENTS, Sender, an_event
from tests.conftest import Breakable

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_queue")]
ROOT = Path(__file__).parent.parent.parent.parent
OFFLINE = [sys.executable, "-m", "auditsite.offline"]


@dataclass
class Told:
    """One span as the collector has it."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    links: list[str]
    attributes: dict[str, Any]
    service: str
    failed: bool


@dataclass
class Collector:
    """The far end of OTLP: takes what is posted, and decodes it by OpenTelemetry's own messages."""

    url: str
    spans: list[Told] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def of(self, trace_id: str) -> dict[str, Told]:
        """What is known of a trace, and what links to it, by name."""
        from audit.tracing import otel

        otel.tracers().processor.force_flush()
        return {span.name: span for span in self.spans if trace_id in (span.trace_id, *span.links)}

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            of_service = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                links = [link.trace_id.hex() for link in span.links]
                values = {
                    attribute.key: attribute.value.string_value or attribute.value.int_value
                    for attribute in span.attributes
                }
                ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                failed = span.status.code == span.status.STATUS_CODE_ERROR
                self.spans.append(Told(span.name, *ids, links, values, of_service["service.name"], failed))


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Collector]:
    """A collector that this process sends its spans to."""
    from audit.tracing import otel

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            told.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Collector(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", told.url)
    settings.TRACING = True
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], "audit.middleware.TraceMiddleware", *settings.MIDDLEWARE[1:]]
    otel.tracers.cache_clear()
    yield told
    otel.tracers().processor.shutdown()
    otel.tracers.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.fixture
def writer(django_db_setup: None, collector: Collector) -> Sender:
    """Of its own: a client has the middleware that was set when it first asked."""
    return Sender("write")


@dataclass
class Caller:
    """A service that is traced, and the trace in which it calls."""

    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))
    flags: str = "01"

    @property
    def headers(self) -> dict[str, str]:
        return {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags}"}


def seal() -> None:
    while Sealer().once(from_start=True).more:
        pass


def test_a_stored_event_is_followed_from_its_request_to_its_seal(collector: Collector, writer: Sender) -> None:
    caller = Caller()
    assert writer.post(an_event(), headers=caller.headers).status_code == 201
    seal()
    spans = collector.of(caller.trace_id)
    assert spans.keys() == {f"POST {EVENTS}", "record", "seal"}
    served, recorded, sealed = spans[f"POST {EVENTS}"], spans["record"], spans["seal"]
    assert served.parent == caller.span_id and recorded.parent == served.span_id
    assert served.attributes["http.response.status_code"] == 201 and recorded.attributes["audit.events"] == 1
    assert sealed.trace_id != caller.trace_id and sealed.parent == ""
    assert served.service == "auditsite-site"


def test_a_parked_event_is_followed_through_the_queue(
    collector: Collector, writer: Sender, postgres: Breakable
) -> None:
    seal()  # what other tests have left
    caller, event = Caller(), an_event()
    with postgres.stopped():
        answer = writer.post(event, headers=caller.headers)
    assert answer.status_code == 202
    assert gateway().breaker.wait_closed(30)
    assert drain().stored == 1
    seal()
    spans = collector.of(caller.trace_id)
    assert spans.keys() == {f"POST {EVENTS}", "record", "drain", "seal"}
    assert spans["drain"].links == spans["seal"].links == [caller.trace_id]
    record = Record.objects.get(pk=answer.json()["event_id"])
    assert caller.trace_id not in bytes(record.digest).hex() + json.dumps(record.document(), default=str)


def test_a_spooled_event_is_followed_home(collector: Collector, writer: Sender, settings: Any, tmp_path: Path) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    caller = Caller()
    from audit.formats import event as event_format
    from audit.ingest import record
    from audit.tracing import otel

    accepted = event_format.accept(an_event(), writer=writer.name)
    with otel.serving("POST", caller.headers["traceparent"]):
        traced = tracing.recording(lambda events: record._spool(events, [record.document(events[0])], Fault.DOWN))
        traced([accepted])
    drain()
    assert {"record", "drain"} <= collector.of(caller.trace_id).keys()
    assert list(tmp_path.glob("*.spool")) == [] and spool.has_room()


def test_a_batch_that_is_sealed_names_each_trace_that_brought_it(collector: Collector, writer: Sender) -> None:
    seal()
    callers = [Caller() for _ in range(3)]
    for caller in callers:
        assert writer.post(an_event(), headers=caller.headers).status_code == 201
    seal()
    (sealed,) = {span.span_id: span for each in callers for span in [collector.of(each.trace_id)["seal"]]}.values()
    assert set(sealed.links) == {caller.trace_id for caller in callers}


def test_what_its_caller_has_not_sampled_is_followed_nowhere(collector: Collector, writer: Sender) -> None:
    caller = Caller(flags="00")
    assert writer.post(an_event(), headers=caller.headers).status_code == 201
    seal()
    assert collector.of(caller.trace_id) == {}


def test_a_traceparent_that_is_none_begins_a_trace(collector: Collector, writer: Sender) -> None:
    for wrong in ("00-xyz", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'1' * 16}-01-more", "\u00e9"):
        assert writer.post(an_event(), headers={"traceparent": wrong}).status_code == 201
    collector.of("")
    served = [span for span in collector.spans if span.name == f"POST {EVENTS}"]
    assert len(served) == 4 and all(span.parent == "" for span in served)


def test_nothing_of_an_event_its_writer_or_its_key_is_told(collector: Collector, writer: Sender) -> None:
    caller, event = Caller(), an_event(actor_id="somebody-private")
    answer = writer.post(event, headers=caller.headers)
    writer.post(event | {"event_id": answer.json()["event_id"], "actor_id": "another"}, headers=caller.headers)
    seal()
    assert collector.of(caller.trace_id)
    told = b"".join(collector.bodies)
    for private in (writer.key, writer.name, "somebody-private", event["correlation_id"], answer.json()["event_id"]):
        assert private.encode() not in told


def test_what_fails_is_told_as_failed(collector: Collector, writer: Sender) -> None:
    caller, event = Caller(), an_event()
    event["event_id"] = writer.post(event).json()["event_id"]
    assert writer.post(event | {"actor_id": "another"}, headers=caller.headers).status_code == 409
    collector.of(caller.trace_id)
    recorded = [span for span in collector.spans if span.trace_id == caller.trace_id and span.name == "record"]
    assert any(span.failed and span.attributes["error.type"] == "Conflict" for span in recorded)


def test_a_line_of_the_log_names_trace_and_span(collector: Collector) -> None:
    from audit.tracing import otel

    caller = Caller()
    with otel.serving("GET", caller.headers["traceparent"]):
        line = tracing.log_ids(None, "info", {"event": "x"})
    assert line["trace_id"] == caller.trace_id and len(line["span_id"]) == 16
    assert tracing.log_ids(None, "info", {"event": "x"}) == {"event": "x"}
    assert tracing.log_ids in logs.processors(traced=True)
    assert tracing.log_ids not in logs.processors(traced=False)


def test_a_collector_that_is_away_holds_nobody_up(collector: Collector, writer: Sender, monkeypatch: Any) -> None:
    from audit.tracing import otel

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    otel.tracers().processor.shutdown()
    otel.tracers.cache_clear()
    assert [writer.post(an_event(), headers=Caller().headers).status_code for _ in range(3)] == [201] * 3
    began = time.monotonic()
    otel.tracers().processor.shutdown()
    assert time.monotonic() - began < 10


def test_a_trace_is_no_part_of_what_is_signed() -> None:
    facts: dict[str, Any] = {"key": "k", "digest": bytes(32), "body": b"b", "source": "s", "kind": "k"}
    facts |= {"id": "1-1", "received_at": datetime(2026, 11, 28, tzinfo=UTC), "reason": "r"}
    traced = Message(**facts, mac=sign(Message(**facts)), trace=b"00-anything")
    assert is_authentic(traced) and tracing.known(traced.trace) == ""


IMPORTS = """
import django, sys
django.setup()
from django.conf import settings
from audit.ingest import record
from audit.ledger import seal
# What is ours; redis-py imports OpenTelemetry's metrics wherever they are installed.
found = {"audit.tracing.otel", "opentelemetry.exporter"} & sys.modules.keys()
is_placed = "audit.middleware.TraceMiddleware" in settings.MIDDLEWARE
print(bool(found), settings.TRACES_ASKED, settings.TRACING, is_placed)
"""


def started_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    command = [*OFFLINE, "python", "-c", IMPORTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_without_an_endpoint_we_import_nothing_of_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started_with(monkeypatch) == ["False"] * 4


def test_with_one_requests_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = "http://127.0.0.1:9"
    for role in ("site", "ingest"):
        found = started_with(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, ROLE=role)
        assert found[1:] == ["True"] * 3


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, (False, False)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, (True, True)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "TRUE"}, (False, False)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, (False, False)),
    ],
)
def test_its_own_variables_decide(
    variables: dict[str, str], found: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert readers.traces() == found


def test_without_the_extra_nothing_is_traced_and_a_check_says_so(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from audit import checks

    def missing(name: str) -> str:
        raise readers.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(readers.metadata, "version", missing)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x")
    assert readers.traces() == (True, False)
    settings.TRACES_ASKED, settings.TRACING = readers.traces()
    assert [warning.id for warning in checks.traces(None)] == ["audit.W021"]
    settings.TRACES_ASKED = False
    assert checks.traces(None) == []
