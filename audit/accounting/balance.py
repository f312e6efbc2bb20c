"""balance: received = stored + parked + dead + quarantined + discarded + rejected, per writer and UTC day.

Each figure is counted where it arises: records as the log is read (`stored_counts`), the queue's events by the queue's
own scripts (`queue_counts`), 202 answers by the processes that give them (`ingest.parked_counts`), refusals as they are
answered (`ingest.rejections`). An event that entered the queue and is nowhere is lost. A day that cannot be known yet
says why, and claims nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Max, Q, Sum

from audit import visibility
from audit.accounting import queue_counts, restored
from audit.ingest import rejections
from audit.models import Account, Followed, Passage, Promise, Rejection
from audit.postgres import sql

COPY_IS_STALE_AFTER = timedelta(minutes=3)
UNREAD_LIMIT = 20_000
NOTHING = "nothing received"
# The worst first.
STATES = ("lost", "unexplained", "not yet", NOTHING, "balanced")
TERMS = ("stored", "parked", "dead", "quarantined", "discarded", "rejected")
_UNREAD = """
SELECT record_id FROM audit_unsealed UNION ALL SELECT record_id FROM audit_leaf WHERE index >= %s LIMIT %s
"""
# PostgreSQL plans the months that ids lie in where the statement names them, and all months where another table does.
_RECEIVED = """
SELECT (received_at AT TIME ZONE 'UTC')::date, writer, count(*) FROM audit_record WHERE id = ANY(%s) GROUP BY 1, 2
"""
IDS_AT_ONCE = 1_000

Key = tuple[date, str]


class BalanceLine(NamedTuple):
    received: int = 0
    # Stored at once, and stored after waiting in the queue or a spool.
    direct: int = 0
    queued: int = 0
    parked: int = 0
    dead: int = 0
    quarantined: int = 0
    discarded: int = 0
    rejected: int = 0
    # Acknowledged and nowhere: Redis lost them. Sent again, they are received again.
    lost: int = 0
    # Of what came to the queue: kept though it was not valid, for a person to correct.
    invalid: int = 0

    @property
    def stored(self) -> int:
        return self.direct + self.queued

    @property
    def unexplained(self) -> int:
        """What the equation leaves over: 0, or the counts disagree."""
        terms: int = sum(getattr(self, name) for name in TERMS)
        return self.received - self.lost - terms

    @property
    def balanced(self) -> bool:
        """Whether the equation holds, with nothing lost."""
        return not self.lost and not self.unexplained

    @property
    def sentence(self) -> str:
        terms = " + ".join(f"{getattr(self, name):,} {name}" for name in TERMS)
        rest = f" + {self.lost:,} LOST" if self.lost else ""
        rest += f"; {self.unexplained:,} UNEXPLAINED" if self.unexplained else ""
        return f"{self.received:,} received = {terms}{rest}"

    def figures(self) -> dict[str, int]:
        return {
            "received": self.received,
            "stored": self.stored,
            "stored_at_once": self.direct,
            "stored_after_waiting": self.queued,
            **{name: getattr(self, name) for name in (*TERMS[1:], "lost", "unexplained", "invalid")},
        }


class DayCounts(NamedTuple):
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
    invalid: int = 0
    # Whether the queue was restored from an older file, and may have lost counts of this day.
    in_doubt: bool = False


class WriterDay(NamedTuple):
    day: date
    writer: str
    line: BalanceLine
    # Why the line cannot be known now; "" where it is known.
    not_yet: str = ""

    @property
    def state(self) -> str:
        if self.not_yet:
            return "not yet"
        if self.line.balanced:
            return "balanced"
        return "lost" if self.line.lost else "unexplained"


class Balance(NamedTuple):
    rows: list[WriterDay]
    copied_at: datetime | None
    read_at: datetime | None
    # Whether the queue may hold events of these days that no row tells of.
    is_stale: bool = False

    @property
    def total(self) -> BalanceLine:
        return total(row.line for row in self.rows)

    @property
    def pending(self) -> list[WriterDay]:
        return [row for row in self.rows if row.not_yet]

    @property
    def settled_at(self) -> datetime | None:
        """Up to when all that is counted adds up, with nothing lost; None where it does not, or too little is known."""
        if self.copied_at is None or self.read_at is None or self.is_stale or not self.rows:
            return None
        return min(self.copied_at, self.read_at) if all(row.line.balanced for row in self.rows) else None

    @property
    def state(self) -> str:
        """The worst state of all rows, `NOTHING` without any: a loss goes before what is not known."""
        states = {row.state for row in self.rows} or {NOTHING}
        if self.copied_at is None or self.is_stale:
            states.add("not yet")
        return next((state for state in STATES if state in states), "balanced")


def total(lines: Iterable[BalanceLine]) -> BalanceLine:
    return BalanceLine(*(sum(column) for column in zip(BalanceLine(), *lines, strict=True)))


def line_of(counts: DayCounts) -> BalanceLine:
    """The balance of a day's counts.

    A record that came from the queue while the queue has not counted it as gone is in a drainer's hands, or Redis lost
    it after it was stored: it is stored, and neither parked nor lost. What left the queue without a record of its own
    had been stored before, and is received once. Where a restored queue has lost counts, what a record tells of was
    received all the same.
    """
    came = max(counts.came, counts.promised) + counts.spooled
    settled = counts.drained + counts.duplicate + counts.spooled
    ahead, repeated = max(counts.queued - settled, 0), max(settled - counts.queued, 0)
    missing = max(came - settled - counts.quarantined - counts.discarded - counts.here, 0)
    stored_before_loss = min(ahead, missing)
    line = BalanceLine(
        received=counts.direct + came - repeated - counts.again + counts.rejected,
        direct=counts.direct,
        queued=counts.queued,
        parked=max(counts.here - counts.dead - (ahead - stored_before_loss), 0),
        dead=counts.dead,
        quarantined=max(counts.quarantined - counts.again, 0),
        discarded=counts.discarded,
        rejected=counts.rejected,
        lost=missing - stored_before_loss,
        invalid=counts.invalid,
    )
    uncounted = max(-line.unexplained, 0) if counts.in_doubt else 0
    return line._replace(received=line.received + uncounted)


def compute(
    first: date, last: date, *, days: Collection[date] = (), writer: str = "", now: datetime | None = None
) -> Balance:
    """The balance of the days `first` to `last`, as far as it is known, of the writers that the viewer may see.

    Of `days` among them alone, where some are given.
    """
    now = now or datetime.now(UTC)
    cursor = Followed.objects.filter(name=Followed.COMPLETENESS).first()
    unread, copied_at = _unread(cursor.position if cursor else 0), queue_counts.copied_at()
    where: dict[str, Any] = {"day__in": days} if days else {"day__gte": first, "day__lte": last}
    counts, moved = _counted(where | ({"writer": writer} if writer else {}))
    for day, name in unread:
        if first <= day <= last and day in (days or (day,)) and name in ("", writer or name):
            counts.setdefault((day, name), DayCounts())
    doubt = _Doubt(now, copied_at, unread, moved)
    rows = [
        WriterDay(*key, line_of(of_day), doubt.of(key, of_day))
        for key, of_day in sorted(counts.items())
        if visibility.may_see_totals(key[1])
    ]
    return Balance(rows, copied_at, cursor.followed_at if cursor else None, doubt.is_stale(last))


class _Doubt(NamedTuple):
    """What keeps a row from being known."""

    now: datetime
    copied_at: datetime | None
    unread: dict[Key, int]
    moved: dict[Key, datetime]

    def of(self, key: Key, counts: DayCounts) -> str:
        """Why this row is not known now; "" where it is."""
        if sum(self.unread.values()) >= UNREAD_LIMIT:
            return f"{UNREAD_LIMIT:,} or more records are stored and not read yet"
        if count := self.unread.get(key):
            return f"{count:,} record{' is' if count == 1 else 's are'} stored and not read yet"
        if self.copied_at is None:
            return "the queue's counters were never copied: is the worker running?"
        if self.is_stale(key[0]) or (counts.here and self._is_old(self.copied_at)):
            return f"the queue's counters were last copied at {self.copied_at:%Y-%m-%d %H:%M:%S}Z"
        if (moved_at := self.moved.get(key)) and moved_at > self.copied_at:
            return "the queue's counters are copied in a moment"
        return ""

    def is_stale(self, day: date) -> bool:
        """Whether the queue may have taken events of this day that no copy knows."""
        over = datetime.combine(day, datetime.max.time(), UTC)
        return self.copied_at is None or (self._is_old(self.copied_at) and self.copied_at < over)

    def _is_old(self, copied_at: datetime) -> bool:
        return self.now - copied_at > COPY_IS_STALE_AFTER


def _unread(position: int) -> dict[Key, int]:
    """How many records of each writer's day are stored and not read by the followers."""
    ids = [record_id for (record_id,) in sql.rows(_UNREAD, [position, UNREAD_LIMIT])]
    counts: Counter[Key] = Counter()
    for start in range(0, len(ids), IDS_AT_ONCE):
        for day, writer, count in sql.rows(_RECEIVED, [ids[start : start + IDS_AT_ONCE]]):
            counts[day, writer] += count
    return counts


