"""What opens records or decides about others needs two people; nobody is named as the store is."""

import secrets
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from audit.access import api_keys, rights
from audit.ingest import trail
from audit.models import OWN_WRITER, Record, RightsRequest, Writer
from tests.admin.access.conftest import change
from tests.admin.conftest import logged_in, person

WRITERS, REQUESTS = "/admin/audit/writer/", "/admin/audit/rightsrequest/"
KEYS = {"keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}


def make_writer(client: Client, *scopes: str, **fields: str) -> tuple[Writer, str]:
    """Make a writer in the admin; return it with the page that answers."""
    name = f"w-{secrets.token_hex(4)}"
    page = client.post(f"{WRITERS}add/", {"name": name, "scopes": scopes, **fields, **KEYS})
    return Writer.objects.get(name=name), page.content.decode()


def change_writer(client: Client, writer: Writer, *scopes: str, **fields: str) -> None:
    client.post(f"{WRITERS}{writer.pk}/change/", {"scopes": scopes, **fields, **KEYS})
    writer.refresh_from_db()


def waiting(subject: str) -> RightsRequest:
    return RightsRequest.objects.get(subject=subject, decision="")


def decide(client: Client, request: RightsRequest, answer: str = "approve") -> int:
    return int(client.post(f"{REQUESTS}{request.pk}/decide/", {answer: "yes"}).status_code)


def acts(subject: str) -> list[str]:
    found = Record.objects.filter(event_type__startswith="audit.rights.", event_data__subject=subject)
    return [record.event_type.removeprefix("audit.rights.") for record in found.order_by("event_timestamp", "id")]


def test_an_administrator_alone_gives_no_scope_that_opens_anything(administrator: Client) -> None:
    writer, page = make_writer(administrator, "write", "read", "export", "unredacted")
    assert writer.scopes == ["write"]
    key = page.partition("<code data-copy>aw_")[2].partition("</code>")[0]
    principal = api_keys.check(f"aw_{key}")
    assert principal is not None and principal.scopes == {"write"}
    request = waiting(writer.name)
    assert request.asked == {"scopes": ["read", "export", "unredacted"], "reads_writers": [], "reads_categories": []}
    assert decide(administrator, request) == 302  # told that a second person has to
    writer.refresh_from_db()
    assert writer.scopes == ["write"]
    second = logged_in(person("administrator"))
    assert "Grant" in second.get(f"{REQUESTS}{request.pk}/change/").content.decode()
    assert "Grant" not in administrator.get(f"{REQUESTS}{request.pk}/change/").content.decode()
    assert decide(second, request) == 302
    writer.refresh_from_db()
    assert writer.scopes == ["write", "read", "export", "unredacted"]
    api_keys.forget()
    principal = api_keys.check(f"aw_{key}")
    assert principal is not None and "unredacted" in principal.scopes
    assert acts(writer.name) == ["asked", "granted"]


def test_who_has_decided_sees_the_menu_count_it_no_longer(administrator: Client) -> None:
    writer, _ = make_writer(administrator, "write", "read")
    second = logged_in(person("administrator"))

    def counted(page: Any) -> str:
        return str({section.name: section.number for section in page.context["rail"]}["Settings"])

    before = int(counted(second.get(REQUESTS)))
    address = f"{REQUESTS}{waiting(writer.name).pk}/decide/"
    told = second.post(address, {"approve": "yes"}, follow=True)
    assert "It is decided" in told.content.decode()
    assert counted(told) == ("" if before == 1 else str(before - 1))


def test_nor_does_one_widen_what_a_reading_key_may_read(administrator: Client) -> None:
    writer = Writer.objects.create(name=f"w-{secrets.token_hex(4)}", scopes=["read"], reads_writers=["billing"])
    change_writer(administrator, writer, "read", reads_writers="", reads_categories="")
    assert (writer.scopes, writer.reads_writers) == (["read"], ["billing"])
    assert decide(logged_in(person("compliance officer")), waiting(writer.name)) == 302
    writer.refresh_from_db()
    assert writer.reads_writers == []


def test_a_scope_is_taken_away_by_one(administrator: Client) -> None:
    writer = Writer.objects.create(name=f"w-{secrets.token_hex(4)}", scopes=["write", "read"])
    change_writer(administrator, writer, "write")
    assert writer.scopes == ["write"]
    assert not RightsRequest.objects.filter(subject=writer.name).exists()


@pytest.mark.parametrize("group", ["auditor", "compliance officer", "administrator"])
def test_an_administrator_alone_puts_nobody_into_a_group_that_opens_or_decides(
    administrator: Client, group: str
) -> None:
    user = person("operator")
    change(administrator, user, "operator", group)
    assert [joined.name for joined in user.groups.all()] == ["operator"]
    assert logged_in(user).get("/admin/audit/record/").status_code == 403
    request = waiting(user.username)
    assert f"Your membership of {group} waits" in logged_in(user).get("/admin/tasks/").content.decode()
    # Not the one who would get it, were they an administrator already.
    user.groups.set(Group.objects.filter(name="administrator"))
    assert not rights.may_decide(request, User.objects.get(pk=user.pk))
    with pytest.raises(rights.SamePerson):
        rights.decide(request, approve=True, by=user.username)
    user.groups.clear()
    assert decide(logged_in(person("compliance officer")), request) == 302
    assert [joined.name for joined in user.groups.all()] == [group]
    assert acts(user.username) == ["asked", "granted"]


def test_what_is_declined_stays_so(administrator: Client) -> None:
    user, officer = person(None), logged_in(person("compliance officer"))
    change(administrator, user, "compliance officer")
    request = waiting(user.username)
    assert decide(officer, request, "decline") == 302
    assert decide(officer, request) == 404
    assert not user.groups.exists()
    assert acts(user.username) == ["asked", "declined"]
    with pytest.raises(rights.AlreadyDecided):
        rights.decide(request, approve=True, by="somebody")


def test_what_cannot_be_recorded_is_not_granted(administrator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user, officer = person(None), logged_in(person("compliance officer"))
    change(administrator, user, "auditor")

    def nothing_kept(*args: Any, **facts: Any) -> None:
        raise rights.AuditError("nothing is kept")

    monkeypatch.setattr(trail, "add", nothing_kept)
    assert decide(officer, waiting(user.username)) == 302
    assert not user.groups.exists()
    assert waiting(user.username).decision == ""


def test_nobody_else_decides(operator: Client, auditor: Client, administrator: Client) -> None:
    user = person(None)
    change(administrator, user, "auditor")
    request = waiting(user.username)
    for client in (operator, auditor):
        assert decide(client, request) == 403
        assert client.get(REQUESTS).status_code == 403
    assert administrator.get(f"{REQUESTS}{request.pk}/decide/").status_code == 405


def test_operators_are_made_by_one(administrator: Client) -> None:
    user = person(None)
    change(administrator, user, "operator")
    assert [joined.name for joined in user.groups.all()] == ["operator"]


def test_a_new_key_is_on_the_page_alone_and_in_no_cookie(administrator: Client) -> None:
    writer, page = make_writer(administrator, "write")
    assert "shown only now" in page and page.count("aw_") == 2  # and in the request to paste
    key = page.partition("<code data-copy>")[2].partition("</code>")[0]
    assert api_keys.check(key) is not None
    rotated = administrator.post(WRITERS, {"action": "rotate_at_once", "_selected_action": [writer.pk]})
    new = rotated.content.decode().partition("<code data-copy>")[2].partition("</code>")[0]
    assert (api_keys.check(key), api_keys.check(new) is not None) == (None, True)
    assert "no-store" in rotated["Cache-Control"]
    for answer in (rotated, administrator.get(WRITERS)):
        kept = f"{answer.cookies}{administrator.cookies}{dict(administrator.session)}"
        assert key not in kept and new not in kept and key[:11] not in kept


@pytest.mark.parametrize(
    "name", ["auditsite", "AuditSite", "".join(chr(ord(letter) + 0xFEE0) for letter in "auditsite")]
)
def test_nobody_is_named_as_the_store_is(administrator: Client, name: str) -> None:
    password = secrets.token_urlsafe(16)
    form = {"username": name, "usable_password": "true", "password1": password, "password2": password}
    page = administrator.post("/admin/auth/user/add/", form)
    assert "is the store itself" in page.content.decode()
    with pytest.raises(ValidationError):
        User.objects.create_user(name)
    with pytest.raises((CommandError, ValidationError)):
        call_command("createsuperuser", "--no-input", "--username", name, "--email", "a@example.com")
    assert not User.objects.filter(username__iexact="auditsite").exists()


def test_no_name_makes_an_act_one_of_the_store() -> None:
    """Whatever gave a person this name, before it was refused or past it."""
    correlation = f"c-{secrets.token_hex(4)}"
    trail.add("audit.test.done", actor=str(OWN_WRITER), correlation=correlation)
    trail.add("audit.test.done", actor=OWN_WRITER, correlation=correlation)
    kinds = Record.objects.filter(correlation_id=correlation).order_by("event_timestamp", "id")
    assert [(record.actor_id, record.actor_type) for record in kinds] == [
        ("auditsite", "user"),
        ("auditsite", "service"),
    ]


def test_somebody_who_tries_to_log_in_as_the_store_is_recorded_as_a_person(client: Client) -> None:
    client.post("/admin/login/", {"username": "auditsite", "password": "x"})
    record = Record.objects.filter(event_type="audit.person.login_refused", actor_id="auditsite").latest("id")
    assert record.actor_type == "user"
    assert authenticate(username="auditsite", password="x") is None
