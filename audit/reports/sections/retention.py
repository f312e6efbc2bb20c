"""retention: how far back the records go, that they are all there, what is held, and how fast the store grows.

That nothing was removed or changed cannot be counted, only looked for. So a zero is shown only where verifications
computed all leaves anew.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

from django.db.models import Sum

from audit.models import Checkpoint, Finding, ForgottenRuns
from audit.postgres import sql
from audit.reports.figures import Drawing, Figure, Section, State, counted, needed, share
from audit.reports.sections import archives, legal_holds, purges, volumes
from audit.reports.snapshot import COUNTS_FORGOTTEN, Snapshot, months_before

KEYS = (
    *("oldest", "months", "total", "growth", *purges.LABELS, *archives.LABELS),
    *("verified", "removed", "modified", *legal_holds.LABELS),
)
MONTHS = 12
TELLS_FLOORS = 3
_UNCHANGED = (
    "Records are never removed or changed: the application has no right to, and triggers refuse whoever has; whether "
    "that held is what verifications look for. "
)
SAYS = (
    "A record is never changed, and never removed but by a purge: the application has no right to, and triggers refuse "
    "whoever has; whether that held is what verifications look for. A floor by category says for how long records are "
    "kept at least; two people change one, which shortens nothing that is stored. A purge removes what is due and "
    "held by nobody, by a plan that two people made, and is certified; its leaves stay, so the log is as it was. An "
    "archive holds what goes before it does, or the plan says why none has to. A legal hold names what may not be "
    "purged, whatever comes; placing it, and its release by two people, are records. "
    "Of these records, and those of archives and their checks, the figures of holds, purges and archives are."
)
# Before there were floors.
SAID = (
    f"{_UNCHANGED}This version has no purge and no classes of retention, so all is kept. A legal hold names a "
    "correlation whose records may not be purged, whatever comes; placing and releasing one are records, and of these "
    "the figures are."
)
# As ranges that do not meet: a verification of a few leaves ends every few minutes.
_VERIFIED = """
SELECT lower(leaves), upper(leaves) FROM (
    SELECT unnest(range_agg(int8range(first, last))) AS leaves FROM audit_verification
    WHERE ended_at >= %s AND ended_at <= %s AND scope <> 'correlation' AND first < last
) verified ORDER BY 1
"""
# What was sealed so shortly before the end need not be verified yet.
VERIFICATION_SETTLES = timedelta(hours=1)


def section(snapshot: Snapshot) -> Section:
    months, holds = _events_by_month(snapshot), legal_holds.holds(snapshot)
    tells = snapshot.version >= TELLS_FLOORS
    return Section(
        key="keeping",
        title="Retention and holds",
        says=SAYS if tells else SAID,
        figures=(
            *_figures(snapshot, months),
            *((*purges.figures(snapshot), *archives.figures(snapshot)) if tells else ()),
            *verified(snapshot),
            *legal_holds.figures(snapshot, holds),
        ),
        tables=(legal_holds.table(snapshot, holds), *((purges.table(snapshot),) if tells else ())),
        drawings=(Drawing(title="Events a month", names=tuple(months), numbers=tuple(months.values())),),
    )


def _events_by_month(snapshot: Snapshot) -> Counter[str]:
    """The last MONTHS months up to the end of the period."""
    first_days = sorted({months_before(snapshot.last, n) for n in range(MONTHS)})
    events = Counter[str]({f"{month:%Y-%m}": 0 for month in first_days})
    for count in volumes.day_counts(snapshot, datetime.combine(first_days[0], time(), UTC), snapshot.ends):
        events[f"{count.day:%Y-%m}"] += count.events
    return events


def _figures(snapshot: Snapshot, months: Counter[str]) -> tuple[Figure, ...]:
    began = (
        Checkpoint.objects.filter(size__gt=0).order_by("size", "number").values_list("created_at", flat=True).first()
    )
    filled = sum(count > 0 for count in months.values())
    # Of the days on which there was a log: those before it began would make its growth look small.
    days = [day for day in snapshot.days if began is None or began.date() <= day <= snapshot.at.date()]
    growth = len(snapshot.leaves) // max(len(days), 1)
    return (
        Figure(
            key="oldest",
            label="The log began",
            value=f"{began:%Y-%m-%d}" if began else "—",
            state="shown" if began else "none",
            page="audit/checkpoint/",
            note="" if began else "Nothing is sealed yet.",
        ),
        Figure(
            key="months",
            label=f"Months with events, of the last {MONTHS}",
            value=f"{filled} of {MONTHS}",
            state="shown" if filled == MONTHS else "exception",
            page="audit/hourcount/",
            note="" if filled == MONTHS else "A month without any event: the store is younger, or nothing happened.",
        ),
        needed("total", "Records in the log", snapshot.size, "The log is empty.", page="audit/checkpoint/"),
        counted("growth", "New records a day", growth, page="audit/checkpoint/"),
    )


def verified(snapshot: Snapshot) -> tuple[Figure, ...]:
    """How many leaves the verifications of the period computed anew, and what any verification ever missed."""
    size, runs = snapshot.leaves.stop, _verified_ranges(snapshot)
    left = _uncovered(runs, snapshot.size_at(snapshot.until - VERIFICATION_SETTLES))
    done = size - _uncovered(runs, size)
    note = _lacking(left, done, _forgotten(snapshot))
    return (
        Figure(
            key="verified",
            label="Leaves that verifications computed anew",
            value=f"{done:,} of {size:,}, {share(done, size)}",
            state="none" if note else "shown",
            page="audit/verification/",
            note=note,
        ),
        _findings(snapshot, "removed", "Records or leaves ever found missing by a verification", ("MISSING",), note),
        _findings(snapshot, "modified", "Records or leaves ever found altered", ("ALTERED", "FORKED"), note),
    )


def _lacking(left: int, done: int, forgotten: int) -> str:
    if not left and done:
        return ""
    if not forgotten:
        in_full = f"Not measured in full: {left:,} leaves were not verified in this period."
        return in_full if done else "Not measured: no verification of leaves ended in this period."
    gone = f"{forgotten:,} more ended and found nothing: which leaves they computed is not kept any more."
    return f"Not measured in full: {left:,} leaves were not verified by the verifications that are kept. {gone}"


def _forgotten(snapshot: Snapshot) -> int:
    """How many verifications of leaves are kept no longer."""
    if snapshot.version < COUNTS_FORGOTTEN:
        return 0
    gone = ForgottenRuns.objects.filter(day__gte=snapshot.first, day__lte=snapshot.at.date())
    return int(gone.exclude(scope="correlation").aggregate(runs=Sum("runs", default=0))["runs"])


def _verified_ranges(snapshot: Snapshot) -> list[tuple[int, int]]:
    return sql.rows(_VERIFIED, [snapshot.begins, snapshot.at])


def _uncovered(ranges: Iterable[tuple[int, int]], size: int) -> int:
    """How many of the first `size` leaves are in none of the ranges, which are in order."""
    reached = left = 0
    for first, last in ranges:
        left += max(min(first, size) - reached, 0)
        reached = max(reached, min(last, size))
    return left + size - reached


def _findings(snapshot: Snapshot, key: str, label: str, kinds: tuple[str, ...], note: str) -> Figure:
    """A zero counts only where all leaves were verified, so where there is no note."""
    count = Finding.objects.filter(kind__in=kinds, first_seen__lte=snapshot.until).count()
    state: State = "exception" if count else "none" if note else "shown"
    page = f"audit/finding/?kind__exact={kinds[0]}"
    return Figure(key=key, label=label, value=count, state=state, page=page, note="" if count else note)
