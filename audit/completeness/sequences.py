"""sequences: follow the sequence numbers that writers give their events, and find which of them never came.

A writer numbers its events 1, 2, 3 ... within an epoch. What is between the highest that came and the one that comes
now is a gap; each of its numbers was made between the times of its neighbours. What comes late fills it, and the gap
stays as history. A number that comes again, with another event, is counted.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from audit.formats.event import SealedEvent
from audit.models import Gap, Heartbeat, Hole, Numbering
from audit.postgres import sql

REUSED_NAMED = 100
# Heartbeats that one transaction takes.
BEATS = 500
_CAME = """
UPDATE audit_gap SET missing = missing - came, last_late_at = %s, closed_at = CASE WHEN missing = came THEN %s END
FROM unnest(%s::bigint[], %s::bigint[]) AS filled (gap, came) WHERE audit_gap.id = gap
"""
# Each by its own search in the index: between the first late number and the last there may be a million holes.
_AROUND = """
SELECT DISTINCT hole.* FROM unnest(%s::bigint[]) AS late (seq) CROSS JOIN LATERAL (
    SELECT * FROM audit_hole WHERE numbering_id = %s AND first <= late.seq ORDER BY first DESC LIMIT 1
) hole WHERE hole.last >= late.seq ORDER BY hole.first
"""


class NumberedEvent(NamedTuple):
    seq: int
    at: datetime
    record_id: UUID


class MissingRange(NamedTuple):
    """Numbers first .. last that are missing, each of them made between two times."""

    first: int
    last: int
    after_at: datetime | None
    before_at: datetime

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@transaction.atomic
def apply(events: Iterable[SealedEvent]) -> None:
    """Follow the numbers of events of the log, each event once, in any order."""
    numbered: dict[tuple[str, str], list[NumberedEvent]] = defaultdict(list)
    for event in events:
        if event.seq is not None:
            numbered[event.writer, event.epoch].append(NumberedEvent(event.seq, event.at, event.id))
    for (writer, epoch), of_epoch in sorted(numbered.items()):
        numbering, _ = Numbering.objects.select_for_update().get_or_create(writer=writer, epoch=epoch)
        _follow(numbering, sorted(of_epoch))


@transaction.atomic
def apply_heartbeats(*, made_before: datetime) -> bool:
    """What a heartbeat named and no event brought is a gap at the end, once the heartbeat is old enough.

    Takes a portion of the heartbeats; returns whether more may be left.
    """
    old = Q(waiting_at__lt=made_before) | Q(at__lt=made_before, seq__isnull=False)
    came = Numbering.objects.filter(writer=OuterRef("writer"), epoch=OuterRef("epoch"), highest__gte=OuterRef("seq"))
    rows = Heartbeat.objects.select_for_update().filter(old).exclude(Exists(came), waiting_at=None)
    beats = list(rows.order_by("pk")[:BEATS])
    for beat in sorted(beats, key=lambda beat: (beat.writer, beat.epoch)):  # the order in which `apply` locks them
        if beat.seq is not None and beat.at < made_before:
            _open_tail(beat, beat.seq, beat.at)
        elif beat.waiting_seq is not None and beat.waiting_at is not None:
            _open_tail(beat, beat.waiting_seq, beat.waiting_at)
        younger = beat.at >= made_before and beat.seq != beat.waiting_seq
        beat.waiting_seq, beat.waiting_at = (beat.seq, beat.at) if younger else (None, None)
        beat.save(update_fields=["waiting_seq", "waiting_at"])
    return len(beats) == BEATS


def missing(writer: str, epoch: str, *, limit: int) -> list[Hole]:
    return list(Hole.objects.filter(numbering__writer=writer, numbering__epoch=epoch)[:limit])


def _open_tail(beat: Heartbeat, seq: int, at: datetime) -> None:
    numbering, _ = Numbering.objects.select_for_update().get_or_create(writer=beat.writer, epoch=beat.epoch)
    if seq > numbering.highest:
        _open(numbering, [MissingRange(numbering.highest + 1, seq, numbering.highest_at, at)], tail=True)
        numbering.highest, numbering.highest_at = seq, at
        numbering.save()


def _follow(numbering: Numbering, events: list[NumberedEvent]) -> None:
    """Apply events of one numbering, in order of their numbers."""
    now = datetime.now(UTC)
    late = [event for event in events if event.seq <= numbering.highest]
    reused = _fill(numbering, late, now) if late else []
    left_out: list[MissingRange] = []
    for event in events[len(late) :]:
        if event.seq == numbering.highest:
            reused.append(event)
            continue
        if event.seq > numbering.highest + 1:
            left_out.append(MissingRange(numbering.highest + 1, event.seq - 1, numbering.highest_at, event.at))
        numbering.highest, numbering.highest_at = event.seq, event.at
    _open(numbering, left_out)
    numbering.events += len(events)
    numbering.reused += len(reused)
    room = REUSED_NAMED - len(numbering.reused_first)
    numbering.reused_first += [[event.seq, str(event.record_id)] for event in reused[:room]]
    numbering.began_at, numbering.updated_at = numbering.began_at or now, now
    numbering.save()


def _open(numbering: Numbering, ranges: Sequence[MissingRange], *, tail: bool = False) -> None:
    if not ranges:
        return
    now = sql.now()
    gaps = Gap.objects.bulk_create(
        [Gap(numbering=numbering, missing=each.size, found_at=now, tail=tail, **each._asdict()) for each in ranges]
    )
    Hole.objects.bulk_create(
        [Hole(gap=gap, numbering=numbering, **each._asdict()) for gap, each in zip(gaps, ranges, strict=True)]
    )


def _fill(numbering: Numbering, late: Sequence[NumberedEvent], now: datetime) -> list[NumberedEvent]:
    """Take late numbers out of the holes; return those that were in none: their numbers had come before."""
    holes = list(Hole.objects.raw(_AROUND, [sorted({event.seq for event in late}), numbering.pk]))
    starts = [hole.first for hole in holes]
    inside: dict[int, list[NumberedEvent]] = {}
    reused: list[NumberedEvent] = []
    for event in late:
        place = bisect_right(starts, event.seq) - 1
        if place < 0 or holes[place].last < event.seq or (place in inside and inside[place][-1].seq == event.seq):
            reused.append(event)
        else:
            inside.setdefault(place, []).append(event)
    _split([(holes[place], came) for place, came in inside.items()], now)
    return reused


def _split(filled: Sequence[tuple[Hole, list[NumberedEvent]]], now: datetime) -> None:
    """Leave of each hole what is between those that came, with the tighter times that they tell."""
    came_of: Counter[int] = Counter()
    remaining = []
    for hole, came in filled:
        came_of[hole.gap_id] += len(came)
        remaining += [
            Hole(gap_id=hole.gap_id, numbering_id=hole.numbering_id, **each._asdict())
            for each in _between(hole, came)
            if each.size > 0
        ]
    Hole.objects.filter(pk__in=[hole.pk for hole, _ in filled]).delete()
    Hole.objects.bulk_create(remaining)
    sql.run(_CAME, [now, now, list(came_of), list(came_of.values())])


def _between(hole: Hole, came: Sequence[NumberedEvent]) -> list[MissingRange]:
    ranges, first, after_at = [], hole.first, hole.after_at
    for event in came:
        ranges.append(MissingRange(first, event.seq - 1, after_at, event.at))
        first, after_at = event.seq + 1, event.at
    return [*ranges, MissingRange(first, hole.last, after_at, hole.before_at)]
