"""sequences: follow the sequence numbers that writers give their events, and find which of them never came.

A writer numbers its events 1, 2, 3 ... within an epoch. What is between the highest that came and the one that comes
now is a gap; each of its numbers was made between the times of its neighbours. What comes late fills it, and the gap
stays as history. A number that comes again, with another event, is counted.

Each step is one statement for all epochs that it touches: a writer that puts each event into an epoch of its own costs
a row an event, not round trips, and keeps nobody else's numbers waiting.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from audit.formats.event import SealedEvent
from audit.models import Heartbeat, Hole, Numbering
from audit.postgres import sql

REUSED_NAMED = 100
# Heartbeats that one transaction takes.
BEATS = 1_000
# Epochs that are in memory together: a step may bring 20,000, with a gap each.
EPOCHS = 1_000
# Gaps, or holes, that are in memory together, and that one statement inserts: a step may open 20,000.
ROWS = 1_000
_BEGIN = """
INSERT INTO audit_numbering (writer, epoch, highest, events, reused, reused_first)
SELECT writer, epoch, 0, 0, 0, '[]' FROM unnest(%s::text[], %s::text[]) AS key (writer, epoch)
ORDER BY writer COLLATE "C", epoch COLLATE "C"
ON CONFLICT (writer, epoch) DO NOTHING
"""
# In one order, that of Python's text, so that two that follow at once do not lock each other.
_LOCK = """
SELECT numbering.* FROM unnest(%s::text[], %s::text[]) AS key (writer, epoch)
JOIN audit_numbering numbering USING (writer, epoch)
ORDER BY writer COLLATE "C", epoch COLLATE "C" FOR UPDATE OF numbering
"""
_SAVE = """
UPDATE audit_numbering SET highest = now.highest, highest_at = now.highest_at, events = now.events,
    reused = now.reused, reused_first = now.reused_first::jsonb, began_at = now.began_at, updated_at = now.updated_at
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[],
    %s::timestamptz[]) AS now (id, highest, highest_at, events, reused, reused_first, began_at, updated_at)
