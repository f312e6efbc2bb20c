"""The middleware: whose request it is stands in each event, and events are on the disk before the answer goes out.

With `durability="process"` the answer does not wait for the disk: what a request recorded survives a kill -9 alone.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from auditclient.django import recording
from auditclient.django.recording import Acting, acting


class AuditMiddleware:
    """Put it after the authentication middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request as its user. Raises `OSError` where the disk does not take what was recorded."""
        own = Acting(request)
        token = acting.set(own)
        try:
            response = self._get_response(request)
            if own.has_recorded and recording.client().config.durability == "disk":
                recording.client().sync()
            return response
        finally:
            acting.reset(token)
