"""stored_counts: count what is stored per writer and UTC day of reception, as the log is read."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

from django.db import connections

_ADD = """
INSERT INTO audit_account (day, writer, direct, queued, spooled, changed_at)
SELECT *, clock_timestamp() FROM unnest(%s::date[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (day, writer) DO UPDATE SET direct = audit_account.direct + excluded.direct,
    queued = audit_account.queued + excluded.queued, spooled = audit_account.spooled + excluded.spooled,
    changed_at = excluded.changed_at
"""


class Kept(NamedTuple):
    """One event that is in the store."""

    writer: str
    received_at: datetime
    waited: bool
    """Whether it was parked or spooled first."""


def take(kept: Iterable[Kept]) -> None:
    """Count records, each once: within the transaction that moves the place in the log."""
    _add(Counter((_day(one.received_at), one.writer, "queued" if one.waited else "direct") for one in kept))


def past_the_queue(sources: Iterable[tuple[str, datetime]]) -> None:
    """Count what was brought from local files to the store; to count one twice does no harm, it was sent twice then."""
    _add(Counter((_day(received_at), source, "spooled") for source, received_at in sources))


def _add(counts: Counter[tuple[date, str, str]]) -> None:
    # In one order, so that two that add at once do not wait for each other.
    lines = sorted({(day, writer) for day, writer, _ in counts})
    if not lines:
        return
    columns = [[counts[day, writer, name] for day, writer in lines] for name in ("direct", "queued", "spooled")]
    with connections["default"].cursor() as cursor:
        cursor.execute(_ADD, [[day for day, _ in lines], [writer for _, writer in lines], *columns])


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
