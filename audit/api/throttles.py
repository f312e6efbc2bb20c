"""The limits of a writer: its rate (WRITER_RATE, WRITER_BYTES_RATE) and its quotas.

Quotas of open manifests and of exports of a day are counted in PostgreSQL, the others in Redis.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from audit.access import limits
from audit.access.api_keys import Principal
from audit.api import parsers
from audit.models import Export, Manifest

EPOCH_CHARACTERS = 64
MANIFEST_WAIT_S = 60.0


class WriterThrottle(BaseThrottle):
    """Charges each request to its writer, by events and bytes, and refuses what is over with 429.

    What a view's `charged` says is given back where the answer is 503 (`problems.exception_handler`).
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, Principal):
            return True
        sends = request.method == "POST" and getattr(view, "takes_events", False)
        if not limits.apply_to(request.user, sends=sends):
            return True
        events, epochs = _content(request) if sends else (1, set())
        # What a body is once it is unzipped is what has to be read and kept.
        size = len(parsers.text_of(request._request)) if sends else _size(request)
        answer = limits.charge(request.user, events, size, epochs, sends=sends)
        if isinstance(answer, limits.Refusal):
            raise over(answer.limit, answer.wait_s, answer.left)
        view.charged = answer
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


def check_manifests(request: Request) -> None:
    """Raise `Throttled` where the writer has as many open manifests as it may."""
    most = _principal(request).quotas.manifests
    if most is not None and (opened := open_manifests(_principal(request).name)) >= most:
        raise over("quota of open manifests", MANIFEST_WAIT_S, max(most - opened, 0))


def check_exports(request: Request) -> None:
    """Raise `Throttled` where the writer has asked for as many exports on this UTC day as it may."""
    most = _principal(request).quotas.exports
    if most is not None and (asked := exports_today(_principal(request).name)) >= most:
        now = datetime.now(UTC)
        raise over("quota of exports", (_midnight(now) + timedelta(days=1) - now).total_seconds(), max(most - asked, 0))


def open_manifests(writer: str) -> int:
    return Manifest.objects.filter(writer=writer, closed_at=None).count()


def exports_today(writer: str) -> int:
    today = _midnight(datetime.now(UTC))
    return Export.objects.filter(requested_by=writer, by_service=True, requested_at__gte=today).count()


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _principal(request: Request) -> Principal:
    assert isinstance(request.user, Principal)  # the view's permission has seen to it
    return request.user
