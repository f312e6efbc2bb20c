"""Floors in the admin: an officer requests a change, a second person approves it."""

import secrets

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import RetentionRequest
from audit.retention import policy
from tests.admin.conftest import logged_in, person

LIST = reverse("admin:audit_retentionrequest_changelist")
POLICY = reverse("admin:audit_retentionrequest_policy")


@pytest.fixture
def ann() -> User:
    return person("compliance officer")


@pytest.fixture
def officer(ann: User) -> Client:
    return logged_in(ann)


@pytest.fixture
def second() -> Client:
    return logged_in(person("compliance officer"))


def asked(officer: Client, category: str, days: int = 4_000) -> RetentionRequest:
    answer = officer.post(POLICY, {"category": category, "days": days, "reason": "a new law"})
    assert answer.status_code == 302, answer.content
    return RetentionRequest.objects.get(category=category)


def word() -> str:
    return f"c-{secrets.token_hex(6)}"


def address(name: str, row: RetentionRequest) -> str:
    return reverse(f"admin:audit_retentionrequest_{name}", args=[row.pk])


def test_two_officers_change_a_floor(officer: Client, second: Client) -> None:
    category = word()
    row = asked(officer, category)
    assert "Awaiting approval" in officer.get(address("change", row)).content.decode()
    assert "4,000 instead of 2,557" in second.get(address("change", row)).content.decode()
    tasks = reverse("admin:tasks")
    assert address("change", row) in second.get(tasks).content.decode()
    assert address("change", row) not in officer.get(tasks).content.decode()
    assert "It is decided" in second.post(address("decide", row), {"approve": "yes"}, follow=True).content.decode()
    assert policy.days_of(category) == 4_000
    listed = officer.get(LIST).content.decode()
    assert category in listed
    assert "every other" in listed


def test_whoever_asked_does_not_approve_and_may_withdraw(officer: Client) -> None:
    category = word()
    row = asked(officer, category)
    refused = officer.post(address("decide", row), {"approve": "yes"}, follow=True).content.decode()
    assert "a second person has to" in refused
    assert "withdrawn" in officer.post(address("withdraw", row), follow=True).content.decode()
    assert policy.days_of(category) == 2_557
    assert officer.post(address("decide", row), {"approve": "yes"}).status_code == 404


def test_a_refused_form_keeps_what_was_written(officer: Client) -> None:
    answer = officer.post(POLICY, {"category": "Upper", "days": "many", "reason": "a new law"}).content.decode()
    assert "Nothing is requested: category: is no category" in answer
    assert "days: must be 1 to 36,500" in answer
    assert "a new law" in answer


def test_who_may_what(officer: Client, auditor: Client, operator: Client, administrator: Client) -> None:
    category = word()
    row = asked(officer, category)
    assert auditor.get(address("change", row)).status_code == 200
    assert auditor.post(address("decide", row), {"approve": "yes"}).status_code == 403
    for client in (auditor, operator, administrator):
        assert client.get(POLICY).status_code == 403
        assert client.post(POLICY, {"category": word(), "days": 5, "reason": "x"}).status_code == 403
    assert operator.get(LIST).status_code == 403
    assert administrator.post(address("decide", row), {"approve": "yes"}).status_code == 302
    assert policy.days_of(category) == 4_000


def test_the_floor_that_a_store_begins_with_was_decided_always(auditor: Client) -> None:
    first = RetentionRequest.objects.get(asked_by="auditsite", kind="policy", decision__decided_by="auditsite")
    page = auditor.get(reverse("admin:audit_retentionrequest_change", args=[first.pk])).content.decode()
    assert "auditsite, always" in page
    assert "1970" not in page
