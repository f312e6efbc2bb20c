"""Make the partitions of the months to come, beside everything else that goes on."""

import time
from datetime import UTC, datetime

import structlog
from django.conf import settings

from audit.postgres import sql

log = structlog.get_logger(__name__)

RETRY_S = 0.25


def make(*, seconds: float = 20.0) -> int:
    """Make those of this month and of the next PARTITIONS_AHEAD; return how many are new.

    Each in a transaction of its own that waits for no lock longer than 100 ms. Where a backup or a long query holds
    one it is tried again for as long as `seconds`, and by the next run.
    """
    ends, made, locked = time.monotonic() + seconds, 0, []
    for start in _months(settings.PARTITIONS_AHEAD):
        outcome = _make(start)
        while outcome == "locked" and time.monotonic() < ends:
            time.sleep(RETRY_S)
            outcome = _make(start)
        made += outcome == "made"
        if outcome == "locked":
            locked.append(f"{start:%Y-%m}")
    if locked:
        log.warning("partitions_locked", months=locked)
    return made


def make_past(start: datetime) -> bool:
    """Make the partition of a month that is over; return whether it is there. What is coming is made ahead alone."""
    return start < _months(0)[0] and _make(start) != "locked"


def _make(start: datetime) -> str:
    return str(sql.rows("SELECT audit_make_partition(%s)", [start])[0][0])


def _months(ahead: int) -> list[datetime]:
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = (first.year * 12 + first.month - 1 + number for number in range(ahead + 1))
    return [first.replace(year=month // 12, month=month % 12 + 1) for month in months]
