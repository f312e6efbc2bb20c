"""unmet: keep what a rule expected and what did not come, with the waiver that excuses it."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from audit.models import Expectation, Unmet, Waiver


def asked(known: Expectation) -> dict[str, Any]:
    """What the rule asks now: a finding is judged by it for good, also after the rule was changed."""
    return {
        "expectation": known,
        "wanted": known.words,
        "kind": known.kind,
        "expect_types": known.expect_types,
        "least": known.least,
    }


def keep(found: Sequence[Unmet]) -> None:
    """Keep findings; the newest waiver that covers one explains it from the start."""
    rules = {one.expectation_id for one in found}
    waivers = list(Waiver.objects.filter(expectation__in=rules).order_by("id")) if rules else []
    for one in found:
        for waiver in waivers:
            if waiver.expectation_id == one.expectation_id and waiver.covers(
                one.subject, one.writer, one.since, one.due_at
            ):
                one.waiver, one.explanation = waiver, waiver.reason
                one.explained_at, one.owner = one.found_at, waiver.by
    Unmet.objects.bulk_create(found, ignore_conflicts=True)


def untold() -> QuerySet[Unmet]:
    """Open findings that nobody was told of yet, the oldest first."""
    waiting = Unmet.objects.filter(closed_at=None, explained_at=None, told_at=None)
    return waiting.select_related("expectation").order_by("id")
