"""account: received = stored + parked + dead + quarantined + discarded + rejected, per writer and UTC day.

Each figure is counted where it happens: records as the log is read (`tally`), the queue's by its own scripts
(`passages`), what was promised by the processes (`promises`), refusals as they are answered (`rejected`). What came to
the queue and is nowhere is lost. A line that cannot be known now says why, and claims nothing.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Max, Sum

from audit import visibility
from audit.accounting import queue_counts
from audit.models import Account, Followed, Passage, Promise, Rejection

STALE = timedelta(minutes=3)
UNREAD_MOST = 20_000
_UNREAD = """
SELECT (r.received_at AT TIME ZONE 'UTC')::date, r.writer, count(*) FROM (
    SELECT record_id FROM audit_unsealed UNION ALL
    SELECT record_id FROM audit_leaf WHERE index >= %s
    LIMIT %s
) unread JOIN audit_record r ON r.id = unread.record_id GROUP BY 1, 2
"""
NOTHING = "nothing received"
STATES = ("lost", "unexplained", "not yet", NOTHING, "balanced")
"""The worst first."""
TERMS = ("stored", "parked", "dead", "quarantined", "discarded", "rejected")


class Line(NamedTuple):
    """One writer's day, or a sum of such."""

    received: int = 0
    direct: int = 0
    queued: int = 0
    """Stored after they had waited."""
    parked: int = 0
    dead: int = 0
    quarantined: int = 0
    discarded: int = 0
    rejected: int = 0
    lost: int = 0
    """Promised, and nowhere: what Redis lost. Sent again, they are received again."""

    @property
    def stored(self) -> int:
        """Records, however they came."""
        return self.direct + self.queued

    @property
    def unexplained(self) -> int:
        """What is left when all terms and the lost ones are taken from what was received: 0, or the counts disagree."""
        told = self.stored + self.parked + self.dead + self.quarantined + self.discarded + self.rejected
        return self.received - self.lost - told

    @property
    def balanced(self) -> bool:
        """Whether the equation holds, with nothing lost."""
        return not self.lost and not self.unexplained

    @property
    def sentence(self) -> str:
        """The equation, written out."""
        terms = " + ".join(f"{getattr(self, name):,} {name}" for name in TERMS)
        rest = f" + {self.lost:,} LOST" if self.lost else ""
        rest += f"; {self.unexplained:,} UNEXPLAINED" if self.unexplained else ""
        return f"{self.received:,} received = {terms}{rest}"

    def figures(self) -> dict[str, int]:
        """All figures by name."""
        return {
            "received": self.received,
            "stored": self.stored,
            "stored_at_once": self.direct,
            "stored_after_waiting": self.queued,
            **{name: getattr(self, name) for name in TERMS[1:]},
            "lost": self.lost,
            "unexplained": self.unexplained,
        }


class Counted(NamedTuple):
    """What was counted of one writer's day, all sources beside each other."""

    direct: int = 0
    queued: int = 0
    spooled: int = 0
    came: int = 0
    again: int = 0
    drained: int = 0
    duplicate: int = 0
    quarantined: int = 0
    discarded: int = 0
    here: int = 0
    dead: int = 0
    promised: int = 0
    rejected: int = 0


class Entry(NamedTuple):
    """One writer's day."""

    day: date
    writer: str
    line: Line
    not_yet: str = ""
    """Why the line cannot be known now; "" where it is."""

    @property
    def state(self) -> str:
        """In words."""
        if self.not_yet:
            return "not yet"
        if self.line.balanced:
            return "balanced"
        return "lost" if self.line.lost else "unexplained"


class Accounts(NamedTuple):
    """The days that were asked for."""

    entries: list[Entry]
    copied_at: datetime | None
    read_at: datetime | None
    is_stale: bool = False
    """Whether something may be in the queue of a day that was asked for, and no line tells of it."""

    @property
    def total(self) -> Line:
        """All lines together."""
        return total(one.line for one in self.entries)

    @property
    def not_yet(self) -> list[Entry]:
        """Those that cannot be known now."""
        return [one for one in self.entries if one.not_yet]

    @property
    def state(self) -> str:
        """The worst of all lines, and `NOTHING` where there is none: what is wrong goes before what is not known."""
        states = {one.state for one in self.entries} or {NOTHING}
        if self.copied_at is None or self.is_stale:
            states.add("not yet")
        return next((state for state in STATES if state in states), "balanced")

    def of_day(self, day: date) -> list[Entry]:
        """The lines of one day."""
        return [one for one in self.entries if one.day == day]


def total(lines: Iterable[Line]) -> Line:
    """The sum of lines."""
    return Line(*(sum(column) for column in zip(Line(), *lines, strict=True)))


