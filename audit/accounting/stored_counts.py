"""stored_counts: count stored records by writer and UTC day of reception, as the log is read."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime

from audit.formats.event import SealedEvent
from audit.postgres import sql

_ADD = """
INSERT INTO audit_account (day, writer, direct, queued, spooled, changed_at)
SELECT *, clock_timestamp() FROM unnest(%s::date[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (day, writer) DO UPDATE SET direct = audit_account.direct + excluded.direct,
    queued = audit_account.queued + excluded.queued, spooled = audit_account.spooled + excluded.spooled,
    changed_at = excluded.changed_at
"""


def apply(events: Iterable[SealedEvent]) -> None:
    """Count records, each once: within the transaction that moves the position in the log."""
    _add(
        Counter((_day(event.received_at), event.writer, "queued" if event.parked_at else "direct") for event in events)
    )


def add_spooled(sources: Iterable[tuple[str, datetime]]) -> None:
    """Count what was stored straight from a spool. Counting an event twice is harmless: it was sent twice then."""
    _add(Counter((_day(received_at), writer, "spooled") for writer, received_at in sources))


def _add(counts: Counter[tuple[date, str, str]]) -> None:
    # In one order, so that two that add at once do not wait for each other.
    lines = sorted({(day, writer) for day, writer, _ in counts})
    if not lines:
        return
    columns = [[counts[day, writer, name] for day, writer in lines] for name in ("direct", "queued", "spooled")]
    sql.run(_ADD, [[day for day, _ in lines], [writer for _, writer in lines], *columns])


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
