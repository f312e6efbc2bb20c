"""keeping: how far back the records go, without a hole of a month, and how fast the store grows."""

from collections import Counter
from datetime import UTC, date, datetime, time

from audit.models import Checkpoint
from audit.report import volumes
from audit.report.basis import Basis
from audit.report.figures import Drawing, Figure, Section, counted, needed

KEYS = ("oldest", "months", "total", "growth", "removed", "modified")
MONTHS = 12


def section(basis: Basis) -> Section:
    """Retention as it is in this version: nothing is ever removed."""
    months = _months(basis)
    return Section(
        key="keeping",
        title="Retention and holds",
        says="Records are never removed or changed: the application has no right to, and triggers refuse whoever "
        "has. This version has no purge, no legal holds and no classes of retention: everything is as if it "
        "were on hold.",
        figures=_figures(basis, months),
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
            label="The log began, and nothing left it since",
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
        Figure(key="removed", label="Records removed", value=0, note="Nothing can be: there is no purge."),
        Figure(key="modified", label="Records modified", value=0, note="What would be is seen by the verifications."),
    )
