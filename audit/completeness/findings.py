"""findings: how many are open, of each kind: the number in the rail and on the page of completeness is this one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from audit.completeness import counts
from audit.completeness.coverage import hour_of
from audit.formats import times
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


def how_many() -> int:
    """How many are open that the viewer may see."""
    of_kinds = counts.of_kinds()
    return sum(of_kinds[counts.kind_of(kind)].open for kind in KINDS if counts.kind_of(kind) in of_kinds)


def by_span(now: datetime) -> dict[type[Discrepancy], list[int]]:
    """For each kind how many of the open ones were detected in each of `SPANS_DAYS` before now; then all."""
    found = counts.open_since([beginning(days, now) for days in SPANS_DAYS])
    return {kind: found.get(counts.kind_of(kind), [0] * (len(SPANS_DAYS) + 1)) for kind in KINDS}


def beginning(days: int, now: datetime) -> datetime:
    """When the last so many days began, as they are counted: with the hour in which they did, or with the day."""
    moment = now.astimezone(UTC) - timedelta(days=days)
    return hour_of(moment) if days == 1 else times.midnight(moment.date())