WHERE audit_numbering.id = now.id
"""
_WAIT = """
UPDATE audit_heartbeat SET waiting_seq = now.seq, waiting_at = now.at
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS now (id, seq, at) WHERE audit_heartbeat.id = now.id
"""
_CAME = """
UPDATE audit_gap SET missing = missing - came, last_late_at = %s, closed_at = CASE WHEN missing = came THEN %s END
FROM unnest(%s::bigint[], %s::bigint[]) AS filled (gap, came) WHERE audit_gap.id = gap
"""
# Gaps with their holes, which are as large at first: one statement, for nobody needs their ids.
_OPEN = """
WITH gap AS (
    INSERT INTO audit_gap (numbering_id, first, last, missing, after_at, before_at, found_at, tail, owner, explanation)
    SELECT numbering, first, last, last - first + 1, after_at, before_at, %s, %s, '', ''
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        AS missing (numbering, first, last, after_at, before_at)
    RETURNING id, numbering_id, first, last, after_at, before_at
)
INSERT INTO audit_hole (gap_id, numbering_id, first, last, after_at, before_at) SELECT * FROM gap
"""
# What is left of holes: of the same gaps.
_REMAIN = """
INSERT INTO audit_hole (gap_id, numbering_id, first, last, after_at, before_at)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
"""
# Each by its own search in the index: between the first late number and the last there may be a million holes.
_AROUND = """
SELECT DISTINCT hole.* FROM unnest(%s::bigint[], %s::bigint[]) AS late (numbering, seq) CROSS JOIN LATERAL (
    SELECT * FROM audit_hole WHERE numbering_id = late.numbering AND first <= late.seq ORDER BY first DESC LIMIT 1
) hole WHERE hole.last >= late.seq ORDER BY hole.numbering_id, hole.first
"""

Key = tuple[str, str]
# Of an event, which numbering its number is of.
_key: Callable[[SealedEvent], Key] = attrgetter("writer", "epoch")
_order: Callable[[SealedEvent], tuple[int, datetime, UUID]] = attrgetter("seq", "at", "id")


class NumberedEvent(NamedTuple):
    numbering: Numbering
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


MissingRanges = list[tuple[Numbering, MissingRange]]


@transaction.atomic
def apply(events: Iterable[SealedEvent]) -> None:
    """Follow the numbers of events of the log, each event once, in any order."""
    numbered = sorted((event for event in events if event.seq is not None), key=_key)
    epochs, now = groupby(numbered, key=_key), sql.now()
    while came_of := {key: list(came) for key, came in islice(epochs, EPOCHS)}:
        _follow(came_of, now)


@transaction.atomic
def apply_heartbeats(*, made_before: datetime) -> bool:
    """What a heartbeat named and no event brought is a gap at the end, once the heartbeat is old enough.

    Takes a portion of the heartbeats; returns whether more may be left.
    """
    # What was judged waits no more: each that named a number since waits with the first of them.
    rows = Heartbeat.objects.select_for_update().filter(waiting_at__lt=made_before)
    beats = list(rows.order_by("waiting_at", "pk")[:BEATS])
    if not beats:
        return False
    numberings = _lock({(beat.writer, beat.epoch) for beat in beats})
    tails: MissingRanges = []
    for beat in beats:
        numbering = numberings[beat.writer, beat.epoch]
        if beat.seq is not None and beat.at < made_before:
            _extend(numbering, beat.seq, beat.at, tails)
        elif beat.waiting_seq is not None and beat.waiting_at is not None:
            _extend(numbering, beat.waiting_seq, beat.waiting_at, tails)
        younger = beat.at >= made_before and beat.seq != beat.waiting_seq
        beat.waiting_seq, beat.waiting_at = (beat.seq, beat.at) if younger else (None, None)
    _open(tails, sql.now(), tail=True)
    _save(numberings.values())
    sql.run(_WAIT, _columns((beat.pk, beat.waiting_seq, beat.waiting_at) for beat in beats))
    return len(beats) == BEATS


def missing(writer: str, epoch: str, *, limit: int) -> list[Hole]:
    return list(Hole.objects.filter(numbering__writer=writer, numbering__epoch=epoch)[:limit])


def _follow(came_of: Mapping[Key, Sequence[SealedEvent]], now: datetime) -> None:
    """Follow the numbers of some epochs."""
    numberings = _lock(came_of)
    in_order = {key: sorted(events, key=_order) for key, events in came_of.items()}
    late = [
        NumberedEvent(numberings[key], _seq(event), event.at, event.id)
        for key, events in in_order.items()
        for event in events
        if _seq(event) <= numberings[key].highest
    ]
    # By their numbers, so that the first that are kept of those used twice do not depend on the epochs beside.
    reused = _fill(sorted(late, key=lambda event: event[1:]), now) if late else []
    left_out: MissingRanges = []
    for key, numbering in numberings.items():
        numbering.events += len(in_order[key])
        numbering.began_at, numbering.updated_at = numbering.began_at or now, now
        highest = numbering.highest
        reused += _advance(numbering, (event for event in in_order[key] if _seq(event) > highest), left_out, now)
    for event in reused:
        event.numbering.reused += 1
        if len(event.numbering.reused_first) < REUSED_NAMED:
            event.numbering.reused_first.append([event.seq, str(event.record_id)])
    _open(left_out, now)
    _save(numberings.values())


def _seq(event: SealedEvent) -> int:
    assert event.seq is not None  # of others nothing is followed
    return event.seq


def _lock(keys: Collection[Key]) -> dict[Key, Numbering]:
    """Lock the numberings of these writers and epochs; those that were not there begin."""
    columns = _columns(keys)
    sql.run(_BEGIN, columns)
    return {(numbering.writer, numbering.epoch): numbering for numbering in Numbering.objects.raw(_LOCK, columns)}


def _save(numberings: Iterable[Numbering]) -> None:
    sql.run(_SAVE, _columns(map(_values, numberings)))


def _values(row: Numbering) -> tuple[object, ...]:
    reused_first = json.dumps(row.reused_first)
    return row.pk, row.highest, row.highest_at, row.events, row.reused, reused_first, row.began_at, row.updated_at


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _extend(numbering: Numbering, seq: int, at: datetime, left_out: MissingRanges) -> None:
    """All up to `seq` was given out: what is above the highest that came is left out."""
    if seq > numbering.highest:
        left_out.append((numbering, MissingRange(numbering.highest + 1, seq, numbering.highest_at, at)))
        numbering.highest, numbering.highest_at = seq, at


def _advance(
    numbering: Numbering, events: Iterable[SealedEvent], left_out: MissingRanges, now: datetime
) -> list[NumberedEvent]:
    """Go up to the highest of these, in order of their numbers; return those whose number came twice among them.

    What is left out is opened as soon as it fills a statement.
    """
    reused = []
    for event in events:
        seq, highest = _seq(event), numbering.highest
        if seq == highest:
            reused.append(NumberedEvent(numbering, seq, event.at, event.id))
            continue
        if seq > highest + 1:
            left_out.append((numbering, MissingRange(highest + 1, seq - 1, numbering.highest_at, event.at)))
        numbering.highest, numbering.highest_at = seq, event.at
        if len(left_out) == ROWS:
            _open(left_out, now)
            left_out.clear()
    return reused


def _open(ranges: MissingRanges, now: datetime, *, tail: bool = False) -> None:
    for first in range(0, len(ranges), ROWS):
        portion = ranges[first : first + ROWS]
        sql.run(_OPEN, [now, tail, *_columns((row.pk, *each) for row, each in portion)])


def _fill(late: Sequence[NumberedEvent], now: datetime) -> list[NumberedEvent]:
    """Take late numbers out of the holes; return those that were in none: their numbers had come before."""
    holes = list(Hole.objects.raw(_AROUND, _columns({(event.numbering.pk, event.seq) for event in late})))
    starts = [(hole.numbering_id, hole.first) for hole in holes]
    inside: dict[int, list[NumberedEvent]] = {}
    reused: list[NumberedEvent] = []
    for event in late:
        place = bisect_right(starts, (event.numbering.pk, event.seq)) - 1
        hole = holes[place] if place >= 0 else None
        is_missing = hole is not None and hole.numbering_id == event.numbering.pk and event.seq <= hole.last
        if is_missing and (place not in inside or inside[place][-1].seq < event.seq):
            inside.setdefault(place, []).append(event)
        else:
            reused.append(event)
    _split([(holes[place], came) for place, came in inside.items()], now)
    return reused


def _split(filled: Sequence[tuple[Hole, list[NumberedEvent]]], now: datetime) -> None:
    """Leave of each hole what is between those that came, with the tighter times that they tell."""
    came_of: Counter[int] = Counter()
    remaining = []
    for hole, came in filled:
        came_of[hole.gap_id] += len(came)
        remaining += [(hole.gap_id, hole.numbering_id, *each) for each in _between(hole, came) if each.size > 0]
    Hole.objects.filter(pk__in=[hole.pk for hole, _ in filled]).delete()
    for first in range(0, len(remaining), ROWS):
        sql.run(_REMAIN, _columns(remaining[first : first + ROWS]))
    sql.run(_CAME, [now, now, list(came_of), list(came_of.values())])


def _between(hole: Hole, came: Sequence[NumberedEvent]) -> list[MissingRange]:
    ranges, first, after_at = [], hole.first, hole.after_at
    for event in came:
        ranges.append(MissingRange(first, event.seq - 1, after_at, event.at))
        first, after_at = event.seq + 1, event.at
    return [*ranges, MissingRange(first, hole.last, after_at, hole.before_at)]
