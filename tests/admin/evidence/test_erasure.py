"""Erasures in the admin: who may, what is refused, what stays in the form."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.evidence.erasure import requests
from audit.models import ErasureRequest, ErasureRule
from tests.admin.conftest import logged_in
from tests.admin.conftest import person as somebody
from tests.audit.evidence.erasure.conftest import BASIS, asked, person, stored, values

ASK, LIST = reverse("admin:audit_erasurerequest_ask"), reverse("admin:audit_erasurerequest_changelist")


@pytest.fixture
def officer() -> Client:
    return logged_in(somebody("compliance officer"))


def form(email: str, **changes: str) -> dict[str, str]:
    return {"kind": "value", "subject": email, "paths": "", "basis": BASIS, "reason": "she asked", **changes}


def test_an_auditor_sees_erasures_and_asks_for_none(auditor: Client) -> None:
    email = person()
    stored(email)
    request = requests.ask(asked(email), by="olga")
    decide = reverse("admin:audit_erasurerequest_decide", args=[request.pk])
    assert auditor.get(LIST).status_code == 200
    shown = auditor.get(reverse("admin:audit_erasurerequest_change", args=[request.pk])).content.decode()
    assert "waiting for a second person" in shown
    assert "Approve and erase" not in shown
    assert email not in shown
    assert auditor.post(ASK, form(email) | {"ask": "yes"}).status_code == 403
    assert auditor.post(decide, {"approve": "yes"}).status_code == 403


def test_what_is_refused_stays_in_the_form(officer: Client) -> None:
    shown = officer.post(ASK, form("nobody@example.org", basis="Art. 17") | {"ask": "yes"}).content.decode()
    assert "names no record of which something can be erased" in shown
    assert 'value="Art. 17"' in shown
    assert "nobody@example.org</textarea>" in shown


def test_the_form_shows_what_would_be_erased_before_it_asks(officer: Client) -> None:
    email = person()
    stored(email, 3)
    shown = officer.post(ASK, form(email) | {"show": "yes"}).content.decode()
    assert "<code>event_data.email</code>" in shown
    assert "3 records" in shown
    assert "What an erasure does not reach" in shown
    assert not ErasureRequest.objects.filter(reason="she asked", subject__contains=email).exists()


def test_a_refusal_without_a_ground_decides_nothing(officer: Client) -> None:
    email = person()
    (row,) = stored(email, 1)
    request = requests.ask(asked(email), by="olga")
    decide = reverse("admin:audit_erasurerequest_decide", args=[request.pk])
    shown = officer.post(decide, {"refuse": "yes", "ground": " "}, follow=True).content.decode()
    assert "say which exception holds" in shown
    assert officer.post(decide, {"approve": "yes"}).status_code == 302
    assert values(row.pk) == {}
    assert officer.post(decide, {"refuse": "yes", "ground": "late"}).status_code == 404


def test_the_record_says_what_was_erased_and_where_it_still_has_its_values(auditor: Client) -> None:
    email = person()
    (row,) = stored(email, 1)
    request = requests.ask(asked(email, paths="event_data.email"), by="olga")
    before = auditor.get(reverse("admin:audit_record_change", args=[row.pk])).content.decode()
    requests.decide(request, approve=True, by="otto")
    requests.carry_out(request)
    after = auditor.get(reverse("admin:audit_record_change", args=[row.pk])).content.decode()
    assert email in before
    assert email not in after
    assert f"erased under {BASIS} on " in after
    assert "192.0.2.7" in after
    assert "Content hash matches" in after
    assert reverse("admin:audit_erasurerequest_change", args=[request.pk]) in after


def test_a_rule_that_cannot_be_applied_is_refused_at_its_field(officer: Client) -> None:
    add = reverse("admin:audit_erasurerule_add")
    shown = officer.post(
        add, {"name": "corr", "path": "correlation_id", "reason": "r", "active": "on"}
    ).content.decode()
    assert "the store needs correlation_id itself" in shown
    assert not ErasureRule.objects.filter(name="corr").exists()


def test_the_list_shows_values_without_a_link_that_would_find_nothing(auditor: Client) -> None:
    (row,) = stored(person(), 1)
    query: dict[str, Any] = {"q": f"correlation:{row.correlation_id}", "columns": ["actor_ip"]}
    assert auditor.get(reverse("admin:audit_record_changelist"), query).status_code == 200
