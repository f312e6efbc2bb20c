"""snapshot: what a report is computed from: some days, one checkpoint, and what the reader may see.

Everything in the hashed part is read through here or bounded by it: leaves before `size`, rows that were there at `at`.
So the same days and the same checkpoint give the same report again, whatever came since.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections

from audit import visibility
from audit.formats import canonical
from audit.models import OWN_WRITER, Checkpoint

OUTSIDE = "Outside what the one who asked may see."
_ACTS = """
SELECT r.event_type, r.event_outcome, count(*)
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.writer = %s AND r.event_type LIKE 'audit.%%' AND r.event_timestamp >= %s AND r.event_timestamp < %s
  AND l.index < %s
GROUP BY 1, 2
"""
_LISTED = """
SELECT r.id, r.event_type, r.event_timestamp, r.event_outcome, r.actor_id, r.resource_id, r.correlation_id, r.event_data
FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.writer = %s AND {kinds} AND r.event_timestamp >= %s AND r.event_timestamp < %s
  AND l.index < %s
ORDER BY r.event_timestamp DESC, r.id DESC LIMIT %s
"""
EARLY, FAR = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Act(NamedTuple):
    """A record that the store made of an act."""

    id: UUID
    event_type: str
    at: datetime
    outcome: str
    actor: str
    resource: str
    correlation: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Basis:
    """The days `first` to `last`, UTC, both within, as of a checkpoint."""

    first: date
    last: date
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        """How many records the checkpoint covers."""
        return self.checkpoint.size

    @property
    def at(self) -> datetime:
        """What came to be later does not count."""
        return self.checkpoint.created_at

    @property
    def begins(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def ends(self) -> datetime:
        """The moment after the last."""
        return datetime.combine(self.last, time(), UTC) + timedelta(days=1)

    @property
    def until(self) -> datetime:
        """The end, or the checkpoint where that is earlier."""
        return min(self.ends, self.at)

    @property
    def days(self) -> list[date]:
        """Each day."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def query(self, *terms: str) -> str:
        """The search of records of these days for such terms."""
        return " ".join([*terms, f"after:{self.first}", f"before:{self.day_after}"])

    @property
    def day_after(self) -> date:
        """The day after the last."""
        return self.last + timedelta(days=1)

    @cached_property
    def numbers(self) -> tuple[int, int]:
        """The checkpoints of the period: the first, and the one after the last."""
        return self._number_at(self.begins), self._number_at(self.ends)

    @cached_property
    def leaves(self) -> range:
        """What was sealed in the period."""
        first, last = (self._size_before(number) for number in self.numbers)
        return range(first, last)

    def size_at(self, moment: datetime) -> int:
        """How many records were sealed before this time."""
        return self._size_before(self._number_at(moment))

    @property
    def sees_own(self) -> bool:
        """Whether what the store recorded of itself may be told."""
        return visibility.may_see_totals(OWN_WRITER)

    @cached_property
    def acts(self) -> dict[tuple[str, str], int]:
        """How many acts of each type and outcome the store recorded in the period."""
        with connections["default"].cursor() as cursor:
            cursor.execute(_ACTS, [OWN_WRITER, self.begins, self.ends, self.size])
            return {(kind, outcome): count for kind, outcome, count in cursor.fetchall()} if self.sees_own else {}

    def count(self, *patterns: str, outcome: str = "") -> int:
        """How many of them have one of these types; a pattern may end in `*`."""
        return sum(
            count
            for (kind, how), count in self.acts.items()
            if outcome in ("", how) and any(fits(kind, pattern) for pattern in patterns)
        )

    def listed(self, *patterns: str, most: int, from_start: bool = False, open_end: bool = False) -> list[Act]:
        """The newest of such acts; with `from_start` or `open_end` also those before or after the period."""
        if not self.sees_own:
            return []
        since, until = EARLY if from_start else self.begins, FAR if open_end else self.ends
        likes = [pattern.replace("_", r"\_").replace("*", "%") for pattern in patterns]
        # PostgreSQL looks types up in an index only where they are given whole.
        are_whole = not any("*" in pattern for pattern in patterns)
        kinds = "r.event_type = ANY(%s)" if are_whole else "r.event_type LIKE ANY(%s)"
        wanted = list(patterns) if are_whole else likes
        with connections["default"].cursor() as cursor:
            cursor.execute(_LISTED.format(kinds=kinds), [OWN_WRITER, wanted, since, until, self.size, most])
            return [Act(*row)._replace(data=_read(row[-1])) for row in cursor.fetchall()]

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


def fits(kind: str, pattern: str) -> bool:
    """Whether a type of event is meant by a pattern, which may end in `*`."""
    return kind.startswith(pattern[:-1]) if pattern.endswith("*") else kind == pattern


def _read(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = canonical.loads(value.encode()) if isinstance(value, str) else value
    return found
