"""reconcile: follow the log to its end, and know of each writer what should be here and is not.

Each record is read once, when it has been sealed: the log's index has no holes and never moves, so a place in it is all
that has to be remembered, and a run costs what is new, whatever the store holds.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connections, transaction
from django.db.models import QuerySet

import dlq.alarm
import dlq.errors
import dlq.stream
from audit.accounting import stored_counts
from audit.accounting.stored_counts import Kept
from audit.completeness import coverage, manifests, sequences, silence
from audit.completeness.sequences import Numbered
from audit.expectations import evaluate, unmet
from audit.formats.expectation import Seen
from audit.ingest import trail
from audit.ledger import reader
from audit.models import OWN_WRITER, Discrepancy, Followed, Gap, Manifest, Rhythm

log = structlog.get_logger(__name__)

BATCH = 20_000
NAMED = 100
LONGEST_WAIT = timedelta(hours=1)
"""How long what may still be in the queue keeps a gap from being told, and an expectation from being judged."""
_ROWS = """
SELECT l.index, r.id, r.writer, coalesce(r.source_epoch, ''), r.source_seq, r.event_type, r.event_category,
       r.event_outcome, r.correlation_id, r.event_timestamp, r.received_at, r.parked_at, r.stored_at
FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
WHERE l.index >= %s AND l.index < %s
"""
_UNREAD = "SELECT min(stored_at) FROM audit_unsealed"

FoundT = TypeVar("FoundT", bound=Discrepancy)
Progress = Callable[[int, int], None]
"""Told how many records are read, of how many."""


class Read(NamedTuple):
    """What is read of a record."""

    place: int
    id: UUID
    writer: str
    epoch: str
    seq: int | None
    event_type: str
    category: str
    outcome: str
    correlation_id: str
    at: datetime
    received_at: datetime
    parked_at: datetime | None
    stored_at: datetime


class Reconciled(NamedTuple):
    """What a run did."""

    read: int
    at_end: bool
    """Whether all that is sealed is accounted for."""


def reconcile(*, seconds: float | None = None, progress: Progress | None = None) -> Reconciled:
    """Read what was sealed since the last run, for at most `seconds`; at the end, judge and tell what is overdue.

    Safe to run in several processes at once, and to be killed anywhere. Raises what the database raises.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    read_until = _read_until(datetime.now(UTC))  # and only then how much is sealed: all of before is in it
    came_before = min(_not_on_its_way(datetime.now(UTC)), read_until)
    read, size = 0, _size()
    first = _position()
    heard: set[str] = set()
    while True:
        position, rows = _step(size)
        read += len(rows)
        heard.update(one.writer for one in rows)
        if progress:
            progress(position - first, size - first)
        if position >= size:
            break
        if ends is not None and time.monotonic() > ends:
            manifests.look_again(heard)
            return Reconciled(read, at_end=False)
    manifests.look_again(heard)
    now = datetime.now(UTC)
    sequences.take_heartbeats(made_before=read_until - _grace())
    Followed.objects.filter(name=Followed.COMPLETENESS).update(followed_at=read_until)
    while evaluate.settle(came_before) and (ends is None or time.monotonic() < ends):
        pass
    manifests.look_at(
        overdue(Manifest, now)[:NAMED]
    )  # a run that was killed may have read what they name, and not looked
    _tell(Gap, now, "{count} gaps in the numbers of {writers}; the first: {first}.")
    _tell(Manifest, now, "{count} manifests of {writers} name events that never came; the first: {first}.")
    _tell_silence(now)
    _tell_unmet(now)
    return Reconciled(read, at_end=True)


def overdue(kind: type[FoundT], now: datetime) -> QuerySet[FoundT]:
    """What nobody was told of yet, and nothing on its way can close any more, the oldest first."""
    waiting = kind._default_manager.filter(
        closed_at=None, explained_at=None, told_at=None, found_at__lt=_not_on_its_way(now)
    )
    return waiting.order_by("found_at", "pk")


