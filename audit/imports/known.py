"""known: which foreign events are here already, whatever the mapping that made them, and whenever they came."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import psycopg
import structlog
from django.db import DatabaseError

import dlq.errors
import dlq.stream
from audit import visibility
from audit.errors import Unavailable
from audit.formats.event import Accepted
from audit.imports import originals
from audit.models import Record
from audit.postgres.gateway import gateway

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0
# Each is looked up in its own month.
_DIGESTS = b"""
SELECT w.id, r.digest FROM unnest(%s::uuid[]) AS w(id),
LATERAL (SELECT digest FROM audit_record WHERE id = w.id OFFSET 0) r
"""
_PURGED = b"SELECT id FROM unnest(%s::uuid[]) AS w(id) WHERE audit_is_purged(id)"
# stored or parked: the same event is here, "same" with another digest. taken: another event has its id. purged: its
# record was here, and a purge removed it; with what it said nothing can be compared.
Found = Literal["stored", "same", "parked", "taken", "purged"]


def look(events: Sequence[Accepted]) -> dict[UUID, Found]:
    """Find out which of these events are here: in PostgreSQL while it answers, in the queue while Redis does.

    What neither says is not known to be here: whoever records it finds that out again. Never raises.
    """
    by_id = {event.id: event for event in events}
    found: dict[UUID, Found] = {}
    try:
        digests = _stored_digests(list(by_id))
        found |= dict.fromkeys((each for each, digest in digests.items() if by_id[each].digest == digest), "stored")
        found |= _compare_stored([by_id[each] for each in digests if each not in found])
        found |= dict.fromkeys(_purged([each for each in by_id if each not in digests]), "purged")
    except (psycopg.Error, DatabaseError, Unavailable) as error:
        log.info("import_not_compared", error=type(error).__name__)
    return found | _waiting([event for each, event in by_id.items() if each not in found])


def _stored_digests(ids: list[UUID]) -> dict[UUID, bytes]:
    return dict(_rows(_DIGESTS, ids))


def _purged(ids: list[UUID]) -> list[UUID]:
    return [event_id for (event_id,) in _rows(_PURGED, ids)] if ids else []


def _rows(statement: bytes, ids: list[UUID]) -> list[Any]:
    if gateway().breaker.is_open:
        raise Unavailable
    with gateway().connection(TIMEOUT_S) as connection:
        rows: list[Any] = connection.execute(statement, (ids,), prepare=True, binary=True).fetchall()
    return rows


def _compare_stored(events: Sequence[Accepted]) -> dict[UUID, Found]:
    if not events:
        return {}
    with visibility.as_system():
        rows = {row.id: row for row in Record.objects.filter(id__in=[event.id for event in events]).with_values()}
    return {
        event.id: "same" if originals.is_same(rows[event.id], originals.sent(event)) else "taken"
        for event in events
        if event.id in rows
    }


def _waiting(events: Sequence[Accepted]) -> dict[UUID, Found]:
    """Of an event that waits with the same digest nothing is said: recording takes it as it was promised."""
    try:
        pages = dlq.stream.default().pages
        digests = pages.digests([str(event.id) for event in events]) if events else None
        others = [event for event in events if (digests or {}).get(str(event.id), event.digest) != event.digest]
        messages = pages.find_all([str(event.id) for event in others]) if others else {}
    except dlq.errors.Refused:
        return {}
    return {
        event.id: "parked" if originals.is_waiting(messages[str(event.id)], originals.sent(event)) else "taken"
        for event in others
        if str(event.id) in messages
    }
