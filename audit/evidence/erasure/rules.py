"""Rules of erasure, made by officers; each change of one is recorded first. They hold for events from then on."""

from typing import Any

import msgspec
from django.db import transaction

from audit.formats.erasable import rules
from audit.ingest import erasure_rules, trail
from audit.models import ErasureRule


@transaction.atomic
def save_rule(rule: ErasureRule, *, by: str) -> trail.Change:
    """Record and save a rule. Raises `Invalid`, `NothingKept`."""
    rules.check(rule.rule)
    before = ErasureRule.objects.select_for_update().filter(pk=rule.pk).first()
    act = trail.add_change("erasure_rule", rule.name, _facts(before) if before else None, _facts(rule), by=by)
    if act != "unchanged":
        rule.save()
        transaction.on_commit(erasure_rules.forget)
        transaction.on_commit(erasure_rules.publish)
    return act


def _facts(rule: ErasureRule) -> dict[str, Any]:
    return {**msgspec.to_builtins(rule.rule), "active": rule.active}
