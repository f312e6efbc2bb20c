"""completeness: what should have come and did not, when that was found, and what became of it by the checkpoint."""

from django.db.models import Q, QuerySet

from audit import visibility
from audit.models import BrokenPromise, Discrepancy, Gap, Manifest, Unmet
from audit.reports.figures import Figure, Row, Section, Table, counted, needed, wrong
from audit.reports.snapshot import OUTSIDE, Basis

KEYS = (
    *("gaps", "gaps_open", "manifests", "manifests_open", "promises", "promises_open", "unmet", "unmet_open"),
    *("explained", "accounts", "unbalanced"),
)
NAMED = 40
KINDS: tuple[tuple[str, type[Discrepancy], str, str], ...] = (
    ("gaps", Gap, "Gaps in the numbers of events", "audit/gap/"),
    ("manifests", Manifest, "Manifests stated", "audit/manifest/"),
    ("promises", BrokenPromise, "Promises of receipts that were broken", "audit/brokenpromise/"),
    ("unmet", Unmet, "Expectations that were not met", "audit/unmet/"),
)


def section(basis: Basis) -> Section:
    """Gaps, manifests, promises, expectations and the account of days."""
    figures = [figure for key, kind, label, page in KINDS for figure in _kind(basis, key, kind, label, page)]
    return Section(
        key="completeness",
        title="Completeness and gaps",
        says="What a writer neither numbered nor stated nor anybody expects cannot be missed. Open means: it had "
        "not come by the checkpoint, explained or not; explanations are records, counted by themselves.",
        figures=(*figures, *_recorded(basis)),
        tables=(_gaps(basis),),
    )


def _kind(basis: Basis, key: str, kind: type[Discrepancy], label: str, page: str) -> list[Figure]:
    found = visibility.visible_totals(_found(basis, kind), kind.WRITER)
    still = found.filter(_open(basis)).count()
    return [
        counted(key, f"{label}, found in the period", found.count(), page=page),
        wrong(f"{key}_open", "of those, open at the checkpoint", still, page=page),
    ]


def _found(basis: Basis, kind: type[Discrepancy]) -> QuerySet[Discrepancy]:
    return kind._default_manager.filter(found_at__gte=basis.begins, found_at__lte=basis.until).order_by()


def _open(basis: Basis) -> Q:
    return Q(closed_at=None) | Q(closed_at__gt=basis.at)


def _recorded(basis: Basis) -> list[Figure]:
    if not basis.sees_own:
        labels = ("explained", "Explanations"), ("accounts", "Accounts of days"), ("unbalanced", "Days not balanced")
        return [Figure(key=key, label=label, value="—", state="none", note=OUTSIDE) for key, label in labels]
    explained = [f"audit.{kind.NOUN}.explained" for _, kind, _, _ in KINDS]
    lacking = "No account of a day was recorded in this period."
    days = basis.query("type:audit.account.day")
    return [
        counted("explained", "Explanations recorded", basis.count(*explained), query=basis.query("type:audit.gap.*")),
        needed("accounts", "Accounts of days recorded", basis.count("audit.account.day"), lacking, query=days),
        wrong(
            "unbalanced",
            "of those, accounts that did not balance",
            basis.count("audit.account.day", outcome="failure"),
            query=f"{days} outcome:failure",
        ),
    ]


def _gaps(basis: Basis) -> Table:
    found = visibility.visible_totals(
        Gap.objects.filter(found_at__gte=basis.begins, found_at__lte=basis.until), Gap.WRITER
    )
    rows = [
        Row(
            (
                one.numbering.writer,
                f"{one.first:,} to {one.last:,}",
                f"{one.found_at:%Y-%m-%d %H:%M}Z",
                f"{one.closed_at:%Y-%m-%d %H:%M}Z" if one.closed_at and one.closed_at <= basis.at else "open",
            )
        )
        for one in found.select_related("numbering").order_by("-found_at", "-id")[:NAMED]
    ]
    left = max(found.count() - NAMED, 0)
    columns = ("writer", "numbers", "found", "closed")
    return Table(caption="Gaps, the newest first", columns=columns, rows=tuple(rows), left_off=left)
