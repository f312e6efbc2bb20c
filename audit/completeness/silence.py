"""silence: how long each writer is usually silent, and which are silent for longer than that.

Writers that send no numbers can lose events unseen, but not fall silent unseen. A writer's usual silence is the longest
of the last week; three times that, and never less than ten minutes, is too long. Heartbeats count as signs of life.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Max

from audit.models import OWN_WRITER, Heartbeat, Rhythm

DAYS = 7
LEAST_EVENTS = 20
"""Fewer are no rhythm."""
LEAST_S = 600.0
FACTOR = 3.0


class Silence(NamedTuple):
    """A writer that is not heard, since when, and how long it usually is silent at most."""

    writer: str
    since: datetime
    usual_s: float


@transaction.atomic
def take(heard: Iterable[tuple[str, datetime]]) -> None:
    """Take note of when events of writers were received, each once, in any order."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for writer, at in heard:
        times[writer].append(at)
    for writer, found in sorted(times.items()):
        found.sort()
        rhythm = Rhythm.objects.select_for_update().filter(writer=writer).first()
        _follow(rhythm or Rhythm(writer=writer, first_at=found[0], last_at=found[0]), found)


def silent(now: datetime | None = None) -> list[Silence]:
    """Writers that are silent for longer than they use to be."""
    now = now or datetime.now(UTC)
    beats = dict(Heartbeat.objects.values_list("writer").annotate(newest=Max("at")))
    found = []
    for rhythm in Rhythm.objects.filter(events__gte=LEAST_EVENTS).exclude(writer=OWN_WRITER):
        since = max(rhythm.last_at, beats.get(rhythm.writer, rhythm.last_at))
        usual = max(rhythm.longest.values(), default=0.0)
        if (now - since).total_seconds() > max(LEAST_S, FACTOR * usual):
            found.append(Silence(rhythm.writer, since, usual))
    return found


def _follow(rhythm: Rhythm, times: list[datetime]) -> None:
    for at in times:
        if at <= rhythm.last_at:
            continue  # stored late: it fills a silence that was none, and the next ones tell the rhythm
        day, seconds = at.date().isoformat(), (at - rhythm.last_at).total_seconds()
        rhythm.longest[day] = max(rhythm.longest.get(day, 0.0), seconds)
        rhythm.last_at = at
    oldest = (rhythm.last_at - timedelta(days=DAYS)).date().isoformat()
    rhythm.longest = {day: seconds for day, seconds in rhythm.longest.items() if day >= oldest}
    rhythm.events += len(times)
    rhythm.first_at = min(rhythm.first_at, times[0])
    rhythm.save()
