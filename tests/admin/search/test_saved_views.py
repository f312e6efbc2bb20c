"""Saved views: a query with a name, for oneself or a group; every right still counts when it is opened."""

import html
import json
import secrets
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

import audit
from audit.formats import grammar
from audit.models import Record, SavedView
from audit.search import saved_views
from tests.admin.conftest import logged_in, person

LIST = reverse("admin:audit_record_changelist")
SAVE = reverse("admin:audit_record_save")
QUERY = "actor:alice type:gateway.* outcome:failure"


@pytest.fixture
def ann() -> User:
    return person("auditor")


def a_name() -> str:
    return f"view {secrets.token_hex(4)}"


def page_of(user: User) -> str:
    return html.unescape(logged_in(user).get(LIST).content.decode())


def test_a_view_is_kept_under_its_name_and_recorded(ann: User) -> None:
    name = a_name()
    answer = logged_in(ann).post(SAVE, {"name": name, "q": QUERY}, follow=True)
    assert f"Saved as “{name}”" in answer.content.decode()
    assert SavedView.objects.get(name=name).query == QUERY
    noted = Record.objects.get(event_type="audit.view.saved", event_data__name=name)
    assert (noted.actor_id, noted.event_data["query"]) == (ann.username, QUERY)
    assert f">{name}</a>" in page_of(ann)


def test_a_view_is_its_owner_s_until_it_is_shared_with_a_group(ann: User) -> None:
    name, colleague, operator = a_name(), person("auditor"), person("operator")
    auditors = Group.objects.get(name="auditor")
    saved_views.save(name, QUERY, by=ann)
    assert name not in page_of(colleague)
    saved_views.save(name, QUERY, by=ann, group=auditors.pk)
    assert name in page_of(colleague)
    assert list(saved_views.visible_to(operator).filter(name=name)) == []


def test_nobody_shares_with_a_group_of_others(ann: User) -> None:
    with pytest.raises(saved_views.NotSaved, match="a group that you are in"):
        saved_views.save(a_name(), QUERY, by=ann, group=Group.objects.get(name="operator").pk)


def test_only_its_owner_removes_a_view(ann: User) -> None:
    view = saved_views.save(a_name(), QUERY, by=ann, group=Group.objects.get(name="auditor").pk)
    address = reverse("admin:audit_record_remove", args=[view.pk])
    assert "Only who saved" in logged_in(person("auditor")).post(address, follow=True).content.decode()
    assert logged_in(person("operator")).post(address).status_code == 403
    logged_in(ann).post(address)
    assert not SavedView.objects.filter(pk=view.pk).exists()
    assert Record.objects.filter(event_type="audit.view.removed", event_data__name=view.name).exists()


def test_what_is_no_query_or_has_no_name_is_not_saved(ann: User) -> None:
    with pytest.raises(saved_views.NotSaved, match="needs a name"):
        saved_views.save(" ", QUERY, by=ann)
    with pytest.raises(saved_views.NotSaved, match="cannot be read"):
        saved_views.save(a_name(), "nonsense:1", by=ann)
    with pytest.raises(saved_views.NotSaved, match="shorten it"):
        saved_views.save(a_name(), " ".join(f"data.k{number}:{'x' * 90}" for number in range(30)), by=ann)


def test_a_form_alone_saves_and_removes(ann: User) -> None:
    assert logged_in(ann).get(SAVE).status_code == 405
    assert logged_in(ann).post(reverse("admin:audit_record_remove", args=[2**60])).status_code == 404


def test_the_views_of_the_pack_are_there_for_everyone_and_can_be_read() -> None:
    pack = json.loads((Path(audit.__file__).parent / "search" / "packs" / "views.json").read_bytes())
    page = page_of(person("auditor"))
    for view in pack["views"]:
        assert str(grammar.parse(view["query"])) == view["query"]
        assert view["name"] in page


def test_the_columns_are_part_of_the_address(auditor: Client, record: Record) -> None:
    query = {"q": f"id:{record.pk}", "columns": ["namespace", "writer", "nonsense"]}
    page = auditor.get(LIST, query).content.decode()
    assert "column-namespace" in page and "column-writer" in page
    assert "column-severity" not in page
    assert "columns=writer%2Cnamespace" in page
