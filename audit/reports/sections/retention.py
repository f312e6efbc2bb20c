"""retention: how far back the records go, that they are all there, what is held, and how fast the store grows."""

from collections import Counter
from datetime import UTC, date, datetime, time

from audit.models import Checkpoint
from audit.reports.figures import Drawing, Figure, Section, counted, needed
from audit.reports.sections import legal_holds, verified, volumes
from audit.reports.snapshot import Basis

KEYS = ("oldest", "months", "total", "growth", *verified.KEYS, *legal_holds.KEYS)
MONTHS = 12


def section(basis: Basis) -> Section:
    """Retention as it is in this version: nothing is ever removed."""
    months, held = _months(basis), legal_holds.held(basis)
    return Section(
        key="keeping",
        title="Retention and holds",
        says="Records are never removed or changed: the application has no right to, and triggers refuse whoever "
        "has; whether that held is what verifications look for. This version has no purge and no classes of "
        "retention, so all is kept. A legal hold names a correlation whose records may not be purged, whatever "
        "comes; placing and releasing one are records, and of these the figures are.",
        figures=(*_figures(basis, months), *verified.figures(basis), *legal_holds.figures(basis, held)),
        tables=(legal_holds.table(basis, held),),
        drawings=(Drawing(title="Events a month", names=tuple(months), numbers=tuple(months.values())),),
    )


def _months(basis: Basis) -> Counter[str]:
    """The months up to the last day of the period, with their events."""
    names = sorted({_back(basis.last, n) for n in range(MONTHS)})
    found = Counter[str]({f"{month:%Y-%m}": 0 for month in names})
    for one in volumes.lines_of(basis, datetime.combine(names[0], time(), UTC), basis.ends):
        found[f"{one.day:%Y-%m}"] += one.events
    return found


def _back(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


def _figures(basis: Basis, months: Counter[str]) -> tuple[Figure, ...]:
    began = (
        Checkpoint.objects.filter(size__gt=0).order_by("size", "number").values_list("created_at", flat=True).first()
    )
    filled = sum(count > 0 for count in months.values())
    growth = len(basis.leaves) // len(basis.days)
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
        needed("total", "Records in the log", basis.size, "The log is empty.", page="audit/checkpoint/"),
        counted("growth", "New records a day", growth, page="audit/checkpoint/"),
    )
