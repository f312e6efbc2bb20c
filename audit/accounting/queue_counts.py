"""queue_counts: copy what the queue counted to PostgreSQL, so that Redis cannot lose it unseen."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import transaction

import dlq.counters
import dlq.stream
from audit.accounting import restored
from audit.models import Followed, Passage
from audit.postgres import sql
from dlq.counters import Counters

log = structlog.get_logger(__name__)

FOLLOWED = "queue"
# How long counters stay in Redis, from the day of reception on.
DAYS_KEPT = 2
# As much of a generation as tells its rows from those of another.
GENERATION_DIGITS = 16
COPIED = ("came", "again", "drained", "duplicate", "quarantined", "discarded", "here", "dead")
# The queue's counters only rise, but for what is in it now.
_RISING = ", ".join(f"{name} = greatest(audit_passage.{name}, excluded.{name})" for name in COPIED[:-2])
_COPY = f"""
INSERT INTO audit_passage (queue, copied_at, day, writer, first, {", ".join(COPIED)})
SELECT %s, %s, * FROM unnest(%s::date[], %s::text[], %s::text[]{", %s::bigint[]" * len(COPIED)})
ON CONFLICT (queue, day, writer, first) DO UPDATE
SET here = excluded.here, dead = excluded.dead, copied_at = excluded.copied_at, {_RISING}
"""


class Copied(NamedTuple):
    lines: int
    # Counters that Redis need not keep any more.
    forgotten: int
    # Whether the counters agree with the stream; nothing is copied where they do not.
    whole: bool


def copy() -> Copied:
    """Copy all counters, and have Redis forget the old ones that balance. Raises `Refused`, database errors.

    What was in the queue and Redis does not know any more is lost: its row then says that nothing of it is here. A
    queue that was restored or replaced is settled first, and its counters go to rows of their own.
    """
    queue = dlq.stream.for_drain()
    restored.settle(queue)
    with transaction.atomic():
        now = _locked()
        reached = restored.progress(queue)
        counters = dlq.counters.read(queue)
        if reached is None or not counters.whole:
            log.error("dlq_passages_not_whole", depth=counters.depth, dead=counters.dead, restored=reached is None)
            return Copied(0, 0, whole=False)
        rows = _rows(counters)
        _store(rows, now)
        _note_gone(rows, now)
        restored.note(reached)
        Followed.objects.update_or_create(name=_followed(), defaults={"followed_at": now})
    old = [each for each in counters.all if not each.here and each.day < now.date() - timedelta(days=DAYS_KEPT)]
    return Copied(len(counters.all), dlq.counters.forget(queue, old), whole=True)


def copied_at() -> datetime | None:
    return Followed.objects.filter(name=_followed()).values_list("followed_at", flat=True).first()


def _followed() -> str:
    return f"{FOLLOWED} {settings.DLQ_PREFIX}"[:50]


def _locked() -> datetime:
    """One copy at a time, so that an older view never follows a newer one; the time before the queue is read."""
    now: datetime = sql.rows(restored.LOCK)[0][1]
    return now


class _Row(NamedTuple):
    """A counter as it is copied: without what is counted already in an earlier generation."""

    key: tuple[date, str, str]
    figures: tuple[int, ...]


def _rows(counters: Counters) -> list[_Row]:
    generation, base = restored.base_of()
    rows = []
    for line in counters.all:
        before = base.get(f"{line.label} {line.first}")
        first = line.first if before is None else f"{line.first}@{generation[:GENERATION_DIGITS]}"
        figures = tuple(getattr(line, name) - (before or {}).get(name, 0) for name in COPIED)
        rows.append(_Row((line.day, line.source.replace("\x00", "\ufffd"), first), figures))
    return rows


def _store(rows: Sequence[_Row], now: datetime) -> None:
    if rows:
        columns = zip(*((*row.key, *row.figures) for row in rows), strict=True)
        sql.run(_COPY, [settings.DLQ_PREFIX, now, *map(list, columns)])


def _note_gone(rows: Sequence[_Row], now: datetime) -> None:
    in_redis = {row.key for row in rows}
    waiting = Passage.objects.filter(queue=settings.DLQ_PREFIX, here__gt=0)
    gone = [row.pk for row in waiting if (row.day, row.writer, row.first) not in in_redis]
    if gone:
        log.error("dlq_passages_gone", lines=len(gone))
        Passage.objects.filter(pk__in=gone).update(here=0, dead=0, copied_at=now)
