"""What happens to the queue now, in one sentence."""

from datetime import UTC, datetime

import dlq.outage
from audit.admin.display import age
from dlq.stream import Stream


def sentence(queue: Stream, *, database_up: bool) -> str:
    """Say what waits, for how long, and what becomes of it. Raises `Refused`."""
    stats, paused, outage = queue.totals.stats(), queue.activity.paused(), dlq.outage.current(queue)
    kept = f"{_events(stats.depth)} kept in the queue, {'none' if not stats.lost else f'{stats.lost:,}'} lost."
    if not database_up:
        began = f" for {_since(outage.began_at)}" if outage is not None and stats.depth else ""
        return f"PostgreSQL has not answered{began}. {kept}"
    if not stats.depth:
        return "PostgreSQL and Redis answer. Nothing waits in the queue."
    if paused is not None:
        return f"Draining is paused by {paused[0]} for {_since(paused[1])}. {kept}"
    if stats.depth == stats.dead:
        needs = "it needs a person" if stats.dead == 1 else "each needs a person"
        return f"{_events(stats.dead)} dead: {needs}. Nothing else waits."
    left = stats.depth - stats.dead
    return f"PostgreSQL answers. {_events(left)} left to store{_about(outage, left)}."


def _about(outage: dlq.outage.QueueOutage | None, left: int) -> str:
    """How long storing the rest takes at the rate since the database is up; "" where that is not known."""
    if outage is None or outage.up_at is None or not outage.stored:
        return ""
    seconds = max((datetime.now(UTC) - outage.up_at).total_seconds(), 1)
    return f", about {age(left * seconds / outage.stored)} more"


def _events(count: int) -> str:
    return f"{count:,} event{' is' if count == 1 else 's are'}"


def _since(moment: datetime) -> str:
    return age((datetime.now(UTC) - moment).total_seconds())
