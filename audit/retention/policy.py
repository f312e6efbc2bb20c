"""policy: for how many days records are kept at least: a floor by category, and a default for all others.

A record is kept until its floor and its own `retention_days` are both over. Its floor is the longest that has applied
since it was stored, so lowering one shortens nothing that is stored, and raising one lengthens all that is. What is
kept until when is computed by PostgreSQL alone: `audit_retained_until` in audit/sql/0053_policy.sql.
"""

import re
from datetime import datetime
from typing import Any, NamedTuple

from audit.errors import Invalid
from audit.formats.event import WORD, limit
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.models import Floor, Record, RetentionDecision, RetentionRequest
from audit.models.retention import MAX_DAYS
from audit.postgres import sql
from audit.retention import approval

DEFAULT = ""
_RETAINED = "SELECT audit_retained_until(r) FROM audit_record r WHERE id = %s AND audit_retained_until(r) < 'infinity'"


class Current(NamedTuple):
    """The floor of a category that applies now."""

    category: str
    days: int
    applies_from: datetime
    asked_by: str
    approved_by: str


def ask(category: str, days: int, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> RetentionRequest:
    """Ask for another floor of a category, or of the default (""). Raises `Invalid`, `NothingKept`."""
    errors = {}
    if category and not (re.match(WORD, category) and len(category) <= (limit("event_category") or 0)):
        errors["category"] = "is no category: lower-case letters, digits, '-' and '_', a letter first"
    if not 1 <= days <= MAX_DAYS:
        errors["days"] = f"must be 1 to {MAX_DAYS:,}"
    if errors:
        raise Invalid(errors)
    before = days_of(category)
    facts = {"category": category, "days": days, "days_before": before}
    return approval.ask("policy", reason=reason, by=by, where=where, facts=facts, category=category, days=days)


def decide(
    request: RetentionRequest, *, approve: bool, by: str, where: Where = trail.NOTHING_ELSE
) -> RetentionDecision:
    """Approve or decline: an approved floor applies from that moment on. Raises as `approval.decide`."""
    return approval.decide(request, approve=approve, by=by, where=where, facts=_facts(request))


def withdraw(request: RetentionRequest, *, by: str, where: Where = trail.NOTHING_ELSE) -> RetentionDecision:
    """Raises as `approval.withdraw`."""
    return approval.withdraw(request, by=by, where=where, facts=_facts(request))


def current() -> list[Current]:
    """The floors that apply now, the default first."""
    newest = Floor.objects.order_by("category", "-applies_from", "-request_id").distinct("category")
    columns = ("category", "days", "applies_from", "request__asked_by", "request__decision__decided_by")
    return [Current(*row) for row in newest.values_list(*columns)]


def days_of(category: str) -> int:
    """For how many days a record of this category that is stored now is kept at least."""
    days = {floor.category: floor.days for floor in current()}
    return days.get(category, days[DEFAULT])


def retained_until(record: Record) -> datetime | None:
    """Until when the record is kept at least, by what applies now; None where it stays for good."""
    rows = sql.rows(_RETAINED, [record.pk], using="reader")
    return rows[0][0] if rows else None


def _facts(request: RetentionRequest) -> dict[str, Any]:
    return {"category": request.category, "days": request.days}
