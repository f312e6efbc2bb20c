"""completeness: which events did not come, when that was found, and what became of it by the checkpoint."""

from typing import NamedTuple, TypeVar

import msgspec
from django.db.models import Count, Q, QuerySet

from audit import visibility
from audit.models import BrokenPromise, Discrepancy, Gap, Manifest, Unmet
from audit.reports.figures import Figure, Section, Table, TableRow, counted, minute, needed, out_of_scope, wrong
from audit.reports.snapshot import COUNTS_SO_FAR, FINDS_WHAT_IT_COUNTS, Snapshot

FoundT = TypeVar("FoundT", bound=Discrepancy)
KEYS = (
    *("gaps", "gaps_open", "manifests", "manifests_open", "promises", "promises_open", "unmet", "unmet_open"),
    *("explained", "accounts", "unbalanced"),
)
MAX_ROWS = 40
# Findings of a kind that are counted: what is more is said to be, and Completeness has it.
MOST_COUNTED = 100_000
# Key, model, label, page.
KINDS: tuple[tuple[str, type[Discrepancy], str, str], ...] = (
    ("gaps", Gap, "Gaps in the numbers of events", "audit/gap/"),
    ("manifests", Manifest, "Manifests stated", "audit/manifest/"),
    ("promises", BrokenPromise, "Promises of receipts that were broken", "audit/brokenpromise/"),
    ("unmet", Unmet, "Expectations that were not met", "audit/unmet/"),
)
# What explains a finding of each kind; earlier versions of the content looked it up by GAPS.
EXPLAINED, GAPS = tuple(f"audit.{model.NOUN}.explained" for _, model, _, _ in KINDS), "type:audit.gap.*"


class _Counts(NamedTuple):
    """How many findings of a kind were detected, and how many of those were open."""

    found: int
    open: int
    # Whether there are more than are counted.
    more: bool = False

    def figures(self, key: str, label: str, page: str) -> list[Figure]:
        found = counted(key, f"{label}, detected in the period", self.found, page=page)
        still = wrong(f"{key}_open", f"{label}, open at the checkpoint", self.open, page=page)
        if not self.more:
            return [found, still]
        first = f"{self.open:,} of the first {self.found:,}"
        return [
            msgspec.structs.replace(found, value=f"more than {MOST_COUNTED:,}"),
            msgspec.structs.replace(still, value=first, state="exception"),
        ]


def section(snapshot: Snapshot) -> Section:
    counts = {key: _counts(snapshot, model) for key, model, _, _ in KINDS}
    figures = [figure for key, _, label, page in KINDS for figure in counts[key].figures(key, label, page)]
    return Section(
        key="completeness",
        title="Completeness and gaps",
        says="What a writer neither numbered nor stated nor anybody expects cannot be missed. Open means: it had "
        "not come by the checkpoint, explained or not; explanations are records, counted by themselves.",
        figures=(*figures, *_recorded(snapshot)),
        tables=(_gaps(snapshot, counts["gaps"]),),
    )


def _counts(snapshot: Snapshot, model: type[Discrepancy]) -> _Counts:
    rows = visibility.visible_totals(_found_in(snapshot, model._default_manager.order_by()), model.WRITER)
    still_open = Count("pk", filter=Q(closed_at=None) | Q(closed_at__gt=snapshot.at))
    if snapshot.version < COUNTS_SO_FAR:
        return _Counts(**rows.aggregate(found=Count("pk"), open=still_open))
    first = rows.order_by("found_at", "pk")[: MOST_COUNTED + 1]  # in the order of the index
    counts = _Counts(**first.aggregate(found=Count("pk"), open=still_open))
    return counts._replace(more=counts.found > MOST_COUNTED)


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


def _gaps(snapshot: Snapshot, counts: _Counts) -> Table:
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
    caption, left = "Gaps, the newest first", max(counts.found - MAX_ROWS, 0)
    if counts.more:
        caption, left = f"Gaps, the newest {MAX_ROWS} of more than {MOST_COUNTED:,}: Completeness lists more", 0
    columns = ("writer", "numbers", "found", "closed")
    return Table(caption=caption, columns=columns, rows=tuple(rows), left_off=left)
