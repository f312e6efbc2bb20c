"""sequences: follow the numbers that writers give their events, and know which of them never came.

A writer numbers its events 1, 2, 3 ... within an epoch. What is between the highest that came and the one that comes
now is a gap; each of its numbers was made between the times of its neighbours. What comes late fills it, and the gap
stays as history. A number that comes again, with another event, is counted.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Exists, OuterRef, Q

from audit.models import Gap, Heartbeat, Hole, Numbering

REUSED_NAMED = 100
_CAME = """
UPDATE audit_gap SET missing = missing - came, last_late_at = %s, closed_at = CASE WHEN missing = came THEN %s END
FROM unnest(%s::bigint[], %s::bigint[]) AS filled (gap, came) WHERE audit_gap.id = gap
"""

# Each by its own way in the index: between the first late number and the last there may be a million holes.
_AROUND = """
SELECT DISTINCT hole.* FROM unnest(%s::bigint[]) AS late (seq) CROSS JOIN LATERAL (
    SELECT * FROM audit_hole WHERE numbering_id = %s AND first <= late.seq ORDER BY first DESC LIMIT 1
) hole WHERE hole.last >= late.seq ORDER BY hole.first
"""


class Numbered(NamedTuple):
    """One event with its number."""

    writer: str
    epoch: str
    seq: int
    at: datetime
    """When the writer says it happened."""
    record_id: UUID


class Span(NamedTuple):
    """Numbers first .. last that are missing, each of them made between two times."""

    first: int
    last: int
    after_at: datetime | None
    before_at: datetime

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.last - self.first + 1


@transaction.atomic
def take(events: Iterable[Numbered]) -> None:
    """Take note of events that are in the log, each once, in any order."""
    ordered = sorted(events, key=lambda one: (one.writer, one.epoch, one.seq))
    for (writer, epoch), found in groupby(ordered, key=lambda one: (one.writer, one.epoch)):
        numbering, _ = Numbering.objects.select_for_update().get_or_create(writer=writer, epoch=epoch)
        _follow(numbering, list(found))


@transaction.atomic
def take_heartbeats(*, made_before: datetime) -> None:
    """What a heartbeat named and no event brought is a gap at the end, once the heartbeat is old enough."""
    old = Q(waiting_at__lt=made_before) | Q(at__lt=made_before, seq__isnull=False)
    came = Numbering.objects.filter(writer=OuterRef("writer"), epoch=OuterRef("epoch"), highest__gte=OuterRef("seq"))
    beats = Heartbeat.objects.select_for_update().filter(old).exclude(Exists(came), waiting_at=None)
    for beat in sorted(beats, key=lambda one: (one.writer, one.epoch)):  # the order in which `take` locks them
        if beat.seq is not None and beat.at < made_before:
            _owe(beat, beat.seq, beat.at)
        elif beat.waiting_seq is not None and beat.waiting_at is not None:
            _owe(beat, beat.waiting_seq, beat.waiting_at)
        younger = beat.at >= made_before and beat.seq != beat.waiting_seq
        beat.waiting_seq, beat.waiting_at = (beat.seq, beat.at) if younger else (None, None)
        beat.save(update_fields=["waiting_seq", "waiting_at"])


def _owe(beat: Heartbeat, seq: int, at: datetime) -> None:
    numbering, _ = Numbering.objects.select_for_update().get_or_create(writer=beat.writer, epoch=beat.epoch)
    if seq > numbering.highest:
        _open(numbering, [Span(numbering.highest + 1, seq, numbering.highest_at, at)], tail=True)
        numbering.highest, numbering.highest_at = seq, at
        numbering.save()


def missing(writer: str, epoch: str, *, limit: int) -> list[Hole]:
    """The first runs of numbers that a writer was found to owe."""
    return list(Hole.objects.filter(numbering__writer=writer, numbering__epoch=epoch)[:limit])


def _follow(numbering: Numbering, events: list[Numbered]) -> None:
    """Events of one numbering, in order of their numbers."""
    now = datetime.now(UTC)
    late = [one for one in events if one.seq <= numbering.highest]
    again = _fill(numbering, late, now) if late else []
    left_out: list[Span] = []
    for one in events[len(late) :]:
        if one.seq == numbering.highest:
            again.append(one)
            continue
        if one.seq > numbering.highest + 1:
            left_out.append(Span(numbering.highest + 1, one.seq - 1, numbering.highest_at, one.at))
        numbering.highest, numbering.highest_at = one.seq, one.at
    _open(numbering, left_out)
    numbering.events += len(events)
    numbering.reused += len(again)
    numbering.reused_first += [
        [one.seq, str(one.record_id)] for one in again[: REUSED_NAMED - len(numbering.reused_first)]
    ]
    numbering.began_at, numbering.updated_at = numbering.began_at or now, now
    numbering.save()


def _open(numbering: Numbering, spans: Sequence[Span], *, tail: bool = False) -> None:
    now = datetime.now(UTC)
    gaps = Gap.objects.bulk_create(
        [Gap(numbering=numbering, missing=span.size, found_at=now, tail=tail, **span._asdict()) for span in spans]
    )
    Hole.objects.bulk_create(
        [Hole(gap=gap, numbering=numbering, **span._asdict()) for gap, span in zip(gaps, spans, strict=True)]
    )


def _fill(numbering: Numbering, late: Sequence[Numbered], now: datetime) -> list[Numbered]:
    """Take late numbers out of the holes; return those that were in none: their numbers had come before."""
    holes = list(Hole.objects.raw(_AROUND, [sorted({one.seq for one in late}), numbering.pk]))
    starts = [hole.first for hole in holes]
    inside: dict[int, list[Numbered]] = {}
    again: list[Numbered] = []
    for one in late:
        place = bisect_right(starts, one.seq) - 1
        if place < 0 or holes[place].last < one.seq or (place in inside and inside[place][-1].seq == one.seq):
            again.append(one)
        else:
            inside.setdefault(place, []).append(one)
    _split([(holes[place], came) for place, came in inside.items()], now)
    return again


def _split(filled: Sequence[tuple[Hole, list[Numbered]]], now: datetime) -> None:
    """Leave of each hole what is between those that came, with the tighter times that they tell."""
    came_of: Counter[int] = Counter()
    left = []
    for hole, came in filled:
        came_of[hole.gap_id] += len(came)
        left += [
            Hole(gap_id=hole.gap_id, numbering_id=hole.numbering_id, **span._asdict())
            for span in _between(hole, came)
            if span.size > 0
        ]
    Hole.objects.filter(pk__in=[hole.pk for hole, _ in filled]).delete()
    Hole.objects.bulk_create(left)
    with connections["default"].cursor() as cursor:
        cursor.execute(_CAME, [now, now, list(came_of), list(came_of.values())])


def _between(hole: Hole, came: Sequence[Numbered]) -> list[Span]:
    spans, first, after_at = [], hole.first, hole.after_at
    for one in came:
        spans.append(Span(first, one.seq - 1, after_at, one.at))
        first, after_at = one.seq + 1, one.at
    return [*spans, Span(first, hole.last, after_at, hole.before_at)]
