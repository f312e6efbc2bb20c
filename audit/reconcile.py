"""reconcile: follow the log to its end, and know of each writer what should be here and is not.

Each record is read once, when it has been sealed: the log's index has no holes and never moves, so a place in it is all
that has to be remembered, and a run costs what is new, whatever the store holds.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import connections, transaction

import dlq.alarm
import dlq.errors
import dlq.stream
from audit import log as stored
from audit import numbering, rhythm, tally, trail
from audit.models import OWN_WRITER, Followed, Gap, Rhythm
from audit.numbering import Numbered
from audit.tally import Kept

log = structlog.get_logger(__name__)

BATCH = 5_000
NAMED = 100
LONGEST_WAIT = timedelta(hours=1)
"""How long what may still be in the queue keeps a gap from being told."""
_ROWS = """
SELECT r.writer, coalesce(r.source_epoch, ''), r.source_seq, r.event_timestamp, r.id, r.received_at,
    r.parked_at IS NOT NULL
FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
WHERE l.index >= %s AND l.index < %s
"""

Progress = Callable[[int, int], None]
"""Told how many records are read, of how many."""


class Reconciled(NamedTuple):
    """What a run did."""

    read: int
    at_end: bool
    """Whether all that is sealed is accounted for."""


def reconcile(*, seconds: float | None = None, progress: Progress | None = None) -> Reconciled:
    """Read what was sealed since the last run, for at most `seconds`; at the end, tell what is overdue.

    Safe to run in several processes at once, and to be killed anywhere. Raises what the database raises.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    read, size = 0, _size()
    first = _position()
    while True:
        position, count = _step(size)
        read += count
        if progress:
            progress(position - first, size - first)
        if position >= size:
            break
        if ends is not None and time.monotonic() > ends:
            return Reconciled(read, at_end=False)
    now = datetime.now(UTC)
    numbering.take_heartbeats(made_before=now - _grace())
    Followed.objects.filter(name=Followed.COMPLETENESS).update(followed_at=now)
    _tell_gaps(now)
    _tell_silence(now)
    return Reconciled(read, at_end=True)


def overdue(now: datetime) -> list[Gap]:
    """Gaps that nobody was told of yet, and that nothing on its way can close any more."""
    waiting = Gap.objects.filter(closed_at=None, explained_at=None, told_at=None, found_at__lt=now - _grace())
    try:
        stats = dlq.stream.for_drain().stats()
        on_the_way = stats.due + stats.leased > 0
    except dlq.errors.Refused:
        on_the_way = True
    if on_the_way:
        waiting = waiting.filter(found_at__lt=now - LONGEST_WAIT)
    return list(waiting.select_related("numbering").order_by("found_at"))


def _grace() -> timedelta:
    return timedelta(seconds=settings.GAP_GRACE_S)


def _size() -> int:
    head = stored.head("default")
    return 0 if head is None else head.size


def _position() -> int:
    return Followed.objects.get_or_create(name=Followed.COMPLETENESS)[0].position


@transaction.atomic
def _step(size: int) -> tuple[int, int]:
    """Read the next records; return the place and how many there were."""
    place = Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)
    last = min(place.position + BATCH, size)
    rows = _rows(place.position, last) if last > place.position else []
    numbering.take(Numbered(*row[:5]) for row in rows if row[2] is not None)
    rhythm.take((row[0], row[5]) for row in rows)
    tally.take(Kept(row[0], row[5], row[6]) for row in rows)
    place.position = max(last, place.position)
    place.save(update_fields=["position"])
    return place.position, len(rows)


def _rows(first: int, last: int) -> list[tuple[Any, ...]]:
    with connections["default"].cursor() as cursor:
        cursor.execute(_ROWS, [first, last])
        return list(cursor.fetchall())


def _tell_gaps(now: datetime) -> None:
    """A record that names them, then the alarm; what cannot be recorded is told at the next run."""
    if not (found := overdue(now)):
        return
    numbers = sum(gap.missing for gap in found)
    writers = sorted({gap.numbering.writer for gap in found})
    log.error("gaps_found", gaps=len(found), numbers=numbers, writers=writers[:NAMED])
    trail.add(
        "audit.gap.found",
        actor=OWN_WRITER,
        outcome="failure",
        correlation="completeness",
        gaps=[gap.facts() for gap in found[:NAMED]],
        count=len(found),
        numbers=numbers,
    )
    text = (
        f"{numbers} events of {', '.join(writers[:5])} never came; the first: {found[0]}. See the admin, Completeness."
    )
    if dlq.alarm.tell("audit.gap", text, gaps=len(found), numbers=numbers):
        Gap.objects.filter(pk__in=[gap.pk for gap in found]).update(told_at=now)


def _tell_silence(now: datetime) -> None:
    silences = {one.writer: one for one in rhythm.silent(now)}
    Rhythm.objects.filter(told_at__isnull=False).exclude(writer__in=silences).update(told_at=None)
    new = [*Rhythm.objects.filter(writer__in=silences, told_at=None).order_by("writer")]
    if not new:
        return
    names = [one.writer for one in new]
    log.error("writers_silent", writers=names[:NAMED])
    trail.add(
        "audit.writer.silent",
        actor=OWN_WRITER,
        outcome="failure",
        correlation="completeness",
        writers=[{"writer": name, "since": silences[name].since.isoformat()} for name in names[:NAMED]],
        count=len(names),
    )
    text = f"{len(names)} writers are silent for longer than they use to be: {', '.join(names[:5])}."
    if dlq.alarm.tell("audit.silence", text, writers=len(names)):
        Rhythm.objects.filter(writer__in=names).update(told_at=now)
