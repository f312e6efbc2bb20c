"""passages: copy what the queue counted to PostgreSQL, so that Redis cannot lose it unseen."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connections, transaction

import dlq.counters
import dlq.stream
from audit.models import Followed, Passage
from dlq.counters import Counters

log = structlog.get_logger(__name__)

FOLLOWED = "queue"
DAYS_KEPT = 2
"""So long counters stay in Redis, from the day of reception on."""
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('audit_passage')), clock_timestamp()"
_COPY = """
INSERT INTO audit_passage
    (queue, day, writer, first, came, again, drained, duplicate, quarantined, discarded, here, dead, copied_at)
SELECT %s, *, %s FROM unnest(%s::date[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (queue, day, writer, first) DO UPDATE SET here = excluded.here, dead = excluded.dead,
    copied_at = excluded.copied_at,
    came = greatest(audit_passage.came, excluded.came), again = greatest(audit_passage.again, excluded.again),
    drained = greatest(audit_passage.drained, excluded.drained),
    duplicate = greatest(audit_passage.duplicate, excluded.duplicate),
    quarantined = greatest(audit_passage.quarantined, excluded.quarantined),
    discarded = greatest(audit_passage.discarded, excluded.discarded)
"""


class Copied(NamedTuple):
    """What a copy did."""

    lines: int
    forgotten: int
    """Counters that Redis has not to keep any more."""
    whole: bool
    """Whether the counters agree with the stream; nothing is copied where they do not."""


def copy() -> Copied:
    """Copy all counters, and have Redis forget the old ones that balance. Raises `Refused`, database errors.

    What is here and Redis does not know any more is lost: its line says that nothing of it is in the queue.
    """
    queue = dlq.stream.for_drain()
    with transaction.atomic():
        at = _locked()
        found = dlq.counters.read(queue)
        if not found.whole:
            log.error("dlq_passages_not_whole", depth=found.depth, dead=found.dead)
            return Copied(0, 0, whole=False)
        _keep(found, at)
        _note_gone(found, at)
        Followed.objects.update_or_create(name=_followed(), defaults={"followed_at": at})
    old = [one for one in found.all if not one.here and one.day < at.date() - timedelta(days=DAYS_KEPT)]
    return Copied(len(found.all), dlq.counters.forget(queue, old), whole=True)


def copied_at() -> datetime | None:
    """When the last copy was made."""
    return Followed.objects.filter(name=_followed()).values_list("followed_at", flat=True).first()


def _followed() -> str:
    return f"{FOLLOWED} {settings.DLQ_PREFIX}"[:50]


def _locked() -> datetime:
    """One copy at a time, so that an older view never follows a newer one; the time before the queue is looked at."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_LOCK)
        at: datetime = cursor.fetchone()[1]
    return at


def _keep(found: Counters, at: datetime) -> None:
    rows = [
        (
            *_key(one),
            one.came,
            one.again,
            one.drained,
            one.duplicate,
            one.quarantined,
            one.discarded,
            one.here,
            one.dead,
        )
        for one in found.all
    ]
    if rows:
        with connections["default"].cursor() as cursor:
            cursor.execute(_COPY, [settings.DLQ_PREFIX, at, *map(list, zip(*rows, strict=True))])


def _note_gone(found: Counters, at: datetime) -> None:
    known = {_key(one) for one in found.all}
    owing = Passage.objects.filter(queue=settings.DLQ_PREFIX, here__gt=0)
    gone = [one.pk for one in owing if (one.day, one.writer, one.first) not in known]
    if gone:
        log.error("dlq_passages_gone", lines=len(gone))
        Passage.objects.filter(pk__in=gone).update(here=0, dead=0, copied_at=at)


def _key(one: dlq.counters.SourceDay) -> tuple[date, str, str]:
    return one.day, one.source.replace("\x00", "\ufffd"), one.first
