"""causes: why there is nothing of a writer in an hour, as far as that is known.

An outage, sequence numbers that never came, a silence that lasts: each with its times and figures. Where no cause is
known, the page says so.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dlq.errors
import dlq.outage
import dlq.stream
from audit.completeness import silence
from audit.models import Episode, Hole

# The newest that are read; a page with more would show none of them.
MOST_OUTAGES, MOST_HOLES = 200, 2_000
REASONS = {
    "database-down": "PostgreSQL away",
    "database-busy": "PostgreSQL busy",
    "database-refused": "PostgreSQL refused",
}


class Cause(NamedTuple):
    """Something that is known of a span of time; `kind` is outage, gap or silence."""

    kind: str
    first: datetime
    last: datetime
    text: str

    def touches(self, since: datetime, until: datetime) -> bool:
        return self.first < until and self.last >= since


class Causes(NamedTuple):
    outages: list[Cause]
    of_writer: dict[str, list[Cause]]

    def why(self, writer: str, since: datetime, until: datetime) -> list[Cause]:
        """What may have kept events of this writer away, the gravest first."""
        return [cause for cause in (*self.of_writer.get(writer, ()), *self.outages) if cause.touches(since, until)]


def find(writers: Sequence[str], since: datetime, until: datetime) -> Causes:
    of_writer: dict[str, list[Cause]] = defaultdict(list)
    holes = Hole.objects.filter(numbering__writer__in=writers, before_at__gte=since, gap__closed_at=None)
    holes = holes.exclude(after_at__gte=until).select_related("numbering").order_by("-before_at")
    for hole in holes[:MOST_HOLES]:
        of_writer[hole.numbering.writer].append(_of_hole(hole))
    for each in silence.silent():
        if each.writer in writers:
            text = f"silent since {each.since:%Y-%m-%d %H:%M} UTC, longer than usual"
            of_writer[each.writer].append(Cause("silence", each.since, datetime.now(UTC), text))
    return Causes([*_open_outage(), *_outages(since, until)], dict(of_writer))


def _of_hole(hole: Hole) -> Cause:
    numbers = f"number {hole.first:,}" if hole.first == hole.last else f"numbers {hole.first:,} to {hole.last:,}"
    # Without a number before it, nobody knows how long before its neighbour it was made.
    first = hole.after_at or hole.before_at
    return Cause("gap", first, hole.before_at, f"{numbers} never came, made {_times(first, hole.before_at)}")


def _outages(since: datetime, until: datetime) -> list[Cause]:
    outages = Episode.objects.filter(began_at__lt=until, emptied_at__gte=since).order_by("-began_at")
    return [_of_outage(outage, outage.lost) for outage in outages[:MOST_OUTAGES]]


def _open_outage() -> list[Cause]:
    try:
        outage = dlq.outage.current(dlq.stream.for_drain())
    except dlq.errors.Refused:
        return []
    return [] if outage is None else [_of_outage(outage, outage.lost)]


def _of_outage(outage: Episode | dlq.outage.QueueOutage, lost: int) -> Cause:
    reason = next((REASONS[why] for why in REASONS if why in outage.reasons), "events were parked")
    if outage.emptied_at is None:
        began = f"{reason} since {outage.began_at:%Y-%m-%d %H:%M} UTC"
        text = f"{began}: {outage.parked:,} parked, {outage.stored:,} stored so far"
        return Cause("outage", outage.began_at, datetime.now(UTC), text)
    up = outage.up_at or outage.emptied_at
    all_stored = outage.stored == outage.parked
    fate = f"all stored by {outage.emptied_at:%H:%M}" if all_stored else f"{outage.stored:,} stored"
    fate += f", {lost:,} lost" if lost else ""
    text = f"{reason} {_times(outage.began_at, up)}: {outage.parked:,} parked, {fate}"
    return Cause("outage", outage.began_at, outage.emptied_at, text)


def _times(first: datetime, last: datetime) -> str:
    form = "%H:%M:%S" if last - first < timedelta(minutes=2) else "%H:%M"
    same_day = first.date() == last.date()
    return f"{first:%Y-%m-%d} {first:{form}} to {last:{form if same_day else '%Y-%m-%d ' + form}}"
