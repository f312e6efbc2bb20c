"""absence: why there is nothing of a writer in an hour, as far as that is known.

An outage, numbers that never came, a silence that lasts: each with its times and figures, so that a hole in the picture
explains itself. Where nothing of this is known, that is what is said.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dlq.errors
import dlq.outage
import dlq.stream
from audit.completeness import silence as usual_silence
from audit.models import Episode, Hole

OUTAGES, HOLES = 200, 2_000
"""So many are looked at, the newest; a page that had more would show none of them."""
REASONS = {
    "database-down": "PostgreSQL away",
    "database-busy": "PostgreSQL busy",
    "database-refused": "PostgreSQL refused",
}


class Reason(NamedTuple):
    """One thing that is known of a span of time."""

    kind: str
    """outage, gap or silence."""
    first: datetime
    last: datetime
    text: str

    def touches(self, since: datetime, until: datetime) -> bool:
        """Whether any of it is in this span."""
        return self.first < until and self.last >= since


class Known(NamedTuple):
    """What is known of some writers in a span of time."""

    outages: list[Reason]
    of_writer: dict[str, list[Reason]]

    def why(self, writer: str, since: datetime, until: datetime) -> list[Reason]:
        """What may have kept events of this writer away, the gravest first."""
        found = [one for one in self.of_writer.get(writer, ()) if one.touches(since, until)]
        return found + [one for one in self.outages if one.touches(since, until)]


def look(writers: Sequence[str], since: datetime, until: datetime) -> Known:
    """What is known of these writers between two times."""
    known: dict[str, list[Reason]] = defaultdict(list)
    holes = Hole.objects.filter(numbering__writer__in=writers, before_at__gte=since, gap__closed_at=None)
    for hole in holes.exclude(after_at__gte=until).select_related("numbering").order_by("-before_at")[:HOLES]:
        known[hole.numbering.writer].append(_gap(hole))
    for silence in usual_silence.silent():
        if silence.writer in writers:
            known[silence.writer].append(_silence(silence))
    return Known([*_open_outage(), *_outages(since, until)], dict(known))


def _gap(hole: Hole) -> Reason:
    numbers = f"number {hole.first:,}" if hole.first == hole.last else f"numbers {hole.first:,} to {hole.last:,}"
    # What was made after nothing was made before its neighbour, and nobody knows how long before.
    first = hole.after_at or hole.before_at
    return Reason("gap", first, hole.before_at, f"{numbers} never came, made {_times(first, hole.before_at)}")


def _silence(silence: usual_silence.Silence) -> Reason:
    text = f"silent since {silence.since:%Y-%m-%d %H:%M} UTC, longer than usual"
    return Reason("silence", silence.since, datetime.now(UTC), text)


def _outages(since: datetime, until: datetime) -> list[Reason]:
    found = Episode.objects.filter(began_at__lt=until, emptied_at__gte=since)
    return [_outage(one, one.lost) for one in found.order_by("-began_at")[:OUTAGES]]


def _open_outage() -> list[Reason]:
    try:
        found = dlq.outage.current(dlq.stream.for_drain())
    except dlq.errors.Refused:
        return []
    return [] if found is None else [_outage(found, found.lost)]


def _outage(one: Episode | dlq.outage.QueueOutage, lost: int) -> Reason:
    cause = next((REASONS[why] for why in REASONS if why in one.reasons), "events were parked")
    if one.emptied_at is None:
        text = f"{cause} since {one.began_at:%Y-%m-%d %H:%M} UTC: {one.parked:,} parked, {one.stored:,} stored so far"
        return Reason("outage", one.began_at, datetime.now(UTC), text)
    up = one.up_at or one.emptied_at
    fate = f"all stored by {one.emptied_at:%H:%M}" if one.stored == one.parked else f"{one.stored:,} stored"
    fate += f", {lost:,} lost" if lost else ""
    text = f"{cause} {_times(one.began_at, up)}: {one.parked:,} parked, {fate}"
    return Reason("outage", one.began_at, one.emptied_at, text)


def _times(first: datetime, last: datetime) -> str:
    form = "%H:%M:%S" if last - first < timedelta(minutes=2) else "%H:%M"
    same_day = first.date() == last.date()
    return f"{first:%Y-%m-%d} {first:{form}} to {last:{form if same_day else '%Y-%m-%d ' + form}}"
