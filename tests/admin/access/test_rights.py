"""Who may see and do what in the admin."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from audit.access import api_keys
from audit.models import Record, Writer
from dlq.message import Message
from tests.admin.conftest import person

RECORDS, PARKED, WRITERS, USERS = (
    f"/admin/{place}/" for place in ("audit/record", "audit/parked", "audit/writer", "auth/user")
)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("auditor", {RECORDS, PARKED, WRITERS}),
        ("operator", {PARKED, WRITERS}),
        ("administrator", {PARKED, WRITERS, USERS}),
        ("outsider", set()),
        ("superuser_client", {RECORDS, PARKED, WRITERS, USERS}),
    ],
)
def test_each_group_sees_its_pages_and_no_others(request: pytest.FixtureRequest, who: str, allowed: set[str]) -> None:
    client: Client = request.getfixturevalue(who)
    answers = {path: client.get(path).status_code for path in (RECORDS, PARKED, WRITERS, USERS)}
    assert {path for path, status in answers.items() if status == 200} == allowed
    assert {status for path, status in answers.items() if path not in allowed} <= {403}


def test_nobody_without_a_login_sees_anything() -> None:
    for path in ("/admin/", RECORDS, PARKED, WRITERS, USERS):
        assert Client().get(path).status_code == 302


@pytest.mark.parametrize("who", ["auditor", "operator", "administrator", "superuser_client"])
def test_nobody_adds_changes_or_deletes_a_record(request: pytest.FixtureRequest, who: str, record: Record) -> None:
    client: Client = request.getfixturevalue(who)
    for path in (f"{RECORDS}add/", f"{RECORDS}{record.id}/delete/", f"{RECORDS}{record.id}/history/"):
        assert client.get(path).status_code == 403
        assert client.post(path, {"post": "yes"}).status_code == 403
    client.post(f"{RECORDS}{record.id}/change/", {"severity": "low"})
    client.post(RECORDS, {"action": "delete_selected", "_selected_action": [str(record.id)]})
    assert Record.objects.get(id=record.id).digest_holds


def test_an_operator_retries_and_an_auditor_does_not(operator: Client, auditor: Client, parked: Message) -> None:
    path = f"{PARKED}{parked.id}/retry/"
    assert auditor.post(path).status_code == 403
    assert operator.get(path).status_code == 405
    assert operator.post(path).status_code == 302
    (act,) = Record.objects.filter(event_type="audit.parked.retried", event_data__contains={"event_ids": [parked.key]})
    assert (act.correlation_id, act.actor_type) == ("dead-letter-queue", "user")
    assert act.actor_id.startswith("operator-")


def test_an_administrator_cannot_make_a_superuser(administrator: Client) -> None:
    someone = person("operator")
    form = administrator.get(f"{USERS}{someone.pk}/change/")
    fields: Any = form.context["adminform"].form.fields
    assert "is_superuser" not in fields
    assert "user_permissions" not in fields
    boss = person(None, is_superuser=True)
    assert "_save" not in administrator.get(f"{USERS}{boss.pk}/change/").content.decode()


def test_an_administrator_makes_a_writer_and_sees_its_key_once(administrator: Client) -> None:
    form = {"name": "made-in-admin", "scopes": "write", "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    response = administrator.post(f"{WRITERS}add/", form, follow=True)
    assert "shown only now</dt><dd><code data-copy>aw_" in response.content.decode()
    writer = Writer.objects.get(name="made-in-admin")
    page = administrator.get(f"{WRITERS}{writer.pk}/change/").content.decode()
    key = writer.keys.get()
    assert key.prefix in page
    assert key.digest not in page
    assert Record.objects.filter(correlation_id="writer-made-in-admin", event_type="audit.writer.created").exists()


@pytest.mark.parametrize("name", ["auditsite", "Upper", "", "a b"])
def test_a_writer_needs_a_proper_name(administrator: Client, name: str) -> None:
    form = {"name": name, "scopes": "write", "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    assert administrator.post(f"{WRITERS}add/", form).status_code == 200
    assert not Writer.objects.filter(name=name).exists()


def test_rotate_and_revoke_are_actions_of_the_list(administrator: Client) -> None:
    writer = Writer.objects.create(name="to-rotate")
    valid = []
    for action in ("rotate", "rotate", "revoke_old", "rotate", "rotate_at_once", "revoke"):
        page = administrator.post(WRITERS, {"action": action, "_selected_action": [writer.pk]}, follow=True)
        assert ("The old keys " in page.content.decode()) is action.startswith("rotate")
        valid.append(writer.keys.filter(revoked_at=None).count())
    assert valid == [1, 2, 1, 2, 1, 0]
    acts = Record.objects.filter(correlation_id="writer-to-rotate").values_list("event_type", flat=True)
    assert set(acts) == {"audit.writer.rotated", "audit.writer.revoked"}


def test_an_expired_key_does_not_count_as_valid(administrator: Client) -> None:
    writer = Writer.objects.create(name="with-an-expired-key")
    api_keys.issue(writer, expires_at=datetime.now(UTC) - timedelta(days=1))
    api_keys.issue(writer, expires_at=datetime.now(UTC) + timedelta(days=1))
    page = administrator.get(WRITERS).content.decode()
    row = re.search(r"with-an-expired-key</a>.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert 'class="field-valid_keys">1<' in row[0]


def test_not_even_a_superuser_deletes_people_groups_or_writers(superuser_client: Client) -> None:
    kept = [person("operator"), Group.objects.get(name="operator"), Writer.objects.create(name="to-keep")]
    for one in kept:
        path = f"/admin/{one._meta.app_label}/{one._meta.model_name}"
        assert superuser_client.post(f"{path}/{one.pk}/delete/", {"post": "yes"}).status_code == 403
        form = {"action": "delete_selected", "_selected_action": [one.pk], "post": "yes"}
        superuser_client.post(f"{path}/", form)
        one.refresh_from_db()
