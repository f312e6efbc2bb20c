"""unmet: store what a rule expected and did not come, with the waiver that excuses it."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from audit.models import Expectation, Unmet, Waiver


def facts_of(row: Expectation) -> dict[str, Any]:
    """What the rule asks now: a finding is judged by it for good, also after the rule was changed."""
    return {
        "expectation": row,
        "wanted": row.words,
        "kind": row.kind,
        "expect_types": row.expect_types,
        "least": row.least,
    }


def store(findings: Sequence[Unmet]) -> None:
    """Store findings; the newest waiver that covers one explains it from the start."""
    rules = {finding.expectation_id for finding in findings}
    waivers = list(Waiver.objects.filter(expectation__in=rules).order_by("-id")) if rules else []
    for finding in findings:
        waiver = next((each for each in waivers if _covers(each, finding)), None)
        if waiver is not None:
            finding.waiver, finding.explanation = waiver, waiver.reason
            finding.explained_at, finding.owner = finding.found_at, waiver.by
    Unmet.objects.bulk_create(findings, ignore_conflicts=True)


def unnotified() -> QuerySet[Unmet]:
    """Open findings of which no alarm was heard yet, the oldest first."""
    waiting = Unmet.objects.filter(closed_at=None, explained_at=None, told_at=None)
    return waiting.select_related("expectation").order_by("id")


def _covers(waiver: Waiver, finding: Unmet) -> bool:
    of_rule = waiver.expectation_id == finding.expectation_id
    return of_rule and waiver.covers(finding.subject, finding.writer, finding.since, finding.due_at)
