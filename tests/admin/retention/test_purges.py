"""A purge in the admin: counted and drawn, requested by one, approved by a second, run by a worker, certified."""

from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit import tasks
from audit.archive import check, create, span
from audit.evidence.request import THE_STORE
from audit.models import Record, RetentionRequest
from tests.admin.conftest import logged_in, person
from tests.audit.retention.conftest import seal
from tests.auditor import verify
from tests.servers import RECEIPT_KEY

pytestmark = pytest.mark.slow
PURGE = reverse("admin:audit_retentionrequest_purge")


def address(name: str, plan: RetentionRequest) -> str:
    return reverse(f"admin:audit_retentionrequest_{name}", args=[plan.pk])


def officer() -> tuple[User, Client]:
    user = person("compliance officer")
    return user, logged_in(user)


def requested(client: Client) -> RetentionRequest:
    answer = client.post(PURGE, {"reason": "it is over", "without_archive": "a test", "ask": "yes"})
    assert answer.status_code == 302, answer.content
    return RetentionRequest.objects.get(kind="purge")


def test_two_people_purge_and_get_a_certificate(
    due: list[UUID], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (_, first), (second_user, second) = officer(), officer()
    shown = first.get(PURGE).content.decode()
    assert "3 records are due; 1 more would be, and is held" in shown
    assert "<svg" in shown
    plan = requested(first)
    page = address("change", plan)
    assert "Run the purge" not in first.get(page).content.decode()
    assert (
        "a second person has to" in first.post(address("decide", plan), {"approve": "y"}, follow=True).content.decode()
    )
    second.post(address("decide", plan), {"approve": "yes"})
    seal()
    assert "Run the purge" in second.get(page).content.decode()
    assert "It begins" in second.post(address("run", plan), follow=True).content.decode()
    assert tasks.continue_purge(plan.pk, second_user.get_username()) == "3 records removed"
    assert not Record.objects.filter(pk__in=due).exists()
    seal()
    shown = first.get(page).content.decode()
    assert "auditsite/purge/v1" in shown
    assert "records removed" in shown
    assert "Run the purge" not in shown
    gone = first.get(reverse("admin:audit_record_change", args=[due[0]]))
    assert (gone.status_code, f"removed by the purge {plan.pk}" in gone.content.decode()) == (404, True)
    note = Record.objects.get(event_type="audit.purge.completed").event_data["note"]
    file, leaf = tmp_path / "certificate.txt", "600"
    file.write_text(note, encoding="utf-8")
    asked = ["purge", str(file), "--receipt-key", str(RECEIPT_KEY), "--leaf"]
    assert verify.main([*asked, leaf]) == 0
    assert f"PURGED  leaf {leaf}" in capsys.readouterr().out
    assert verify.main([*asked, "3"]) == 3
    file.write_text(note.replace('"records": 3', '"records": 4'), encoding="utf-8")
    assert verify.main([*asked, leaf]) == 1


def test_a_plan_says_which_archive_holds_what_goes_and_cannot_run_before(due: list[UUID], tmp_path: Path) -> None:
    (_, first), (_, second) = officer(), officer()
    assert first.post(PURGE, {"reason": "it is over", "ask": "yes"}).status_code == 302
    plan = RetentionRequest.objects.get(kind="purge")
    second.post(address("decide", plan), {"approve": "yes"})
    seal()
    shown = first.get(address("change", plan)).content.decode()
    assert "not in an archive: leaves 600 to 602" in shown
    assert "manage.py archive create FOLDER --from 600 --to 603" in shown
    assert "Run the purge" not in shown
    refused = second.post(address("run", plan), follow=True).content.decode()
    assert "No archive whose last check is VERIFIED, and sealed, holds the leaves 600 to 602" in refused
    create.resume(create.create(THE_STORE, tmp_path / "archive", span.read_span("600", "603")), THE_STORE)
    assert check.check(THE_STORE, tmp_path / "archive").verdict == "VERIFIED"
    seal()
    shown = first.get(address("change", plan)).content.decode()
    assert ("leaves 600 to 602" in shown, "not in an archive" in shown, "Run the purge" in shown) == (True, False, True)
    assert "It begins" in second.post(address("run", plan), follow=True).content.decode()


def test_who_may_not_ask_does_not_run(due: list[UUID], auditor: Client, administrator: Client) -> None:
    _, first = officer()
    plan = requested(first)
    assert administrator.post(address("decide", plan), {"approve": "yes"}).status_code == 302
    for client in (auditor, administrator):
        assert client.get(PURGE).status_code == 403
        assert client.post(PURGE, {"reason": "x", "ask": "yes"}).status_code == 403
        assert client.post(address("run", plan)).status_code == 403
    assert Record.objects.filter(pk__in=due).count() == 3


def test_a_plan_that_cannot_be_says_why(due: list[UUID]) -> None:
    _, client = officer()
    later = client.post(PURGE, {"cut": "2099-01-01", "reason": "x", "ask": "yes"}).content.decode()
    assert "Nothing is requested: is later than now" in later
    unread = client.post(PURGE, {"cut": "soon", "reason": "kept", "ask": "yes"}).content.decode()
    assert "Nothing is requested: &#x27;soon&#x27;" in unread
    without = client.post(PURGE, {"reason": " ", "ask": "yes"}).content.decode()
    assert "Nothing is requested: is required" in without
    nothing = client.post(PURGE, {"cut": "2020-01-01", "reason": "x", "ask": "yes"}).content.decode()
    assert "No record is due at that time" in nothing
    assert not RetentionRequest.objects.filter(kind="purge").exists()
