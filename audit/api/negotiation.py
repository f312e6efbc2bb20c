"""Content negotiation for answers that have only one form."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

PLAIN = "text/plain; charset=utf-8"


class IgnoreAccept(BaseContentNegotiation):
    """The view decides on the form of its answer, whatever the client asks for; errors are problem documents."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