def _not_on_its_way(now: datetime) -> datetime:
    """What should have come before then does not wait in the queue any more."""
    try:
        stats = dlq.stream.for_drain().totals.stats()
        on_the_way = stats.due + stats.leased > 0
    except dlq.errors.Refused:
        on_the_way = True
    return now - max(_grace(), LONGEST_WAIT if on_the_way else _grace())


def _read_until(now: datetime) -> datetime:
    """All that was stored before then is sealed: what nobody sealed yet is not read."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_UNREAD)
        (unsealed,) = cursor.fetchone()
    return min(now, unsealed or now)


def _grace() -> timedelta:
    return timedelta(seconds=settings.GAP_GRACE_S)


def _size() -> int:
    head = reader.head("default")
    return 0 if head is None else head.size


def _position() -> int:
    return Followed.objects.get_or_create(name=Followed.COMPLETENESS)[0].position


@transaction.atomic
def _step(size: int) -> tuple[int, list[Read]]:
    """Read the next records; return the place and what was read."""
    place = Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)
    last = min(place.position + BATCH, size)
    rows = _rows(place.position, last) if last > place.position else []
    sequences.take(Numbered(one.writer, one.epoch, one.seq, one.at, one.id) for one in rows if one.seq is not None)
    silence.take((one.writer, one.received_at) for one in rows)
    stored_counts.take(Kept(one.writer, one.received_at, one.parked_at is not None) for one in rows)
    evaluate.take(
        Seen(one.place, one.id, one.writer, one.event_type, one.category, one.correlation_id, one.at, one.stored_at)
        for one in rows
    )
    coverage.take(
        coverage.Seen(one.writer, one.at, one.outcome == "failure", one.parked_at is not None) for one in rows
    )
    place.position = max(last, place.position)
    place.save(update_fields=["position"])
    return place.position, rows


def _rows(first: int, last: int) -> list[Read]:
    with connections["default"].cursor() as cursor:
        cursor.execute(_ROWS, [first, last])
        return [Read(*row) for row in cursor.fetchall()]


def _tell(kind: type[Discrepancy], now: datetime, text: str) -> None:
    """A record that names them, then the alarm; what cannot be recorded is told at the next run."""
    waiting = overdue(kind, now)
    if not (found := list(waiting.select_related(*kind.RELATED).defer(*kind.LARGE)[:NAMED])):
        return
    count = waiting.count()
    writers = list(waiting.order_by(kind.WRITER).values_list(kind.WRITER, flat=True).distinct()[:NAMED])
    log.error(f"{kind.NOUN}s_found", count=count, writers=writers)
    trail.add(
        f"audit.{kind.NOUN}.found",
        actor=OWN_WRITER,
        outcome="failure",
        correlation="completeness",
        found=[one.facts() for one in found],
        count=count,
    )
    words = text.format(count=count, writers=", ".join(writers[:5]), first=found[0])
    if dlq.alarm.tell(f"audit.{kind.NOUN}", f"{words} See the admin, Completeness.", count=count):
        waiting.order_by().update(told_at=now)


def _tell_silence(now: datetime) -> None:
    silences = {one.writer: one for one in silence.silent(now)}
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


def _tell_unmet(now: datetime) -> None:
    waiting = unmet.untold()
    newest = waiting.order_by("-id").values_list("id", flat=True).first()
    if newest is None:
        return
    waiting = waiting.filter(pk__lte=newest)
    first, count = list(waiting[:NAMED]), waiting.count()
    rules = sorted({one.expectation.name for one in first})
    log.error("expectations_unmet", count=count, rules=rules)
    trail.add(
        "audit.expectation.unmet",
        actor=OWN_WRITER,
        outcome="failure",
        correlation="completeness",
        unmet=[one.facts() for one in first],
        count=count,
    )
    text = (
        f"{count} expectations were not met ({', '.join(rules[:5])}); the first: {first[0]}, which expects that "
        f"{first[0].wanted}. See the admin, Unmet expectations."
    )
    if dlq.alarm.tell("audit.expectation", text, unmet=count):
        waiting.update(told_at=now)
