"""completeness: which events did not come, when that was found, and what became of it by the checkpoint."""

from typing import TypeVar

from django.db.models import Q, QuerySet

from audit import visibility
from audit.models import BrokenPromise, Discrepancy, Gap, Manifest, Unmet
from audit.reports.figures import Figure, Section, Table, TableRow, counted, minute, needed, out_of_scope, wrong
from audit.reports.snapshot import FINDS_WHAT_IT_COUNTS, Snapshot

FoundT = TypeVar("FoundT", bound=Discrepancy)
KEYS = (
    *("gaps", "gaps_open", "manifests", "manifests_open", "promises", "promises_open", "unmet", "unmet_open"),
    *("explained", "accounts", "unbalanced"),
)
MAX_ROWS = 40
# Key, model, label, page.
KINDS: tuple[tuple[str, type[Discrepancy], str, str], ...] = (
    ("gaps", Gap, "Gaps in the numbers of events", "audit/gap/"),
    ("manifests", Manifest, "Manifests stated", "audit/manifest/"),
    ("promises", BrokenPromise, "Promises of receipts that were broken", "audit/brokenpromise/"),
    ("unmet", Unmet, "Expectations that were not met", "audit/unmet/"),
)
# What explains a finding of each kind; earlier versions of the content looked it up by GAPS.
EXPLAINED, GAPS = tuple(f"audit.{model.NOUN}.explained" for _, model, _, _ in KINDS), "type:audit.gap.*"


def section(snapshot: Snapshot) -> Section:
    figures = [figure for key, model, label, page in KINDS for figure in _pair(snapshot, key, model, label, page)]
    return Section(
        key="completeness",
        title="Completeness and gaps",
        says="What a writer neither numbered nor stated nor anybody expects cannot be missed. Open means: it had "
        "not come by the checkpoint, explained or not; explanations are records, counted by themselves.",
        figures=(*figures, *_recorded(snapshot)),
        tables=(_gaps(snapshot),),
    )


def _pair(snapshot: Snapshot, key: str, model: type[Discrepancy], label: str, page: str) -> list[Figure]:
    rows = visibility.visible_totals(_found_in(snapshot, model._default_manager.order_by()), model.WRITER)
    still_open = rows.filter(Q(closed_at=None) | Q(closed_at__gt=snapshot.at)).count()
    return [
        counted(key, f"{label}, detected in the period", rows.count(), page=page),
        wrong(f"{key}_open", f"{label}, open at the checkpoint", still_open, page=page),
    ]


def _found_in(snapshot: Snapshot, rows: QuerySet[FoundT]) -> QuerySet[FoundT]:
    return rows.filter(found_at__gte=snapshot.begins, found_at__lte=snapshot.until)


def _recorded(snapshot: Snapshot) -> tuple[Figure, ...]:
    if not snapshot.sees_store_acts:
        labels = {"explained": "Explanations", "accounts": "Accounts of days", "unbalanced": "Days not balanced"}
        return out_of_scope(labels)
    explained = snapshot.count(*EXPLAINED)
    terms = [f"type:{name}" for name in EXPLAINED] if snapshot.version >= FINDS_WHAT_IT_COUNTS else [GAPS]
    days, unbalanced = snapshot.count("audit.account.day"), snapshot.count("audit.account.day", outcome="failure")
    lacking = "No account of a day was recorded in this period."
    query = snapshot.query("type:audit.account.day")
    return (
        counted("explained", "Explanations recorded", explained, query=snapshot.query(*terms)),
        needed("accounts", "Accounts of days recorded", days, lacking, query=query),
        wrong("unbalanced", "Accounts that did not balance", unbalanced, query=f"{query} outcome:failure"),
    )


def _gaps(snapshot: Snapshot) -> Table:
    gaps = visibility.visible_totals(_found_in(snapshot, Gap.objects.all()), Gap.WRITER)
    rows = [
        TableRow(
            (
                gap.numbering.writer,
                f"{gap.first:,} to {gap.last:,}",
                minute(gap.found_at),
                minute(gap.closed_at) if gap.closed_at and gap.closed_at <= snapshot.at else "open",
            )
        )
        for gap in gaps.select_related("numbering").order_by("-found_at", "-id")[:MAX_ROWS]
    ]
    left = max(gaps.count() - MAX_ROWS, 0)
    columns = ("writer", "numbers", "found", "closed")
    return Table(caption="Gaps, the newest first", columns=columns, rows=tuple(rows), left_off=left)
