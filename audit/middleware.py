"""Around every request: an id for the logs, a page for outages, the access record, harmless pages."""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import structlog
from django.core.exceptions import DisallowedHost
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import resolve

from audit import safe_text, tracing, visibility
from audit.access import access_log
from audit.access.outage import pages
from audit.api import problems
from audit.errors import AuditError
from audit.postgres import replica
from audit.postgres.gateway import gateway
from audit.search import cost

log = structlog.get_logger(__name__)

PAGES = "/admin/"
# What shows many records, and no verdict on them.
LISTS = {f"audit_record_{name}" for name in ("changelist", "json", "csv", "timeline")}
Handler = Callable[[HttpRequest], HttpResponse]
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,100}\Z")


class Middleware:
    def __init__(self, get_response: Handler):
        self.get_response = get_response


class RequestIdMiddleware(Middleware):
    """Bind the request id (the client's `X-Request-ID`, or a new one) to the logs, and answer with it."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if _WELL_FORMED.match(sent) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class TraceMiddleware(Middleware):
    """A span for each request but probes, within the trace that its `traceparent` names; there only where traced."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in PROBES:
            return self.get_response(request)
        with tracing.serving(request.method or "", request.headers.get("traceparent", "")) as span:
            response = self.get_response(request)
            match = request.resolver_match
            span.answered(match.route if match else "", response.status_code)
        return response


class HostMiddleware(Middleware):
    """Refuse a request for another host without the traceback that Django would log; never store an answer of the API.

    Probes ask by whatever name they have: they pass by all that follows, some of which asks for the name again.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in PROBES:
            probe: Handler = resolve(request.path).func
            return probe(request)
        of_api = problems.is_of_api(request.path)
        try:
            request.get_host()
        except DisallowedHost:
            log.info("host_refused", path=request.path)
            return problems.bad_host(request) if of_api else HttpResponseBadRequest(BAD_HOST, content_type=PLAIN)
        response = self.get_response(request)
        if of_api and "Cache-Control" not in response:
            response["Cache-Control"] = "no-store"
        return response


PROBES = ("/livez", "/readyz", "/metrics")
PLAIN = "text/plain; charset=utf-8"
BAD_HOST = "This site is not called so: check the address, or ALLOWED_HOSTS.\n"


class OutagePageMiddleware(Middleware):
    """The admin needs PostgreSQL: without it people get a page that says so, and the queue read-only."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A page that waits for a server known to hang would hold a thread that writers need.
        if request.path.startswith(PAGES) and gateway().breaker.is_open and not pages.is_readable(request):
            return pages.instead(request)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DataError) and request.method == "GET" and request.GET and request.path.startswith(PAGES):
            return redirect(request.path)  # what PostgreSQL cannot hold, such as U+0000, is found nowhere
        if not isinstance(error, OperationalError | InterfaceError) or request.path.startswith("/api/"):
            return None
        if cost.was_stopped(error):
            return render(request, "pages/timeout.html", {"back": request.path}, status=503)
        log.error("page_without_postgresql", path=request.path, error=type(error.__cause__).__name__)
        return pages.instead(request)


class AccessMiddleware(Middleware):
    """A response that shows records is recorded before it leaves; where that fails, nothing is shown.

    Lists and searches are read from the replica, where there is one that keeps up; from the primary, once more, where
    it fails meanwhile.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with visibility.viewing(access_log.look_of(request)) as viewer, ExitStack() as stack:
            request.reads = stack  # type: ignore[attr-defined]
            response = self.get_response(request)
        if source := getattr(request, "read_from", None):
            response["Audit-Read-From"] = str(source)
        if not access_log.is_due(viewer, request, response):
            return response
        try:
            access_log.write(viewer, request, response)
        except AuditError as error:
            log.error("look_refused", path=request.path, error=type(error).__name__)
            response.close()
            return _unrecorded(request)
        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = _as_viewer(viewer, response.streaming_content)
        return response

    def process_view(self, request: HttpRequest, *view: Any) -> None:
        """Choose where a list is read from, now that it is known that it is one."""
        match = request.resolver_match
        is_list = match is not None and match.url_name in LISTS and request.method in ("GET", "HEAD")
        if is_list and replica.is_configured() and request.user.is_authenticated:
            request.read_from = replica.of_page()  # type: ignore[attr-defined]
            request.reads.enter_context(replica.reading(request.read_from))  # type: ignore[attr-defined]

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Where the replica failed under a list, let the view begin anew; the list is then read from the primary."""
        source = getattr(request, "read_from", None)
        is_gone = isinstance(error, OperationalError | InterfaceError) and not cost.was_stopped(error)
        if source is None or not source.is_replica or not is_gone:
            return None
        request.reads.close()  # type: ignore[attr-defined]
        replica.leave_out(error)
        visibility.note_shown(())
        return self.get_response(request)


def _as_viewer(viewer: visibility.Viewer, content: Iterable[bytes]) -> Iterator[bytes]:
    """Read each part of a download as the viewer who asked for it."""
    parts = iter(content)
    while True:
        with visibility.viewing(viewer):
            part = next(parts, None)
        if part is None:
            return
        yield part


def _unrecorded(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problems.unrecorded(request)
    return render(request, "pages/unrecorded.html", status=503)


class HeadersMiddleware(Middleware):
    """Headers for browsers beside the Content-Security-Policy, on all but JSON."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path.startswith("/api/v1/"):
            response.setdefault("Permissions-Policy", NOT_PERMITTED)
            response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


NOT_PERMITTED = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class HarmlessPagesMiddleware(Middleware):
    """Escape characters that would reorder or hide text on a page: much of what pages show was sent by others."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.streaming and response.get("Content-Type", "").startswith("text/html"):
            response.content = safe_text.harmless(response.content.decode()).encode()
        return response
