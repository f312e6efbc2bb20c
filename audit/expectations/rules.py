"""rulebook: people make rules, change them, switch them off and waive them. Each act is recorded before it is done."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
from django.db import transaction

from audit.formats import expectation
from audit.formats.expectation import RulePack
from audit.ingest import trail
from audit.models import ASKS, Checkpoint, Expectation, Followed, Unmet, Waiver

Act = Literal["created", "changed", "unchanged"]


class Loaded(NamedTuple):
    """What became of one rule of a pack."""

    name: str
    act: Act


@transaction.atomic
def keep(known: Expectation, *, by: str) -> Act:
    """Keep a rule as it is now. Raises `NothingKept`.

    It begins anew where it asks for something else, or is switched on: only what is sealed from now on is judged by it,
    and what was awaited is not awaited any more.
    """
    Followed.objects.select_for_update().get_or_create(name=Followed.COMPLETENESS)  # not while records are read
    before = Expectation.objects.filter(pk=known.pk).first()
    facts, act = _facts(known), "created" if before is None else "changed"
    if before is not None and _facts(before) == facts:
        return "unchanged"
    trail.add(
        f"audit.expectation.{act}",
        actor=by,
        correlation=f"expectation-{known.name}",
        name=known.name,
        before=before and _facts(before),
        after=facts,
    )
    if before is None or any(getattr(before, field) != getattr(known, field) for field in (*ASKS, "active")):
        _begin_anew(known, before)
    known.save()
    return "created" if before is None else "changed"


@transaction.atomic
def load(pack: RulePack, *, by: str) -> list[Loaded]:
    """Keep the rules of a pack: new ones are made, those that are here become what the pack says."""
    done = []
    for rule in pack.expectations:
        known = Expectation.objects.filter(name=rule.name).first() or Expectation(name=rule.name)
        known.pack = pack.pack
        for field in Expectation.FIELDS:
            setattr(known, field, getattr(rule, field))
        done.append(Loaded(rule.name, keep(known, by=by)))
    return done


def dump(rules: Iterable[Expectation]) -> list[dict[str, Any]]:
    """Rules as a pack holds them."""
    return [msgspec.to_builtins(known.rule) for known in rules]


@transaction.atomic
def waive(waiver: Waiver, *, by: str) -> int:
    """Excuse what a rule expects, for a time; return how many open findings it explains. Raises `NothingKept`."""
    Followed.objects.select_for_update().get_or_create(name=Followed.COMPLETENESS)
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


def _explain(waiver: Waiver) -> int:
    waiting = Unmet.objects.filter(
        expectation=waiver.expectation,
        closed_at=None,
        explained_at=None,
        since__lt=waiver.ends_at,
        due_at__gte=waiver.begins_at,
    )
    if waiver.correlation.endswith("*"):
        waiting = waiting.filter(subject__startswith=waiver.correlation[:-1])
    elif waiver.correlation:
        waiting = waiting.filter(subject=waiver.correlation)
    if waiver.writer:
        waiting = waiting.filter(writer=waiver.writer)
    return waiting.update(waiver=waiver, explanation=waiver.reason, explained_at=waiver.made_at, owner=waiver.by)


def _begin_anew(known: Expectation, before: Expectation | None) -> None:
    head = Checkpoint.objects.using("default").first()
    known.first_leaf = 0 if head is None else head.size
    begins = known.kind == "rate" and known.active
    known.next_day = expectation.first_whole_day(datetime.now(UTC)) if begins else None
    if before is not None:
        known.version = before.version + 1
        before.awaited.all().delete()


def _facts(known: Expectation) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(known.rule)
    return facts
