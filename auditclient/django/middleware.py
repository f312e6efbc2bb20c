"""The middleware: whose request it is stands in each event, and events are on the disk before the answer goes out.

With `durability="process"` the answer does not wait for the disk: what a request recorded survives a kill -9 alone.
"""

import ipaddress
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from auditclient.django import recording
from auditclient.django.recording import Actor

REQUEST_ID_CHARACTERS = 100


class AuditMiddleware:
    """Put it after the authentication middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request as its user. Raises `OSError` where the disk does not take what was recorded."""
        token = recording.actor.set(_actor(request))
        before = _recorded()
        try:
            response = self._get_response(request)
            if _recorded() != before and recording.client().config.durability == "disk":
                recording.client().sync()
            return response
        finally:
            recording.actor.reset(token)


def _recorded() -> int:
    return 0 if recording._client is None else recording._client.counts["recorded"]


def _actor(request: HttpRequest) -> Actor:
    user = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    correlation_id = request.headers.get("X-Request-ID", "")[:REQUEST_ID_CHARACTERS] or str(uuid.uuid4())
    name = user.get_username() if known and user is not None else ""
    return Actor("user" if known else "anonymous", name, _address(request), correlation_id)


def _address(request: HttpRequest) -> str:
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "").partition("%")[0]))
    except ValueError:
        return ""
