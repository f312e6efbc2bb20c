"""reconcile: follow the log to its end, and know of each writer what should be here and is not.

Each record is read once, when it has been sealed: the log's index has no holes and never moves, so a position in it is
all that has to be remembered, and a run costs what is new, whatever the store holds.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

import dlq.errors
import dlq.stream
from audit.accounting import stored_counts
from audit.completeness import compare, counts, coverage, sequences, silence
from audit.expectations import close, evaluate, unmet
from audit.formats.event import SealedEvent
from audit.ingest import own_event
from audit.ingest.notify import notify
from audit.ledger import reader
from audit.models import OWN_WRITER, Discrepancy, Followed, Gap, Manifest, Rhythm
from audit.models.completeness import MAX_FOLLOWED
from audit.postgres import replica, sql

LEAST_BATCH = 100
# Findings that one record names, and writers or rules that one alarm names.
FINDINGS_NAMED, NAMES_TOLD = 100, 5
# How long an event that may still be in the queue keeps a gap from being told, and an expectation from being judged.
LONGEST_WAIT = timedelta(hours=1)
_ROWS = f"""
SELECT l.index, r.id, r.writer, r.event_type, r.event_category, r.correlation_id, r.event_timestamp, r.stored_at,
       r.received_at, coalesce(r.source_epoch, ''), r.source_seq, r.event_outcome, r.parked_at
