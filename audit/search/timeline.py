"""Read what happened in one correlation, by one actor or to one resource, by index.

A page is the newest events before a position, or the ones after it, always in the order in which they happened.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from audit.models import Record, RecordQuerySet
from audit.search import months, query

# What a timeline may be of, and the indexed field that finds it.
SUBJECTS = {"correlation": "correlation_id", "actor": "actor_id", "resource": "resource_id"}
EVENTS = 200

Place = tuple[datetime, UUID]


class Page(NamedTuple):
    """Some events, oldest first, and cursors for the events before and after them."""

    records: list[Record]
    older: str | None
    newer: str | None


def page(
    subject: str,
    value: str,
    *,
    since: datetime | None = None,
    before: Place | None = None,
    after: Place | None = None,
    limit: int = EVENTS,
) -> Page:
    """Return the newest events of a subject, those before a position, or those after it; none before `since`."""
    events = Record.objects.filter(Q(**{SUBJECTS[subject]: value})).with_state()
    if since is not None:
        events = events.filter(event_timestamp__gte=since)
    if after is not None:
        rows = list(_oldest_first(events.filter(_after(*after)))[: limit + 1])
        more = len(rows) > limit
        shown = rows[:limit]
        return Page(shown, _place(shown, 0, True), _place(shown, -1, more))
    newest = events.filter(query.older_than(*before)) if before is not None else events
    rows = list(newest.order_by("-event_timestamp", "-id")[: limit + 1])
    shown = rows[:limit][::-1]
    return Page(shown, _place(shown, 0, len(rows) > limit), _place(shown, -1, before is not None))


def beside(record: Record) -> tuple[Record | None, Record | None]:
    same, place = Record.objects.filter(correlation_id=record.correlation_id), (record.event_timestamp, record.id)
    later = same.filter(_after(*place), months.since(record.event_timestamp))
    return query.newest(same.filter(query.older_than(*place)), record.event_timestamp), _oldest_first(later).first()


def _oldest_first(events: RecordQuerySet) -> RecordQuerySet:
    return events.order_by("event_timestamp", "id")


def _after(moment: datetime, record_id: UUID) -> Q:
    # The redundant first bound lets PostgreSQL start in the middle of the index.
    return Q(event_timestamp__gte=moment) & (Q(event_timestamp__gt=moment) | Q(id__gt=record_id))


def _place(records: list[Record], at: int, there_is_more: bool) -> str | None:
    return query.cursor(records[at]) if records and there_is_more else None
