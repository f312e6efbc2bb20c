"""Record who viewed records: which, when and how many, before they are shown."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse

from audit import visibility
from audit.access import client
from audit.access.outage.person import KnownPerson
from audit.ingest import trail
from audit.models import ACCESS, OWN_WRITER, AuditorScope, Record, Rhythm
from audit.postgres import sql
from audit.visibility import Scopes, Viewer

QUERY_CHARACTERS, ID_CHARACTERS = 2_000, 255
# The resource type of a look at one record: its id is the resource, and so the index of resources finds it.
RECORD = "record"
_FIRST_MONTH = """
SELECT min(substring(pg_get_expr(relpartbound, oid) FROM '[0-9a-f-]{36}') COLLATE "C") FROM pg_class
JOIN pg_inherits ON inhrelid = oid WHERE inhparent = 'audit_record'::regclass
"""
# The names of the pages of the queue begin so; what they show comes from Redis.
PARKED = "audit_parked_"


def look_of(request: HttpRequest) -> Viewer:
    return Viewer(find_scopes=lambda: sight_of(_person(request)))


def _person(request: HttpRequest) -> Any:
    """Who is logged in; nobody is at ingest, which knows no sessions."""
    return getattr(request, "user", None) or AnonymousUser()


def sight_of(user: Any) -> Scopes:
    """Return what a person may see: what any scope of theirs or of their groups covers; everything without a scope."""
    if isinstance(user, KnownPerson):
        return user.sight
    if not user.is_authenticated:
        return visibility.EVERYTHING
    return tuple(scope.scope for scope in AuditorScope.objects.filter(Q(user=user) | Q(group__user=user)).distinct())


def is_due(look: Viewer, request: HttpRequest, response: Any) -> bool:
    """Return whether the answer may show something of records; a redirect shows nothing."""
    match = request.resolver_match
    of_queue = match is not None and (match.url_name or "").startswith(PARKED)
    if not (look.touched or response.streaming or of_queue) or 300 <= response.status_code < 400:
        return False
    return bool(look.actor) or _person(request).is_authenticated


def write(look: Viewer, request: HttpRequest, response: HttpResponse) -> None:
    person = not look.actor
    actor = request.user.get_username() if person else look.actor
    session = client.session(request)
    record_id = _subject_id(look, request)
    trail.add(
        f"audit.{RECORD if record_id else 'records'}.{_verb(response, record_id)}",
        trail.Where("user" if person else "service", ACCESS, _resource(request, record_id), client.address(request)),
        actor=actor,
        outcome="success" if response.status_code < 400 else "failure",
        correlation=f"session-{session}" if person else f"writer-{actor}",
        session=session or None,
        # Who it was says the copy of the session: PostgreSQL was away.
        session_copy=True if person and isinstance(request.user, KnownPerson) else None,
        method=request.method,
        path=client.text(request.path),
        query=client.text(request.META.get("QUERY_STRING", ""), QUERY_CHARACTERS),
        status=response.status_code,
        rows=look.rows,
        # A file is whole before it is sent.
        rows_follow=True if response.streaming and not isinstance(response, FileResponse) else None,
        records=[client.text(seen) for seen in look.ids],
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )


def looks() -> QuerySet[Record]:
    own = Record.objects.filter(event_category=ACCESS, writer=OWN_WRITER, event_type__startswith="audit.record")
    return own.order_by("-event_timestamp", "-id")


def beginning() -> datetime:
    """Return a moment before which nobody can have looked: the store heard of itself first then, or months began."""
    heard = Rhythm.objects.filter(writer=OWN_WRITER).values_list("first_at", flat=True).first()
    if heard is not None:
        return heard - timedelta(days=1)
    [(first,)] = sql.rows(_FIRST_MONTH)
    return datetime.fromtimestamp((UUID(first).int >> 80) / 1000, UTC)


def at(record: Record) -> QuerySet[Record]:
    return looks().filter(resource_type=RECORD, resource_id=str(record.pk))


def _subject_id(look: Viewer, request: HttpRequest) -> str:
    """Return the id of the record that the page is about: the one in its address, or the only one that it shows."""
    match = request.resolver_match
    named = {str(value) for value in (match.kwargs if match else {}).values()}
    if named and len(look.ids) == 1:
        return look.ids[0]
    return next((record_id for record_id in look.ids if record_id in named), "")


def _verb(response: HttpResponse, record_id: str) -> str:
    if "attachment" in response.headers.get("Content-Disposition", "") or getattr(response, "streaming", False):
        return "downloaded"
    return "viewed" if record_id else "searched"


def _resource(request: HttpRequest, record_id: str) -> tuple[str, str]:
    match = request.resolver_match
    return (
        (RECORD, client.text(record_id, ID_CHARACTERS))
        if record_id
        else ("page", (match.view_name if match else "") or "unknown")
    )
