"""redaction: the rules that officers make about what is redacted in bundles. Each change of one is recorded first."""

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import transaction
from django.utils.crypto import salted_hmac

from audit.errors import Invalid
from audit.formats import redaction
from audit.formats.fields import ANY, ANYWHERE, DATA, FIELDS
from audit.formats.grammar import Query, Term
from audit.formats.redaction import Redactor, Rule
from audit.ingest import trail
from audit.models import Export, RedactionRule

INSTEAD = "ask by something else, or, with the right to it, without redaction"
OF_WORDS = ", where words without a field are looked for"
IN_A_FIELD = "name the field that they are meant for, or, with the right to it, ask without redaction"


@transaction.atomic
def save_rule(rule: RedactionRule, *, by: str) -> trail.Change:
    """Record and save a rule. Raises `Invalid`, `NothingKept`."""
    redaction.check(rule.rule)
    before = RedactionRule.objects.select_for_update().filter(pk=rule.pk).first()
    act = trail.add_change("redaction", rule.name, _facts(before) if before else None, _facts(rule), by=by)
    if act != "unchanged":
        rule.save()
    return act


def in_force() -> list[dict[str, Any]]:
    """The rules that are active now, as the column `Export.redaction` holds them."""
    return [msgspec.to_builtins(rule.rule) for rule in RedactionRule.objects.filter(active=True)]


def refuse(query: Query, rules: Sequence[dict[str, Any]]) -> None:
    """Refuse a query by redacted members: the answer would tell the values. Raises `Invalid`."""
    for rule in (msgspec.convert(rule, Rule) for rule in rules):
        for term in query.terms:
            if any(redaction.covers(rule.path, place) for place in _places(term)) and _may_concern(rule, query):
                end = f"{OF_WORDS}: {IN_A_FIELD}" if term.field == ANY else f": {INSTEAD}"
                raise Invalid({"q": f"asks by what the rule {rule.name} redacts, {rule.path}{end}"})


def redactor(export: Export) -> Redactor | None:
    """Applies the rules that held when the bundle was asked for; None where it is not redacted."""
    return redactor_of(export.redaction, str(export.pk))


def redactor_of(rules: Sequence[dict[str, Any]], place: str) -> Redactor | None:
    """Applies these rules; None where there is none. Digests can be compared within the place of that name alone."""
    if not rules:
        return None
    # The key is stored nowhere: digests of two bundles cannot be compared, and those of one need the site's secret.
    key = salted_hmac("audit.redaction", place, algorithm="sha256").digest()
    return Redactor(msgspec.convert(rules, list[Rule]), key)


def summary(export: Export) -> dict[str, Any] | None:
    """Each rule, with how many records and members it was applied to; None where nothing is redacted."""
    if not export.redaction:
        return None
    counts = [volume["redacted"] for volume in export.volumes]
    rules = [
        rule | {"members": sum(count["members"].get(rule["name"], 0) for count in counts)} for rule in export.redaction
    ]
    return {"records": sum(count["records"] for count in counts), "rules": rules}


def _places(term: Term) -> list[tuple[str, ...]]:
    """The members that a term asks by: a word that names no field asks by several."""
    if term.field == DATA:
        return [(redaction.DATA, *term.path)]
    names = ANYWHERE if term.field == ANY else (term.field,)
    return [(FIELDS[name].column,) for name in names]


def _may_concern(rule: Rule, query: Query) -> bool:
    """Whether the query can find an event of a type that the rule is for."""
    for term in query.terms:
        if term.field == "type" and not term.negated and not any(value.prefix for value in term.values):
            return any(rule.concerns(value.text) for value in term.values)
    return True


def _facts(rule: RedactionRule) -> dict[str, Any]:
    return {**msgspec.to_builtins(rule.rule), "active": rule.active}
