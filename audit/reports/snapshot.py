"""snapshot: what a report is computed from: a period, one checkpoint, and the scopes of the viewer.

Everything in the hashed part is read through here or bounded by it: leaves before `size`, rows that were there at `at`.
So the same days and the same checkpoint give the same report again, whatever came since.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from audit import visibility
from audit.formats import canonical
from audit.formats.times import midnight
from audit.models import OWN_WRITER, Checkpoint
from audit.postgres import sql

PRESETS = {
    "month": "the last month",
    "quarter": "the last quarter",
    "year": "the last year",
    "so_far": "this month so far",
}
_COUNTS = """
SELECT r.event_type, r.event_outcome, count(*)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.writer = %s AND r.event_type LIKE 'audit.%%' AND r.event_timestamp >= %s AND r.event_timestamp < %s
  AND l.index < %s
GROUP BY 1, 2
"""
_ACTS = """
SELECT r.id, r.event_type, r.event_timestamp, r.event_outcome, r.actor_id, r.resource_id, r.correlation_id, r.event_data
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE {wanted} AND r.writer = %s AND r.event_timestamp >= %s AND r.event_timestamp < %s
  AND l.index < %s
ORDER BY r.event_timestamp DESC, r.id DESC LIMIT %s
"""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def preset_days(name: str, today: date) -> tuple[date, date]:
    """First and last day of one of PRESETS."""
    if name == "so_far":
        return today.replace(day=1), today
    months = {"month": 1, "quarter": 3, "year": 12}[name]
    end = date(today.year, (today.month - 1) // months * months + 1, 1)
    return months_before(end, months), end - timedelta(days=1)


def months_before(day: date, months: int) -> date:
    """The first of the month so many months before."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


class Act(NamedTuple):
    """One of the store's own records: an act of a person, or of the store."""

    id: UUID
    event_type: str
    at: datetime
    outcome: str
    actor: str
    resource: str
    correlation: str
    data: dict[str, Any]


# Of the content: what a report of an earlier version says when it is made again, must be what it said.
# 2: how many lines of a review nobody reviewed.
# 3: an unmet expectation is an exception while it is open, not for having been told; a query finds what is counted.
# Floors, and holds on more than a correlation.
# 4: erasures.
# 5: findings are counted so far, and no further.
# 6: a table of acts lists of all that its figures count, whatever else was done. Verifications that are kept no longer
# are counted.
VERSION = 6
FINDS_WHAT_IT_COUNTS, COUNTS_SO_FAR, LISTS_WHAT_IT_COUNTS, COUNTS_FORGOTTEN = 3, 5, 6, 6


@dataclass(frozen=True)
class Snapshot:
    """The days from `first` to `last`, UTC, both included, as of a checkpoint, as a version tells them."""

    first: date
    last: date
    checkpoint: Checkpoint
    version: int = VERSION

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def at(self) -> datetime:
        """What came to be later does not count."""
        return self.checkpoint.created_at

    @property
    def begins(self) -> datetime:
        return midnight(self.first)

    @property
    def ends(self) -> datetime:
        return midnight(self.day_after)

    @property
    def until(self) -> datetime:
        """The end, or the checkpoint where that is earlier."""
        return min(self.ends, self.at)

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @property
    def day_after(self) -> date:
        return self.last + timedelta(days=1)

    def query(self, *terms: str) -> str:
        """The search for records of these days with such terms."""
        return " ".join([*terms, f"after:{self.first}", f"before:{self.day_after}"])

    @cached_property
    def numbers(self) -> tuple[int, int]:
        """The numbers of the first checkpoint of the period, and of the one after the last."""
        return self._number_at(self.begins), self._number_at(self.ends)

    @cached_property
    def leaves(self) -> range:
        first, last = (self._size_before(number) for number in self.numbers)
        return range(first, last)

    def size_at(self, moment: datetime) -> int:
        """How many records were sealed before this time."""
        return self._size_before(self._number_at(moment))

    @property
    def sees_store_acts(self) -> bool:
        """Whether the viewer may see figures of the store's own records."""
        return visibility.may_see_totals(OWN_WRITER)

    @cached_property
    def counts(self) -> dict[tuple[str, str], int]:
        """How many acts there are in the period, by event type and outcome."""
        if not self.sees_store_acts:
            return {}
        counts = sql.rows(_COUNTS, [OWN_WRITER, self.begins, self.ends, self.size])
        return {(event_type, outcome): count for event_type, outcome, count in counts}

    def count(self, *patterns: str, outcome: str = "") -> int:
        """The acts of the period with one of these event types; a pattern may end in `*`."""
        return sum(
            count
            for (event_type, has_outcome), count in self.counts.items()
            if outcome in ("", has_outcome) and any(fits(event_type, pattern) for pattern in patterns)
        )

    def acts(self, *patterns: str, limit: int, from_start: bool = False, open_end: bool = False) -> list[Act]:
        """The newest such acts; with `from_start` or `open_end` also those before or after the period."""
        if not self.sees_store_acts:
            return []
        since, until = EARLIEST if from_start else self.begins, LATEST if open_end else self.ends
        # PostgreSQL looks types up in an index only where they are given whole.
        if any("*" in pattern for pattern in patterns):
            types = "r.event_type LIKE ANY(%s)"
            wanted = [pattern.replace("_", r"\_").replace("*", "%") for pattern in patterns]
        else:
            types, wanted = "r.event_type = ANY(%s)", list(patterns)
        return _acts(types, [wanted, OWN_WRITER, since, until, self.size, limit])

    def acts_of(self, kinds: Collection[tuple[str, str]], limit: int) -> list[Act]:
        """The newest acts of the period of these event types and outcomes, each pair as `counts` has it."""
        if not kinds:
            return []
        types, pairs = [event_type for event_type, _ in kinds], [" ".join(kind) for kind in kinds]
        wanted = "r.event_type = ANY(%s) AND r.event_type || ' ' || r.event_outcome = ANY(%s)"
        return _acts(wanted, [types, pairs, OWN_WRITER, self.begins, self.ends, self.size, limit])

    def _number_at(self, moment: datetime) -> int:
        """The first checkpoint made at this time or later: they are numbered in the order of time."""
        low, high = 0, self.checkpoint.number + 1
        while low < high:
            middle = (low + high) // 2
            if self._checkpoint(middle).created_at < moment:
                low = middle + 1
            else:
                high = middle
        return low

    def _size_before(self, number: int) -> int:
        return self._checkpoint(number - 1).size if number else 0

    def _checkpoint(self, number: int) -> Checkpoint:
        return Checkpoint.objects.get(number=number)


def _acts(wanted: str, parameters: list[Any]) -> list[Act]:
    return [Act(*row)._replace(data=_read(row[-1])) for row in sql.rows(_ACTS.format(wanted=wanted), parameters)]


def fits(event_type: str, pattern: str) -> bool:
    """Whether an event type matches a pattern, which may end in `*`."""
    return event_type.startswith(pattern[:-1]) if pattern.endswith("*") else event_type == pattern


def _read(value: Any) -> dict[str, Any]:
    data: dict[str, Any] = canonical.loads(value.encode()) if isinstance(value, str) else value
    return data
