"""silence: how long each writer is usually silent, and which are silent for longer than that.

Writers that send no numbers can lose events unseen, but not fall silent unseen. A writer's usual silence is the longest
of the last week; three times that, and never less than ten minutes, is too long. Heartbeats count as signs of life.
How long it is ago, PostgreSQL says: a process whose own clock is wrong accuses nobody, and excuses nobody.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from audit.formats.event import SealedEvent
from audit.models import OWN_WRITER, Heartbeat, Rhythm
from audit.postgres import sql

DAYS_REMEMBERED = 7
# Fewer tell nothing of what is usual.
LEAST_EVENTS = 20
LEAST_S = 600.0
FACTOR = 3.0


class Silence(NamedTuple):
    """A writer that is not heard, since when, and for how long it is usually silent at most."""

    writer: str
    since: datetime
    usual_s: float


@transaction.atomic
def apply(events: Iterable[SealedEvent]) -> None:
    """Follow when events of writers were received, each event once, in any order."""
    received: dict[str, list[datetime]] = defaultdict(list)
    for event in events:
        received[event.writer].append(event.received_at)
    now = sql.now()
    for writer, times in sorted(received.items()):
        times.sort()
        rhythm = Rhythm.objects.select_for_update().filter(writer=writer).first()
        rhythm = rhythm or Rhythm(writer=writer, first_at=times[0], last_at=times[0])
        rhythm.read_at = now
        _follow(rhythm, times)


def silent(now: datetime | None = None) -> list[Silence]:
    """Writers that are silent for longer than usual; now, by PostgreSQL's clock, or at another time."""
    beats = Heartbeat.objects.filter(writer=OuterRef("writer")).order_by("-at").values("at")
    silences = []
    rhythms = Rhythm.objects.filter(events__gte=LEAST_EVENTS).exclude(writer=OWN_WRITER)
    # Of each its last alone: a writer may have sent them in very many epochs.
    for rhythm in rhythms.annotate(asked_at=Now(), beat_at=Subquery(beats[:1])):
        since = max(rhythm.last_at, rhythm.beat_at or rhythm.last_at)
        usual_s = max(rhythm.longest.values(), default=0.0)
        if ((now or rhythm.asked_at) - since).total_seconds() > max(LEAST_S, FACTOR * usual_s):
            silences.append(Silence(rhythm.writer, since, usual_s))
    return silences


def _follow(rhythm: Rhythm, times: list[datetime]) -> None:
    for at in times:
        if at <= rhythm.last_at:
            continue  # stored late: it fills a silence that was none, and the next ones tell the rhythm
        day, seconds = at.date().isoformat(), (at - rhythm.last_at).total_seconds()
        rhythm.longest[day] = max(rhythm.longest.get(day, 0.0), seconds)
        rhythm.last_at = at
    oldest = (rhythm.last_at - timedelta(days=DAYS_REMEMBERED)).date().isoformat()
    rhythm.longest = {day: seconds for day, seconds in rhythm.longest.items() if day >= oldest}
    rhythm.events += len(times)
    rhythm.first_at = min(rhythm.first_at, times[0])
    rhythm.save()