def line_of(counted: Counted) -> Line:
    """The account of what was counted.

    A record that came from the queue while the queue has not counted it as gone is in a drainer's hands, or Redis lost
    it after it was stored: it is stored, and neither parked nor lost. What left the queue and made no record of its own
    had been stored before, and is received once.
    """
    came = max(counted.came, counted.promised) + counted.spooled
    settled = counted.drained + counted.duplicate + counted.spooled
    ahead, repeated = max(counted.queued - settled, 0), max(settled - counted.queued, 0)
    missing = max(came - settled - counted.quarantined - counted.discarded - counted.here, 0)
    found = min(ahead, missing)
    return Line(
        received=counted.direct + came - repeated - counted.again + counted.rejected,
        direct=counted.direct,
        queued=counted.queued,
        parked=max(counted.here - counted.dead - (ahead - found), 0),
        dead=counted.dead,
        quarantined=max(counted.quarantined - counted.again, 0),
        discarded=counted.discarded,
        rejected=counted.rejected,
        lost=missing - found,
    )


def look(first: date, last: date, *, writer: str = "", now: datetime | None = None) -> Accounts:
    """The account of the days from `first` to `last`, as far as it is known."""
    now = now or datetime.now(UTC)
    known = Followed.objects.filter(name=Followed.COMPLETENESS).first()
    unread, copied = _unread(known.position if known else 0), queue_counts.copied_at()
    where = {"day__gte": first, "day__lte": last} | ({"writer": writer} if writer else {})
    counted, moved = _counted(where)
    for line in unread:
        if first <= line[0] <= last and line[1] in ("", writer or line[1]):
            counted.setdefault(line, Counted())
    doubt = _Doubt(now, copied, unread, moved)
    entries = [
        Entry(*line, line_of(found), doubt.of(line, found))
        for line, found in sorted(counted.items())
        if visibility.may_see_totals(line[1])
    ]
    return Accounts(entries, copied, known.followed_at if known else None, doubt.is_stale(last))


Key = tuple[date, str]


class _Doubt(NamedTuple):
    """What keeps lines from being known."""

    now: datetime
    copied: datetime | None
    unread: dict[Key, int]
    moved: dict[Key, datetime]

    def of(self, line: Key, found: Counted) -> str:
        """Why this line is not known now; "" where it is."""
        if sum(self.unread.values()) >= UNREAD_MOST:
            return f"{UNREAD_MOST:,} or more records are stored and not read yet"
        if count := self.unread.get(line):
            return f"{count:,} record{' is' if count == 1 else 's are'} stored and not read yet"
        if self.copied is None:
            return "the queue's counters were never copied: is the worker running?"
        if self.is_stale(line[0]) or (found.here and self.now - self.copied > STALE):
            return f"the queue's counters were last copied at {self.copied:%Y-%m-%d %H:%M:%S}Z"
        if (moved := self.moved.get(line)) and moved > self.copied:
            return "the queue's counters are copied in a moment"
        return ""

    def is_stale(self, day: date) -> bool:
        """Whether the queue may have taken events of this day that no copy knows."""
        over = datetime.combine(day, datetime.max.time(), UTC)
        return self.copied is None or (self.now - self.copied > STALE and self.copied < over)


def _unread(position: int) -> dict[Key, int]:
    with connections["default"].cursor() as cursor:
        cursor.execute(_UNREAD, [position, UNREAD_MOST])
        return {(day, writer): count for day, writer, count in cursor.fetchall()}


def _counted(where: dict[str, Any]) -> tuple[dict[Key, Counted], dict[Key, datetime]]:
    """What is counted of each line, and when something of it moved that a copy of the queue's counters must follow."""
    sums: dict[Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    moved: dict[Key, datetime] = {}
    for one in Account.objects.filter(**where):
        sums[one.day, one.writer] |= {"direct": one.direct, "queued": one.queued, "spooled": one.spooled}
        if one.queued:
            moved[one.day, one.writer] = one.changed_at
    for row in _grouped(Promise.objects.filter(**where), promised=Sum("parked"), at=Max("handed_at")):
        line = row["day"], row["writer"]
        sums[line]["promised"] = row["promised"]
        moved[line] = max(row["at"], moved.get(line, row["at"]))
    names = [name for name in Counted._fields if name in _COPIED]
    for row in _grouped(Passage.objects.filter(**where), **{f"{name}_": Sum(name) for name in names}):
        sums[row["day"], row["writer"]] |= {name: row[f"{name}_"] for name in names}
    for row in _grouped(Rejection.objects.filter(**where), rejected=Sum("events")):
        sums[row["day"], row["writer"]]["rejected"] = row["rejected"]
    return {line: Counted(**found) for line, found in sums.items()}, moved


def _grouped(rows: Any, **sums: Any) -> Iterable[dict[str, Any]]:
    found: Iterable[dict[str, Any]] = rows.order_by().values("day", "writer").annotate(**sums)
    return found


_COPIED = ("came", "again", "drained", "duplicate", "quarantined", "discarded", "here", "dead")
