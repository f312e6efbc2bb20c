"""The page of writers: whose tokens speak as one."""

import secrets
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.access import api_keys
from audit.ingest import rejection_counters
from audit.models import Record, Writer
from tests.admin.conftest import logged_in, person

ISSUER = "https://issuer.example"


@pytest.fixture
def writer() -> Writer:
    return Writer.objects.create(name=f"w-{secrets.token_hex(4)}", scopes=["write"])


def admit(client: Client, writer: Writer, subject: str) -> str:
    form = {"scopes": writer.scopes, "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    page = client.post(f"/admin/audit/writer/{writer.pk}/change/", form | {"new_subject": subject})
    return page.content.decode()


def test_a_subject_is_admitted_on_the_writers_page_and_recorded(writer: Writer, settings: Any) -> None:
    settings.JWT_ISSUER = ISSUER
    client, subject = logged_in(person("administrator")), f"system:serviceaccount:apps:{writer.name}"
    assert admit(client, writer, subject) == ""
    principal = api_keys.check_digest(api_keys.subject_digest(ISSUER, subject))
    assert principal is not None and principal.name == writer.name
    (act,) = Record.objects.filter(event_type="audit.writer.subject-admitted", event_data__subject=subject)
    assert act.event_data["name"] == writer.name
    assert subject in client.get(f"/admin/audit/writer/{writer.pk}/change/").content.decode()
    assert "speaks as a writer already" in admit(client, writer, subject)


def test_without_an_issuer_no_subject_is_admitted(writer: Writer) -> None:
    assert "JWT_ISSUER" in admit(logged_in(person("administrator")), writer, "somebody")


def test_the_page_shows_when_a_key_was_used_and_who_goes_on_with_an_old_one(writer: Writer) -> None:
    client, key = logged_in(person("administrator")), api_keys.issue(writer)
    where = f"/admin/audit/writer/{writer.pk}/change/"
    assert api_keys.check(key) is not None
    api_keys.revoke(writer)
    assert Client().get("/api/v1/audit/events", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    rejection_counters.gather()
    page = client.get(where).content.decode()
    assert "1 on 20" in page and "give its clients the new key" in page
    assert "Last used" in page and f"{timezone.now():%Y}" in page.partition("field-used_at")[2][:60]


def test_what_nothing_limits_is_said_not_to_be_counted(writer: Writer) -> None:
    client, where = logged_in(person("administrator")), f"/admin/audit/writer/{writer.pk}/change/"
    assert "not counted: nothing limits them" in client.get(where).content.decode()
    Writer.objects.filter(pk=writer.pk).update(quota_events=5)
    page = client.get(where).content.decode()
    assert "not counted" not in page and "0 events, 0 bytes" in page


def test_the_history_of_a_writer_is_among_the_records(writer: Writer, auditor: Client) -> None:
    administrator = logged_in(person("administrator"))
    administrator.post("/admin/audit/writer/", {"action": "rotate", "_selected_action": [writer.pk]})
    page = f"/admin/audit/writer/{writer.pk}/"
    assert "historylink" not in administrator.get(f"{page}change/").content.decode()
    assert administrator.get(f"{page}history/").status_code == 403
    found = auditor.get(f"{page}history/", follow=True).content.decode()
    assert "audit.writer.rotated" in found