def _counted(where: dict[str, Any]) -> tuple[dict[Key, DayCounts], dict[Key, datetime]]:
    """The counts of each row, and when one changed that the next copy of the queue's counters must follow."""
    sums: dict[Key, dict[str, int]] = defaultdict(dict)
    moved: dict[Key, datetime] = {}
    for account in Account.objects.filter(**where):
        key = account.day, account.writer
        sums[key] |= {"direct": account.direct, "queued": account.queued, "spooled": account.spooled}
        if account.queued:
            moved[key] = account.changed_at
    for key, row in _grouped(Promise.objects.filter(**where), promised=Sum("parked"), at=Max("handed_at")):
        sums[key]["promised"] = row["promised"]
        moved[key] = max(row["at"], moved.get(key, row["at"]))
    columns = {f"{name}_sum": Sum(name) for name in queue_counts.COPIED}
    for key, row in _grouped(Passage.objects.filter(**where), **columns):
        sums[key] |= {name: row[f"{name}_sum"] for name in queue_counts.COPIED}
    kept, refused = Q(reason=rejections.KEPT), ~Q(reason__in=rejections.NO_EVENTS)
    events = {"rejected": Sum("events", filter=refused, default=0), "invalid": Sum("events", filter=kept, default=0)}
    for key, row in _grouped(Rejection.objects.filter(**where), **events):
        sums[key] |= {name: row[name] for name in events}
    doubted = restored.days_in_doubt()
    return {key: DayCounts(**counts, in_doubt=key[0] in doubted) for key, counts in sums.items()}, moved


def _grouped(rows: Any, **sums: Any) -> Iterable[tuple[Key, dict[str, Any]]]:
    for row in rows.order_by().values("day", "writer").annotate(**sums):
        yield (row["day"], row["writer"]), row
