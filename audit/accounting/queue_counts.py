"""queue_counts: copy what the queue counted to PostgreSQL, so that Redis cannot lose it unseen."""

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
# How long counters stay in Redis, from the day of reception on.
DAYS_KEPT = 2
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('audit_passage')), clock_timestamp()"
_COPIED = ("came", "again", "drained", "duplicate", "quarantined", "discarded", "here", "dead")
# The queue's counters only rise, but for what is in it now.
_RISING = ", ".join(f"{name} = greatest(audit_passage.{name}, excluded.{name})" for name in _COPIED[:-2])
_COPY = f"""
INSERT INTO audit_passage (queue, copied_at, day, writer, first, {", ".join(_COPIED)})
SELECT %s, %s, * FROM unnest(%s::date[], %s::text[], %s::text[]{", %s::bigint[]" * len(_COPIED)})
ON CONFLICT (queue, day, writer, first) DO UPDATE
SET here = excluded.here, dead = excluded.dead, copied_at = excluded.copied_at, {_RISING}
"""


class Copied(NamedTuple):
    """What a copy did."""

    lines: int
    # Counters that Redis need not keep any more.
    forgotten: int
    # Whether the counters agree with the stream; nothing is copied where they do not.
    whole: bool


def copy() -> Copied:
    """Copy all counters, and have Redis forget the old ones that balance. Raises `Refused`, database errors.

    What was in the queue and Redis does not know any more is lost: its row then says that nothing of it is here.
    """
    queue = dlq.stream.for_drain()
    with transaction.atomic():
        now = _locked()
        counters = dlq.counters.read(queue)
        if not counters.whole:
            log.error("dlq_passages_not_whole", depth=counters.depth, dead=counters.dead)
            return Copied(0, 0, whole=False)
        _store(counters, now)
        _note_gone(counters, now)
        Followed.objects.update_or_create(name=_followed(), defaults={"followed_at": now})
    old = [each for each in counters.all if not each.here and each.day < now.date() - timedelta(days=DAYS_KEPT)]
    return Copied(len(counters.all), dlq.counters.forget(queue, old), whole=True)


def copied_at() -> datetime | None:
    """When the last copy was made."""
    return Followed.objects.filter(name=_followed()).values_list("followed_at", flat=True).first()


def _followed() -> str:
    return f"{FOLLOWED} {settings.DLQ_PREFIX}"[:50]


def _locked() -> datetime:
    """One copy at a time, so that an older view never follows a newer one; the time before the queue is read."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_LOCK)
        now: datetime = cursor.fetchone()[1]
    return now


def _store(counters: Counters, now: datetime) -> None:
    rows = [(*_key(each), *(getattr(each, name) for name in _COPIED)) for each in counters.all]
    if rows:
        with connections["default"].cursor() as cursor:
            cursor.execute(_COPY, [settings.DLQ_PREFIX, now, *map(list, zip(*rows, strict=True))])


def _note_gone(counters: Counters, now: datetime) -> None:
    in_redis = {_key(each) for each in counters.all}
    waiting = Passage.objects.filter(queue=settings.DLQ_PREFIX, here__gt=0)
    gone = [row.pk for row in waiting if (row.day, row.writer, row.first) not in in_redis]
    if gone:
        log.error("dlq_passages_gone", lines=len(gone))
        Passage.objects.filter(pk__in=gone).update(here=0, dead=0, copied_at=now)


def _key(counter: dlq.counters.SourceDay) -> tuple[date, str, str]:
    return counter.day, counter.source.replace("\x00", "\ufffd"), counter.first
