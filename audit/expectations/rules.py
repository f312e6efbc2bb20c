"""rules: people make rules, change them, switch them off and waive them. Each act is recorded before it is done."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from django.db import transaction

from audit.formats import expectation
from audit.formats.expectation import RulePack
from audit.ingest import trail
from audit.ingest.trail import Change
from audit.models import ASKS, Expectation, Followed, Unmet, Waiver, newest_head


class LoadedRule(NamedTuple):
    name: str
    act: Change


@transaction.atomic
def save(row: Expectation, *, by: str) -> Change:
    """Save a rule as it is now. Raises `NothingKept`.

    A rule that asks for something else, or is switched on, begins anew: it judges only what is sealed from now on, and
    awaits no more what it awaited.
    """
    _lock_followers()
    before = Expectation.objects.filter(pk=row.pk).first()
    act = trail.add_change("expectation", row.name, _facts(before) if before else None, _facts(row), by=by)
    if act == "unchanged":
        return act
    if before is None or any(getattr(before, field) != getattr(row, field) for field in (*ASKS, "active")):
        _begin_anew(row, before)
    row.save()
    return act


@transaction.atomic
def load(pack: RulePack, *, by: str) -> list[LoadedRule]:
    """Save the rules of a pack: new ones are made, those that exist become what the pack says."""
    loaded = []
    for rule in pack.expectations:
        row = Expectation.objects.filter(name=rule.name).first() or Expectation(name=rule.name)
        row.pack = pack.pack
        for field in Expectation.FIELDS:
            setattr(row, field, getattr(rule, field))
        loaded.append(LoadedRule(rule.name, save(row, by=by)))
    return loaded


def dump(rows: Iterable[Expectation]) -> list[dict[str, Any]]:
    return [_facts(row) for row in rows]


@transaction.atomic
def waive(waiver: Waiver, *, by: str) -> int:
    """Excuse what a rule expects, for a time; return how many open findings that explains. Raises `NothingKept`."""
    _lock_followers()
    waiver.by, waiver.made_at = by, datetime.now(UTC)
    trail.add(
        "audit.expectation.waived",
        actor=by,
        correlation=f"expectation-{waiver.expectation.name}",
        name=waiver.expectation.name,
        of=waiver.correlation or None,
        writer=waiver.writer or None,
        begins=waiver.begins_at.isoformat(),
        ends=waiver.ends_at.isoformat(),
        reason=waiver.reason,
    )
    waiver.save()
    return _explain(waiver)


def _lock_followers() -> None:
    """Let nobody read records of the log while rules change."""
    Followed.objects.select_for_update().get_or_create(name=Followed.COMPLETENESS)


def _explain(waiver: Waiver) -> int:
    findings = Unmet.objects.filter(
        expectation=waiver.expectation,
        closed_at=None,
        explained_at=None,
        since__lt=waiver.ends_at,
        due_at__gte=waiver.begins_at,
    )
    if waiver.correlation.endswith("*"):
        findings = findings.filter(subject__startswith=waiver.correlation[:-1])
    elif waiver.correlation:
        findings = findings.filter(subject=waiver.correlation)
    if waiver.writer:
        findings = findings.filter(writer=waiver.writer)
    return findings.update(waiver=waiver, explanation=waiver.reason, explained_at=waiver.made_at, owner=waiver.by)


def _begin_anew(row: Expectation, before: Expectation | None) -> None:
    head = newest_head("default")
    row.first_leaf = 0 if head is None else head.size
    counts_days = row.kind == "rate" and row.active
    row.next_day = expectation.first_whole_day(datetime.now(UTC)) if counts_days else None
    if before is not None:
        row.version = before.version + 1
        before.awaited.all().delete()


def _facts(row: Expectation) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(row.rule)
    return facts
