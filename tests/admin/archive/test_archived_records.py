"""Archived records in the admin: found, shown with their archive, recorded, and within what a person may see."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.archive import read
from audit.models import Archive, AuditorScope, Record, RedactionRule
from tests.admin.conftest import logged_in, person
from tests.audit.archive.conftest import archived
from tests.audit.evidence.conftest import ME

LIST = reverse("admin:audit_archivedrecord_changelist")


@pytest.fixture
def word() -> str:
    return f"w-{secrets.token_hex(4)}"


@pytest.fixture
def whole(tmp_path: Path, word: str) -> Iterator[Archive]:
    archive = archived(tmp_path, 3, actor_id=word, event_data={"secret": word, "text": "<script>alert(1)</script>"})
    read.read(ME, tmp_path)
    yield archive
    read.forget(ME, archive)


def page_of(whole: Archive) -> str:
    return reverse("admin:audit_archivedrecord_detail", args=[whole.pk, whole.first])


def test_a_record_is_found_and_shown_with_its_archive_and_that_is_recorded(
    whole: Archive, word: str, auditor: Client
) -> None:
    shown = auditor.get(LIST, {"q": f"actor:{word}"}).content.decode()
    assert shown.count(f"archive {str(whole.pk)[:8]}") == 3
    assert page_of(whole) in shown
    look = Record.objects.filter(event_type="audit.records.searched", event_data__path=LIST).first()
    assert look is not None
    assert look.event_data["rows"] == 3
    page = auditor.get(page_of(whole)).content.decode()
    assert "volume-0001.zip" in page
    assert "<script>alert(1)" not in page
    seen = Record.objects.filter(event_type="audit.record.viewed", event_data__path=page_of(whole)).first()
    assert seen is not None


def test_what_cannot_be_searched_is_said_and_nothing_is_shown(whole: Archive, auditor: Client) -> None:
    answer = auditor.get(LIST, {"q": "nope:1"})
    assert (answer.status_code, "there is no field" in answer.content.decode()) == (400, True)
    assert auditor.get(LIST, {"archive": "x"}).status_code == 400
    assert auditor.get(LIST, {"after": "x"}).status_code == 400


def test_the_list_goes_on_at_the_next_page(
    whole: Archive, word: str, auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.archive.archived.PER_PAGE", 2)
    first = auditor.get(LIST, {"q": f"actor:{word}", "archive": str(whole.pk)})
    following = first.context["next_url"]
    assert len(first.context["rows"]) == 2
    second = auditor.get(following)
    assert len(second.context["rows"]) == 1
    assert (second.context["next_url"], bool(second.context["first_url"])) == ("", True)


def test_whoever_has_scopes_sees_what_is_within_them(whole: Archive, word: str) -> None:
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=["another"], categories=[])
    client = logged_in(user)
    assert page_of(whole) not in client.get(LIST, {"q": f"actor:{word}"}).content.decode()
    assert client.get(page_of(whole)).status_code == 404


def test_rules_of_redaction_hold_but_for_those_who_may_have_it_whole(whole: Archive, word: str) -> None:
    rule = RedactionRule.objects.create(
        name=f"r-{secrets.token_hex(4)}", path="event_data.secret", method="remove", reason="tests", active=True
    )
    other = RedactionRule.objects.create(
        name=f"r-{secrets.token_hex(4)}", path="actor_id", method="remove", reason="tests", active=True
    )
    try:
        auditor, officer = logged_in(person("auditor")), logged_in(person("compliance officer"))
        page = auditor.get(page_of(whole)).content.decode()
        assert word not in page
        assert rule.name in page
        listed = auditor.get(LIST, {"archive": str(whole.pk)}).content.decode()
        assert (word in listed, "<td>redacted</td>" in listed) == (False, True)
        assert auditor.get(LIST, {"q": f"actor:{word}"}).status_code == 400
        assert word in officer.get(page_of(whole)).content.decode()
        assert officer.get(LIST, {"q": f"actor:{word}"}).status_code == 200
    finally:
        RedactionRule.objects.filter(pk__in=[rule.pk, other.pk]).update(active=False)


def test_only_those_who_read_records_see_them(
    whole: Archive, auditor: Client, operator: Client, administrator: Client
) -> None:
    for client in (operator, administrator):
        assert client.get(LIST).status_code == 403
        assert client.get(page_of(whole)).status_code == 403
    assert auditor.get(f"{LIST}{whole.pk}/change/").status_code == 404


def test_without_what_was_read_the_page_says_how_to(auditor: Client) -> None:
    answer: Any = auditor.get(LIST, {"q": f"actor:nobody-{secrets.token_hex(4)}"})
    assert (
        "No archived record matches" in answer.content.decode() or "manage.py archive read" in answer.content.decode()
    )
