"""Whatever is done to people and rights is a record, and nobody becomes a second person."""

import secrets
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from audit.errors import NothingKept
from audit.ingest import trail
from audit.models import Record
from tests.admin.access.conftest import change
from tests.admin.conftest import logged_in, person


def acts(name: str) -> list[str]:
    found = Record.objects.filter(correlation_id=f"person-{name}").order_by("event_timestamp", "id")
    return [record.event_type.removeprefix("audit.person.") for record in found]


def test_nobody_renames_an_account(administrator: Client, superuser_client: Client) -> None:
    user = person("operator")
    name = user.username
    for client in (administrator, superuser_client):
        change(client, user, "operator", username="somebody-else")
        assert user.username == name


def test_nobody_gives_himself_groups() -> None:
    user = person("administrator")
    change(logged_in(user), user, "administrator", "operator")
    assert [group.name for group in user.groups.all()] == ["administrator"]


def test_what_is_given_and_taken_is_recorded(superuser_client: Client) -> None:
    user = person("operator")
    change(superuser_client, user, "auditor", "operator")
    assert {group.name for group in user.groups.all()} == {"auditor", "operator"}
    (record,) = Record.objects.filter(event_type="audit.person.changed", correlation_id=f"person-{user.username}")
    assert record.event_data["groups"] == ["auditor", "operator"]
    assert record.event_data["groups_before"] == ["operator"]
    assert record.actor_id.startswith("person-")


def test_new_people_and_passwords_are_recorded(administrator: Client) -> None:
    name, password = f"new-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    secret = {"usable_password": "true", "password1": password, "password2": password}
    administrator.post("/admin/auth/user/add/", {"username": name, "groups": role("operator"), **secret})
    user = User.objects.get(username=name)
    administrator.post(f"/admin/auth/user/{user.pk}/password/", secret)
    assert acts(name) == ["created", "password_asked_to_change"]


def role(name: str) -> int:
    return Group.objects.get(name=name).pk


def test_a_person_who_is_made_with_a_role_can_log_in_at_once(administrator: Client) -> None:
    name, password = f"new-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    secret = {"usable_password": "true", "password1": password, "password2": password}
    form = {"username": name, "email": "a@example.org", "groups": role("operator"), **secret}
    administrator.post("/admin/auth/user/add/", form)
    client = Client()
    client.post("/admin/login/", {"username": name, "password": password})
    assert client.get("/admin/audit/parked/").status_code == 200


def test_a_role_that_opens_records_waits_for_a_second_person(administrator: Client) -> None:
    name, password = f"new-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    secret = {"usable_password": "true", "password1": password, "password2": password}
    form = {"username": name, "groups": role("auditor"), **secret}
    page = administrator.post("/admin/auth/user/add/", form, follow=True).content.decode()
    assert f"{name} is in the group auditor" in page
    assert not User.objects.get(username=name).groups.exists()
    new = Client()
    new.post("/admin/login/", {"username": name, "password": password})
    told = new.get("/admin/", follow=True).content.decode()
    assert "Your membership of auditor waits for a second person" in told


def test_nobody_is_made_without_a_role(administrator: Client) -> None:
    answer = administrator.post("/admin/auth/user/add/", {"username": "new-without", "usable_password": "false"})
    assert "This field is required." in answer.content.decode()


def test_who_knows_the_password_of_an_account_without_pages_is_told_what_lacks() -> None:
    user, password = person("operator"), secrets.token_urlsafe(16)
    user.set_password(password)
    user.is_staff = False
    user.save()
    page = Client().post("/admin/login/", {"username": user.username, "password": password}).content.decode()
    assert "does not open these pages yet" in page
    wrong = Client().post("/admin/login/", {"username": user.username, "password": "wrong"}).content.decode()
    assert "do not belong together" in wrong


def test_what_cannot_be_recorded_is_not_done(superuser_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user = person("operator")

    def refuse(*arguments: Any, **facts: Any) -> None:
        raise NothingKept

    monkeypatch.setattr(trail, "add", refuse)
    with pytest.raises(NothingKept):
        change(superuser_client, user, "operator", "auditor")
    assert [group.name for group in user.groups.all()] == ["operator"]


def test_a_change_of_rights_is_recorded(superuser_client: Client) -> None:
    group = Group.objects.create(name=f"group-{secrets.token_hex(4)}")
    superuser_client.post(f"/admin/auth/group/{group.pk}/change/", {"name": group.name, "permissions": []})
    record = Record.objects.get(event_type="audit.group.changed", event_data__group=group.name)
    assert record.event_data["permissions"] == []


def test_who_comes_in_goes_or_is_refused_is_recorded() -> None:
    user = person("auditor")
    password = secrets.token_urlsafe(16)
    user.set_password(password)
    user.save()
    client = Client()
    client.post("/admin/login/", {"username": user.username, "password": "wrong"})
    client.post("/admin/login/", {"username": user.username, "password": password})
    client.post("/admin/logout/")
    assert acts(user.username) == ["login_refused", "logged_in", "logged_out"]
