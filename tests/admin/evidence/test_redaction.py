"""Rules of redaction in the admin: made by officers, seen by auditors; bundles without them by right alone."""

import secrets
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse

from audit.evidence import redaction
from audit.models import Export, Record, RedactionRule
from tests.admin.conftest import logged_in, person
from tests.admin.evidence.conftest import begun, made, page
from tests.audit.evidence.conftest import sealed

ADD, LIST = reverse("admin:audit_redactionrule_add"), reverse("admin:audit_redactionrule_changelist")


@pytest.fixture
def officer() -> Client:
    return logged_in(person("compliance officer"))


@pytest.fixture
def form() -> Iterator[dict[str, str]]:
    """A rule for events that no other test sends; it is switched off afterwards."""
    kind, name = f"redaction.t{secrets.token_hex(4)}", f"r-{secrets.token_hex(4)}"
    yield {
        **{"name": name, "path": "data.email", "event_type": kind},
        **{"method": "mask", "reason": "GDPR, article 5", "active": "on"},
    }
    for rule in RedactionRule.objects.filter(name=name):
        rule.active = False
        redaction.save_rule(rule, by="tests")


def test_an_officer_makes_a_rule_and_the_next_bundle_follows_it(
    officer: Client, auditor: Client, form: dict[str, str]
) -> None:
    assert officer.post(ADD, form).status_code == 302
    (act,) = Record.objects.filter(correlation_id=f"redaction-{form['name']}")
    assert act.event_type == "audit.redaction.created"
    assert act.actor_id.startswith("compliance officer-")
    word = sealed(2, event_type=form["event_type"], event_data={"email": "ann@example.org"})
    shown = page(auditor, made(auditor, q=f"correlation:{word}"))
    assert "GDPR, article 5" in shown
    assert "in 2 records" in shown
    assert form["name"] in auditor.get(LIST).content.decode()


def test_who_makes_a_rule_is_told_that_few_possible_values_can_be_guessed(officer: Client) -> None:
    assert "can be guessed and tried by whoever knows the rest" in officer.get(ADD).content.decode()


def test_a_rule_that_cannot_be_followed_is_refused_at_its_field(officer: Client, form: dict[str, str]) -> None:
    shown = officer.post(ADD, form | {"path": "event_id"}).content.decode()
    assert "begins with one of" in shown
    shown = officer.post(ADD, form | {"event_type": "No Type"}).content.decode()
    assert "is an event type, or gateway.*" in shown
    assert not RedactionRule.objects.filter(name=form["name"]).exists()


def test_nobody_else_makes_a_rule_and_nobody_deletes_one(
    officer: Client, auditor: Client, operator: Client, superuser_client: Client, form: dict[str, str]
) -> None:
    for client in (auditor, operator):
        assert client.post(ADD, form).status_code == 403
    assert operator.get(LIST).status_code == 403
    officer.post(ADD, form)
    rule = RedactionRule.objects.get(name=form["name"])
    assert superuser_client.post(reverse("admin:audit_redactionrule_delete", args=[rule.pk])).status_code == 403


def test_without_redaction_is_for_those_who_have_the_right(officer: Client, auditor: Client) -> None:
    word = sealed(1)
    records = reverse("admin:audit_record_changelist")
    assert 'name="unredacted"' in officer.get(records, {"q": "outcome:failure"}).content.decode()
    assert 'name="unredacted"' not in auditor.get(records, {"q": "outcome:failure"}).content.decode()
    asked = {"q": f"correlation:{word}", "unredacted": "1"}
    assert (
        "needs a right of its own"
        in auditor.post(reverse("admin:audit_export_make"), asked, follow=True).content.decode()
    )
    bundle = begun(officer, **asked)
    assert Export.objects.get(pk=bundle.pk).unredacted
    assert "none, as requested" in page(officer, bundle)
