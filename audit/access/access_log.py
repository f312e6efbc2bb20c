"""access: record who looked at records, at what, when and how many, before they are shown."""

from typing import Any

import structlog
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from audit import visibility
from audit.access import client
from audit.ingest import trail
from audit.models import ACCESS, OWN_WRITER, AuditorScope, Record
from audit.visibility import Scopes, Viewer

QUERY_CHARACTERS, ID_CHARACTERS = 2_000, 255
ONE = "record"
"""The resource type of a look at one record: its id is the resource, and so the index of resources finds it."""
PARKED = "audit_parked_"
"""The names of the pages of the queue begin so; what they show comes from Redis."""


def look_of(request: HttpRequest) -> Viewer:
    """What a request is going to see; whose it is turns out on the way."""
    return Viewer(find_scopes=lambda: sight_of(request.user))


def sight_of(user: Any) -> Scopes:
    """What a person may see: what any scope of his or of his groups covers; everything where there is none."""
    if not user.is_authenticated:
        return visibility.EVERYTHING
    return tuple(row.scope for row in AuditorScope.objects.filter(Q(user=user) | Q(group__user=user)).distinct())


def is_due(look: Viewer, request: HttpRequest, response: Any) -> bool:
    """Whether the answer may show something of records; one that leads elsewhere shows nothing."""
    match = request.resolver_match
    of_queue = match is not None and (match.url_name or "").startswith(PARKED)
    if not (look.touched or response.streaming or of_queue) or 300 <= response.status_code < 400:
        return False
    return bool(look.actor) or request.user.is_authenticated


def write(look: Viewer, request: HttpRequest, response: HttpResponse) -> None:
    """Record the look. Raises `NothingKept`: what cannot be recorded is not shown."""
    person = not look.actor
    actor = request.user.get_username() if person else look.actor
    session = client.session(request)
    one = _the_one(look, request)
    trail.add(
        f"audit.{ONE if one else 'records'}.{_verb(response, one)}",
        trail.Where("user" if person else "service", ACCESS, _resource(request, one), client.address(request)),
        actor=actor,
        outcome="success" if response.status_code < 400 else "failure",
        correlation=f"session-{session}" if person else f"writer-{actor}",
        session=session or None,
        method=request.method,
        path=client.text(request.path),
        query=client.text(_query(request), QUERY_CHARACTERS),
        status=response.status_code,
        rows=look.rows,
        rows_follow=True if getattr(response, "streaming", False) else None,
        records=[client.text(one) for one in look.ids],
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )


def looks() -> QuerySet[Record]:
    """Who looked, newest first: as the store says it, for a writer may call its own events the same."""
    own = Record.objects.filter(event_category=ACCESS, writer=OWN_WRITER, event_type__startswith="audit.record")
    return own.order_by("-event_timestamp", "-id")


def at(record: Record) -> QuerySet[Record]:
    """Who looked at one record by itself."""
    return looks().filter(resource_type=ONE, resource_id=str(record.pk))


def _the_one(look: Viewer, request: HttpRequest) -> str:
    """The id of the record that the page is about: the one that its address names, or the only one on it."""
    match = request.resolver_match
    named = {str(value) for value in (match.kwargs if match else {}).values()}
    if named and len(look.ids) == 1:
        return look.ids[0]
    return next((one for one in look.ids if one in named), "")


def _verb(response: HttpResponse, one: str) -> str:
    if "attachment" in response.headers.get("Content-Disposition", "") or getattr(response, "streaming", False):
        return "downloaded"
    return "viewed" if one else "searched"


def _resource(request: HttpRequest, one: str) -> tuple[str, str]:
    match = request.resolver_match
    return (ONE, client.text(one, ID_CHARACTERS)) if one else ("page", (match.view_name if match else "") or "unknown")


def _query(request: HttpRequest) -> str:
    return str(request.META.get("QUERY_STRING", ""))
