"""redaction: officers say what is redacted in bundles that leave the store. Each change is a record first."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from django.db import transaction
from django.utils.crypto import salted_hmac

from audit.errors import Invalid
from audit.formats import redaction
from audit.formats.fields import DATA, FIELDS
from audit.formats.grammar import Query, Term
from audit.formats.redaction import Redactor, Rule
from audit.ingest import trail
from audit.models import Export, RedactionRule

INSTEAD = "ask by something else, or, with the right to it, without redaction"


@transaction.atomic
def keep(known: RedactionRule, *, by: str) -> Literal["created", "changed", "unchanged"]:
    """Keep a rule as it is now. Raises `Invalid`, `NothingKept`."""
    redaction.check(known.rule)
    before = RedactionRule.objects.select_for_update().filter(pk=known.pk).first()
    facts = _facts(known)
    if before is not None and _facts(before) == facts:
        return "unchanged"
    act: Literal["created", "changed"] = "created" if before is None else "changed"
    trail.add(
        f"audit.redaction.{act}",
        actor=by,
        correlation=f"redaction-{known.name}",
        name=known.name,
        before=before and _facts(before),
        after=facts,
    )
    known.save()
    return act


def in_force() -> list[dict[str, Any]]:
    """The rules that are active now, as a bundle remembers them."""
    return [msgspec.to_builtins(known.rule) for known in RedactionRule.objects.filter(active=True)]


def refuse(query: Query, rules: Sequence[dict[str, Any]]) -> None:
    """Refuse to ask by what is redacted: the answer would say it, and so would the query in it. Raises `Invalid`."""
    for rule in (msgspec.convert(rule, Rule) for rule in rules):
        for term in query.terms:
            if redaction.covers(rule.path, _place(term)) and _may_concern(rule, query):
                raise Invalid({"q": f"asks by what the rule {rule.name} redacts, {rule.path}: {INSTEAD}"})


def redactor(export: Export) -> Redactor | None:
    """What follows the rules that held when the bundle was asked for; None where it is not redacted."""
    if not export.redaction:
        return None
    # Not kept anywhere: digests of two bundles tell nothing of each other, and those of one need the site's secret.
    key = salted_hmac("audit.redaction", str(export.pk), algorithm="sha256").digest()
    return Redactor(msgspec.convert(export.redaction, list[Rule]), key)


def said(export: Export) -> dict[str, Any] | None:
    """What the manifest says of it: each rule, and how many records and members it was followed in."""
    if not export.redaction:
        return None
    counts = [volume["redacted"] for volume in export.volumes]
    rules = [
        rule | {"members": sum(count["members"].get(rule["name"], 0) for count in counts)} for rule in export.redaction
    ]
    return {"records": sum(count["records"] for count in counts), "rules": rules}


def _place(term: Term) -> tuple[str, ...]:
    """Where in a record a term looks."""
    return (redaction.DATA, *term.path) if term.field == DATA else (FIELDS[term.field].column,)


def _may_concern(rule: Rule, query: Query) -> bool:
    """Whether some event that the query finds may be of a type that the rule is for."""
    for term in query.terms:
        if term.field == "type" and not term.negated and not any(value.prefix for value in term.values):
            return any(rule.concerns(value.text) for value in term.values)
    return True


def _facts(known: RedactionRule) -> dict[str, Any]:
    return {**msgspec.to_builtins(known.rule), "active": known.active}
