"""silence: how long each writer is usually silent, and which are silent for longer than that.

Writers that send no numbers can lose events unseen, but not fall silent unseen. A writer's usual silence is the longest
of the last week; three times that, and never less than ten minutes, is too long. Heartbeats count as signs of life.
Whoever has no key left that holds, or never had any, as what was imported, was switched off: after a week they are
named no more. How long it is ago, PostgreSQL says: a process whose own clock is wrong accuses nobody, and excuses
nobody.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from audit.formats.event import SealedEvent
from audit.models import OWN_WRITER, Rhythm
from audit.postgres import sql

DAYS_REMEMBERED = 7
# Fewer tell nothing of what is usual.
LEAST_EVENTS = 20
LEAST_S = 600.0
FACTOR = 3.0
# Of each writer its last heartbeat alone: it may have sent them in very many epochs. The bound by both columns, and
# the order by both, are what the index of both gives: by another PostgreSQL would read all heartbeats of a writer, and
# of few heartbeats all for each writer.
_HEARD = """
SELECT rhythm.writer, rhythm.last_at, rhythm.longest, beat.at, clock_timestamp(), EXISTS (
    SELECT FROM audit_writerkey key JOIN audit_writer writer ON writer.id = key.writer_id
    WHERE writer.name = rhythm.writer AND key.revoked_at IS NULL
        AND (key.expires_at IS NULL OR key.expires_at > clock_timestamp())
)
FROM audit_rhythm rhythm
LEFT JOIN LATERAL (
    SELECT writer, at FROM audit_heartbeat WHERE (writer, at) <= (rhythm.writer, 'infinity')
    ORDER BY writer DESC, at DESC LIMIT 1
) beat ON beat.writer = rhythm.writer
WHERE rhythm.events >= %s AND rhythm.writer <> %s
"""


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
    silences = []
    for writer, last_at, longest, beat_at, asked_at, has_key in sql.rows(_HEARD, [LEAST_EVENTS, OWN_WRITER]):
        since = max(last_at, beat_at or last_at)
        usual_s = max(json.loads(longest).values(), default=0.0)
        silent_for = (now or asked_at) - since
        is_gone = not has_key and silent_for > timedelta(days=DAYS_REMEMBERED)
        if silent_for.total_seconds() > max(LEAST_S, FACTOR * usual_s) and not is_gone:
            silences.append(Silence(writer, since, usual_s))
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
