"""What the page of the sealed log says of backups, drills, and of a restored log that waits for a second person."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from audit.ledger import resume
from audit.models import Backup, LogResume, Record
from audit.recovery import history
from tests.admin.conftest import logged_in, person

LOG = "/admin/audit/checkpoint/"


@pytest.fixture
def asked(django_db_setup: None) -> Any:
    """A request that the log go on, as `manage.py log resume` leaves it."""
    row = LogResume.objects.create(
        reason="the disk burned",
        restored=["tests.example/log", 1000, "AA=="],
        known=[["tests.example/log", 1234, "AA==", "witness w"]],
        unasked=["witness x: TimeoutError"],
        asked_by="olga",
        asked_at=datetime.now(UTC),
    )
    yield row
    LogResume.objects.filter(pk=row.pk, decision="").update(decision="declined")
    LogResume.objects.filter(pk=row.pk, resumed_at=None).update(resumed_at=datetime.now(UTC))


def page_of(client: Client) -> str:
    return client.get(LOG).content.decode()


def test_the_page_names_the_last_backup_and_the_last_drill(auditor: Client) -> None:
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S.%fZ}"
    made = Backup(name=name, began_at=now, ended_at=now, bytes=5 * 2**20, log_size=7, manifest="0" * 64, made_by="olga")
    history.note_backup(made)
    history.note_drill(name, "success", "12 minutes", by="carla")
    text = page_of(auditor)
    assert f"{name}, 5 MiB, by olga" in text and f"{name}, by carla. 12 minutes" in text


def test_a_request_is_shown_with_what_is_gone_and_whom_nobody_asked(auditor: Client, asked: LogResume) -> None:
    text = page_of(auditor)
    assert "the disk burned" in text and "234" in text and "witness x: TimeoutError" in text
    assert "Let the log go on" not in text and "Awaiting approval" in text


def test_a_compliance_officer_approves_what_another_asked(asked: LogResume) -> None:
    officer = logged_in(person("compliance officer"))
    assert "Let the log go on" in page_of(officer)
    assert "Let the log go on, or decline" in officer.get("/admin/tasks/").content.decode()
    officer.post(f"{LOG}resume/{asked.pk}/decide/", {"sure": "yes", "approve": "yes"})
    asked.refresh_from_db()
    assert asked.decision == "approved" and asked.decided_by
    assert Record.objects.filter(event_type="audit.log.resume_approved", actor_id=asked.decided_by).exists()
    assert "manage.py log resume" in page_of(officer)


def test_whoever_asked_cannot_approve(asked: LogResume) -> None:
    user = person("compliance officer")
    officer = logged_in(user)
    LogResume.objects.filter(pk=asked.pk).update(asked_by=user.username)
    assert "Let the log go on" not in page_of(officer)
    officer.post(f"{LOG}resume/{asked.pk}/decide/", {"approve": "yes"})
    asked.refresh_from_db()
    assert asked.decision == ""


@pytest.mark.parametrize("role", ["auditor", "operator", "administrator"])
def test_no_other_role_decides(asked: LogResume, role: str) -> None:
    assert logged_in(person(role)).post(f"{LOG}resume/{asked.pk}/decide/", {"approve": "yes"}).status_code == 403
    asked.refresh_from_db()
    assert asked.decision == ""


def test_the_cross_links_are_handed_out(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "links", lambda: [type("Link", (), {"note": "auditsite/crosslink/v1\n"})])
    answer = auditor.get(f"{LOG}cross-links/")
    assert answer.content == b"auditsite/crosslink/v1\n" and "cross-links.txt" in answer["Content-Disposition"]
