"""The limits of a writer: its rate (WRITER_RATE, WRITER_BYTES_RATE) and its quotas."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from audit.access import limits
from audit.access.api_keys import Principal

EPOCH_CHARACTERS = 64


class WriterThrottle(BaseThrottle):
    """Charges each request to its writer, by events and bytes, and refuses what is over with 429."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, Principal):
            return True
        sends = request.method == "POST" and getattr(view, "takes_events", False)
        if not limits.apply_to(request.user, sends=sends):
            return True
        events, epochs = _content(request) if sends else (1, set())
        refusal = limits.charge(request.user, events, _size(request), epochs, sends=sends)
        if refusal is not None:
            raise over(refusal.limit, refusal.wait_s, refusal.left)
        return True


def over(limit: str, wait_s: float, left: int) -> Throttled:
    """Return the answer for a request over a limit: which one, what is left of it, and when to come back."""
    until = datetime.now(UTC) + timedelta(seconds=wait_s)
    return Throttled(wait_s, f"This is over the writer's {limit}: {left:,} are left until {until:%Y-%m-%d %H:%M:%S}Z.")


def _size(request: Request) -> int:
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _content(request: Request) -> tuple[int, set[str]]:
    """How many events a body has, and their epochs; what is no event is refused later, and counts as one."""
    documents = request.data if isinstance(request.data, list) else [request.data]
    found = (document.get("source_epoch") for document in documents if isinstance(document, dict))
    return max(len(documents), 1), {epoch[:EPOCH_CHARACTERS] for epoch in found if isinstance(epoch, str)}
