"""verified: how much of the log the verifications of a period computed anew, and what any of them ever missed.

That nothing was removed or changed cannot be counted; it can be looked for. So a zero is only shown where somebody
looked at all of it.
"""

from collections.abc import Iterable
from datetime import timedelta

from audit.models import Finding, Verification
from audit.reports.figures import Figure, State, share
from audit.reports.snapshot import Basis

KEYS = ("verified", "removed", "modified")
SETTLES = timedelta(hours=1)
"""What was sealed later than so long before the end need not have had its turn."""


def figures(basis: Basis) -> tuple[Figure, ...]:
    """How much was looked at, then what was found."""
    size, runs = basis.leaves.stop, _runs(basis)
    left = _uncovered(runs, range(basis.size_at(basis.until - SETTLES)))
    done = size - _uncovered(runs, range(size))
    note = f"Not measured in full: {left:,} leaves were not verified in this period." if left else ""
    note = note if done else "Not measured: no verification of leaves ended in this period."
    state: State = "none" if note else "shown"
    page = "audit/verification/"
    value = f"{done:,} of {size:,}, {share(done, size)}"
    found = (
        _found(basis, "removed", "Records or leaves ever found missing by a verification", ("MISSING",), note),
        _found(basis, "modified", "Records or leaves ever found altered", ("ALTERED", "FORKED"), note),
    )
    label = "Leaves that verifications computed anew"
    return (Figure(key="verified", label=label, value=value, state=state, page=page, note=note), *found)


def _runs(basis: Basis) -> list[tuple[int, int]]:
    ended = Verification.objects.filter(ended_at__gte=basis.begins, ended_at__lte=basis.at)
    return sorted(ended.exclude(scope="correlation").values_list("first", "last"))


def _uncovered(runs: Iterable[tuple[int, int]], leaves: range) -> int:
    """How many of the first leaves no run has."""
    reached = left = 0
    for first, last in runs:
        left += max(min(first, leaves.stop) - reached, 0)
        reached = max(reached, min(last, leaves.stop))
    return left + leaves.stop - reached


def _found(basis: Basis, key: str, label: str, kinds: tuple[str, ...], note: str) -> Figure:
    count = Finding.objects.filter(kind__in=kinds, first_seen__lte=basis.until).count()
    state: State = "exception" if count else "none" if note else "shown"
    page = f"audit/finding/?kind__exact={kinds[0]}"
    return Figure(key=key, label=label, value=count, state=state, page=page, note="" if count else note)