FROM audit_leaf l JOIN {sql.RECORD_OF_LEAF}
WHERE l.index >= %s AND l.index < %s ORDER BY l.index
"""
_UNSEALED = "SELECT min(stored_at) FROM audit_unsealed"

FindingT = TypeVar("FindingT", bound=Discrepancy)


class Reconciled(NamedTuple):
    read: int
    # Whether all that is sealed is read.
    at_end: bool
    # What a later run does, in words: there was no time, or there are too many of it for one run.
    left: tuple[str, ...] = ()


def reconcile(*, seconds: float | None = None, progress: compare.Progress | None = None) -> Reconciled:
    """Read what was sealed since the last run, for at most `seconds`; at the end, judge and tell what is overdue.

    What was found is told before anything that may take long; `progress` is called with "records", and at the end with
    "manifests". What was counted meanwhile is put together last. Safe to run in several processes at once, and to be
    killed anywhere. Raises what the database raises.
    """
    replica.require_whole()
    ends = math.inf if seconds is None else time.monotonic() + seconds

    def is_late() -> bool:
        return time.monotonic() > ends

    done = _reconcile(is_late, progress)
    counts.fold(is_late)
    return done


def _reconcile(is_late: Callable[[], bool], progress: compare.Progress | None) -> Reconciled:
    read_until = _read_until(sql.now())  # and only then how much is sealed: all of before is in it
    came_before = min(_not_on_its_way(sql.now()), read_until)
    read, size = 0, reader.signed_size("default")
    first = Followed.objects.get_or_create(name=Followed.COMPLETENESS)[0].position
    heard: set[str] = set()
    while True:
        position, events = _step(size)
        read += len(events)
        heard.update(event.writer for event in events)
        if progress:
            progress("records", position - first, size - first)
        if position >= size:
            break
        if is_late():
            return Reconciled(read, at_end=False, left=(f"{size - position:,} records to read",))
    now = sql.now()
    Followed.objects.filter(name=Followed.COMPLETENESS).update(followed_at=read_until)
    _notify_overdue(Gap, now, "{count} gaps in the numbers of {writers}; the first: {first}.")
    _notify_silence(now)
    _notify_unmet(now)
    left = _judge(read_until, came_before, is_late)
    _notify_unmet(now)
    _notify_manifests(now, is_late)
    if more := compare.compare_open(heard, is_late, progress):
        left.append(f"{more:,} or more manifests to compare")
    return Reconciled(read, at_end=True, left=tuple(left))


def _judge(read_until: datetime, came_before: datetime, is_late: Callable[[], bool]) -> list[str]:
    """Judge heartbeats and expectations that are old enough, and close what came late, until it is late; return what is
    left, in words."""
    left = []
    while sequences.apply_heartbeats(made_before=read_until - _grace()):
        if is_late():
            left.append("heartbeats to judge")
            break
    while close.close_more():
        if is_late():
            left.append("findings to close")
            break
    while evaluate.settle(came_before):
        if is_late():
            left.append("expectations to judge")
            break
    return left


def overdue(kind: type[FindingT], now: datetime) -> QuerySet[FindingT]:
    """Findings that nobody heard of yet and no event on its way can close any more, the oldest first."""
    waiting = kind._default_manager.filter(
        closed_at=None, explained_at=None, told_at=None, found_at__lt=_not_on_its_way(now)
    )
    return waiting.order_by("found_at", "pk")


def _not_on_its_way(now: datetime) -> datetime:
    """What should have come before then does not wait in the queue any more."""
    try:
        stats = dlq.stream.for_drain().totals.stats()
        on_its_way = stats.due + stats.leased > 0
    except dlq.errors.Refused:
        on_its_way = True
    return now - max(_grace(), LONGEST_WAIT if on_its_way else _grace())


def _read_until(now: datetime) -> datetime:
    """All that was stored before then is sealed: what nobody sealed yet is not read."""
    [(unsealed,)] = sql.rows(_UNSEALED)
    return min(now, unsealed or now)


def _grace() -> timedelta:
    return timedelta(seconds=settings.GAP_GRACE_S)


def _step(size: int) -> tuple[int, list[SealedEvent]]:
    """Read the next records and apply them to all counts; return the new position and what was read."""
    # Before the step, by itself: a step that is killed leaves a smaller one to be tried, down to one that comes to
    # its end, whatever a writer sent.
    cursors = Followed.objects.filter(name=Followed.COMPLETENESS)
    batch = min(cursors.values_list("batch", flat=True).get(), MAX_FOLLOWED)
    cursors.update(batch=max(batch // 2, LEAST_BATCH))
    return _apply(size, batch)


@transaction.atomic
def _apply(size: int, batch: int) -> tuple[int, list[SealedEvent]]:
    cursor = Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)
    last = min(cursor.position + batch, size)
    events = _read(cursor.position, last) if last > cursor.position else []
    for follower in (sequences, silence, stored_counts, evaluate, coverage):
        follower.apply(events)
    cursor.position, cursor.batch = max(last, cursor.position), min(2 * batch, MAX_FOLLOWED)
    cursor.save(update_fields=["position", "batch"])
    return cursor.position, events


def _read(first: int, last: int) -> list[SealedEvent]:
    return [SealedEvent(*row) for row in sql.rows(_ROWS, [first, last])]


def _notify_overdue(kind: type[Discrepancy], now: datetime, text: str, **where: Any) -> None:
    waiting = overdue(kind, now).filter(**where)
    if not (findings := list(waiting.select_related(*kind.RELATED).defer(*kind.LARGE)[:FINDINGS_NAMED])):
        return
    count = waiting.count()
    writers = waiting.order_by(kind.WRITER).values_list(kind.WRITER, flat=True).distinct()[:NAMES_TOLD]
    notify(
        f"audit.{kind.NOUN}",
        text.format(count=count, writers=", ".join(writers), first=findings[0]) + " See the admin, Completeness.",
        event=_event(f"audit.{kind.NOUN}.found", count, found=[finding.facts() for finding in findings]),
        told=lambda: waiting.order_by().update(told_at=now),
        count=count,
    )


def _notify_manifests(now: datetime, is_late: Callable[[], bool]) -> None:
    """Tell of the next manifests that are overdue, those that were compared since their writers were read."""
    following = list(compare.in_turns(overdue(Manifest, now)).values_list("pk", flat=True)[:FINDINGS_NAMED])
    # A run that was killed may have read what these name, and not compared.
    stale = compare.stale(Manifest.objects.filter(pk__in=following))
    compare.compare_all(compare.in_turns(stale), is_late)
    left = set(stale.exclude(looked_at__gte=now).values_list("pk", flat=True))
    text = "{count} manifests of {writers} name events that never came; the first: {first}."
    _notify_overdue(Manifest, now, text, pk__in=set(following) - left)


def _notify_silence(now: datetime) -> None:
    since = {each.writer: each.since for each in silence.silent()}
    Rhythm.objects.filter(told_at__isnull=False).exclude(writer__in=since).update(told_at=None)
    waiting = Rhythm.objects.filter(writer__in=since, told_at=None).order_by("writer")
    if not (names := list(waiting.values_list("writer", flat=True))):
        return
    writers = [{"writer": name, "since": since[name].isoformat()} for name in names[:FINDINGS_NAMED]]
    notify(
        "audit.silence",
        f"{len(names)} writers are silent for longer than they use to be: {', '.join(names[:NAMES_TOLD])}.",
        event=_event("audit.writer.silent", len(names), writers=writers),
        told=lambda: waiting.update(told_at=now),
        writers=len(names),
    )


def _notify_unmet(now: datetime) -> None:
    waiting = unmet.unnotified()
    newest = waiting.order_by("-id").values_list("id", flat=True).first()
    if newest is None:
        return
    waiting = waiting.filter(pk__lte=newest)
    findings, count = list(waiting[:FINDINGS_NAMED]), waiting.count()
    first, rules = findings[0], sorted({finding.expectation.name for finding in findings})[:NAMES_TOLD]
    notify(
        "audit.expectation",
        f"{count} expectations were not met ({', '.join(rules)}); the first: {first}, which expects that "
        f"{first.wanted}. See the admin, Unmet expectations.",
        event=_event("audit.expectation.unmet", count, unmet=[finding.facts() for finding in findings]),
        told=lambda: waiting.update(told_at=now),
        unmet=count,
    )


def _event(event_type: str, count: int, **named: Sequence[Any]) -> dict[str, Any]:
    return own_event.document(
        event_type, actor=OWN_WRITER, outcome="failure", correlation="completeness", count=count, **named
    )
