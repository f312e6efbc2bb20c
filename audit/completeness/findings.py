"""findings: how many are open, of each kind: the number in the rail and on the page of completeness is this one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from audit import visibility
from audit.models import BrokenPromise, Gap, Manifest, Unmet
from audit.models.base import Discrepancy

# What a finding of each kind is called where they are counted.
KINDS: Mapping[type[Discrepancy], str] = {
    Gap: "sequence gaps",
    Manifest: "manifests that did not agree",
    BrokenPromise: "broken promises",
    Unmet: "unmet expectations",
}
COUNTED = f"open findings: {', '.join(KINDS.values())}, neither explained nor closed"
SPANS_DAYS = (1, 7, 30)
OPEN = Q(closed_at=None, explained_at=None)


def at_most(limit: int) -> int:
    """How many are open that the viewer may see, counted up to a limit."""
    count = 0
    for kind in KINDS:
        if count < limit:
            count += _open(kind)[: limit - count].count()
    return count


def by_span(now: datetime) -> dict[type[Discrepancy], list[int]]:
    """For each kind how many of the open ones were detected in each of `SPANS_DAYS` before now; then all."""
    counts = {}
    for kind in KINDS:
        spans = {f"days_{days}": Count("pk", filter=Q(found_at__gt=now - timedelta(days=days))) for days in SPANS_DAYS}
        counts[kind] = list(_open(kind).aggregate(**spans, whole=Count("pk")).values())
    return counts


def _open(kind: type[Discrepancy]) -> QuerySet[Any]:
    return visibility.visible_totals(kind._default_manager.filter(OPEN), kind.WRITER).order_by()
