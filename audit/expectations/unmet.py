"""unmet: store what a rule expected and did not come, with the waiver that excuses it."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from audit.models import Expectation, LateAnswer, Unmet, Waiver
from audit.postgres import sql

# Findings that one statement stores.
ROWS = 1_000
# For so long a finding that an answer may close is not told: who sends many answers must not silence it for good.
LONGEST_LATE = timedelta(hours=1)
_COLUMNS = {
    "expectation_id": "bigint",
    "subject": "text",
    "key": "text",
    "writer": "text",
    "began_by": "uuid",
    "since": "timestamptz",
    "due_at": "timestamptz",
    "wanted": "text",
    "kind": "text",
    "least": "integer",
    "came": "bigint",
    "met_at": "timestamptz",
    "met_by": "uuid",
    "waiver_id": "bigint",
    "found_at": "timestamptz",
    "closed_at": "timestamptz",
    "owner": "text",
    "explanation": "text",
    "explained_at": "timestamptz",
}
_STORE = f"""
INSERT INTO audit_unmet ({", ".join(_COLUMNS)}, expect_types)
SELECT {", ".join(_COLUMNS)}, expect_types::jsonb
FROM unnest({", ".join(f"%s::{kind}[]" for kind in _COLUMNS.values())}, %s::text[])
    AS new ({", ".join(_COLUMNS)}, expect_types)
ON CONFLICT (expectation_id, subject, key) DO NOTHING
"""


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
    for first in range(0, len(findings), ROWS):
        portion = findings[first : first + ROWS]
        sql.run(_STORE, [list(column) for column in zip(*map(_values, portion), strict=True)])


def unnotified() -> QuerySet[Unmet]:
    """Open findings of which no alarm was heard yet, the oldest first; not those that what came late may yet close."""
    since = sql.now() - LONGEST_LATE
    late = LateAnswer.objects.filter(subject=OuterRef("subject"), place__lt=OuterRef("id"), read_at__gt=since)
    waiting = Unmet.objects.filter(Q(kind="rate") | ~Exists(late), closed_at=None, explained_at=None, told_at=None)
    return waiting.select_related("expectation").order_by("found_at", "id")


def _values(finding: Unmet) -> list[Any]:
    return [*(getattr(finding, name) for name in _COLUMNS), json.dumps(finding.expect_types)]


def _covers(waiver: Waiver, finding: Unmet) -> bool:
    of_rule = waiver.expectation_id == finding.expectation_id
    return of_rule and waiver.covers(finding.subject, finding.writer, finding.since, finding.due_at)
