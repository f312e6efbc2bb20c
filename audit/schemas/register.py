"""register: people register schemas of event types. Each is another revision, and the newest one holds."""

import json
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from audit.errors import Invalid
from audit.formats import event
from audit.ingest import trail
from audit.ingest.own_event import NOTHING_ELSE, Where
from audit.models import EventSchema
from audit.postgres import sql
from audit.schemas import in_force, language

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('audit_eventschema'))"
_INSERT = """
INSERT INTO audit_eventschema (event_type, event_version, revision, document, mode, reason, made_by, made_at)
SELECT %(event_type)s, %(event_version)s, %(revision)s, %(document)s::jsonb, %(mode)s, %(reason)s, %(by)s,
    clock_timestamp()
RETURNING id
"""
_HOLDS = """
SELECT DISTINCT ON (event_type, event_version) * FROM audit_eventschema
ORDER BY event_type, event_version, revision DESC
"""
MAX_TYPES = 1_000


@transaction.atomic
def register(
    text: str | None,
    event_type: str,
    event_version: str = "",
    *,
    mode: str,
    reason: str,
    by: str,
    where: Where = NOTHING_ELSE,
) -> EventSchema:
    """Register the schema in `text` for `event_data` of an event type; it holds within ten seconds.

    Without a text it is the schema of the newest revision, in another mode. Recorded first. Raises `Invalid` for what
    is no schema, or cannot be checked in bounded time; `NothingKept`.
    """
    document = None if text is None else language.read(text)
    check_names(event_type, event_version, mode, reason)
    sql.rows(_LOCK)
    newest = revisions(event_type, event_version, "default").first()
    if document is None:
        if newest is None:
            raise Invalid({"schema": "is required: the type has none whose mode could be set"})
        document = newest.document
    if newest is None and len(holding()) >= MAX_TYPES:
        raise Invalid({"event_type": f"there are schemas of {MAX_TYPES} types already"})
    revision = 1 if newest is None else newest.revision + 1
    values: dict[str, Any] = {
        "event_type": event_type,
        "event_version": event_version,
        "revision": revision,
        "mode": mode,
    }
    trail.add(
        "audit.schema.registered",
        where,
        actor=by,
        correlation=f"schema-{event_type}",
        **values,
        reason=reason,
        schema=document,
    )
    [(key,)] = sql.rows(_INSERT, values | {"document": json.dumps(document), "reason": reason.strip(), "by": by})
    transaction.on_commit(in_force.forget)
    return EventSchema.objects.using("default").get(pk=key)


def revisions(event_type: str, event_version: str = "", using: str | None = None) -> QuerySet[EventSchema]:
    """The revisions of the schema of a type, or of one of its versions, the newest first."""
    rows = EventSchema.objects.using(using).filter(event_type=event_type, event_version=event_version)
    return rows.order_by("-revision")


def holding() -> list[EventSchema]:
    """The newest revision of each type and version, also where its mode is `off`."""
    return list(EventSchema.objects.raw(_HOLDS))


def check_names(event_type: str, event_version: str, mode: str, reason: str) -> None:
    """Raises `Invalid`, which names each field at fault."""
    errors = dict(event.text_faults("event_version", event_version)) | dict(event.text_faults("reason", reason))
    if not event.is_type(event_type):
        errors["event_type"] = "must be dotted lower-case words, as in an event"
    if len(event_version) > (event.limit("version") or 0):
        errors["event_version"] = f"is longer than {event.limit('version')} characters"
    if mode not in EventSchema.MODES:
        errors["mode"] = f"is none of {', '.join(EventSchema.MODES)}"
    if not reason.strip() or len(reason) > 1_000:
        errors["reason"] = "says why, in 1 to 1,000 characters"
    if errors:
        raise Invalid(errors)
