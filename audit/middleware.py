"""What happens around every request: an id for the logs, a page for outages, and pages that nothing sent disturbs."""

import re
import uuid
from collections.abc import Callable

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import reach, visible
from audit.postgres import gateway

log = structlog.get_logger(__name__)

PAGES = "/admin/"
Handler = Callable[[HttpRequest], HttpResponse]
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,100}\Z")


class RequestIdMiddleware:
    """Bind the request id (the client's `X-Request-ID`, or a new one) to the logs, and answer with it."""

    def __init__(self, get_response: Handler):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if _WELL_FORMED.match(sent) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class OutagePageMiddleware:
    """People's pages need PostgreSQL: without it they get a page that says so, and what still works."""

    def __init__(self, get_response: Handler):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A page that waits for a server known to hang would hold a thread that writers need.
        if request.path.startswith(PAGES) and gateway().breaker.is_open:
            return render(request, "outage.html", status=503)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, OperationalError | InterfaceError) or request.path.startswith("/api/"):
            return None
        if reach.was_stopped(error):
            return render(request, "timeout.html", {"back": request.path}, status=503)
        log.error("page_without_postgresql", path=request.path, error=type(error.__cause__).__name__)
        return render(request, "outage.html", status=503)


class HarmlessPagesMiddleware:
    """On no page can what others sent turn around the words beside it: what would do so is shown as its escape."""

    def __init__(self, get_response: Handler):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.streaming and response.get("Content-Type", "").startswith("text/html"):
            response.content = visible.harmless(response.content.decode()).encode()
        return response
