"""Two officers in a browser: a hold and its release, a purge from plan to certificate, a log that may go on."""

import os
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from playwright.sync_api import Browser, expect

from audit import tasks
from audit.models import LegalHold, LogResume, Record, RetentionRequest
from auditsite.roles import ROLES
from tests.admin.browser import accessibility
from tests.admin.browser.conftest import Walker, served
from tests.admin.conftest import person, stored_record
from tests.admin.retention.conftest import due
from tests.attacks.scene import Scene
from tests.audit.retention.conftest import seal

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["due"]


@pytest.fixture
def waiting_log(django_db_setup: None) -> Iterator[LogResume]:
    """A request that the log go on, as `manage.py log resume` leaves it."""
    row = LogResume.objects.create(
        reason="the disk burned",
        restored=["tests.example/log", 1000, "AA=="],
        known=[["tests.example/log", 1234, "AA==", "witness w"]],
        unasked=[],
        asked_by="olga",
        asked_at=datetime.now(UTC),
    )
    yield row
    LogResume.objects.filter(pk=row.pk, decision="").update(decision="declined")
    LogResume.objects.filter(pk=row.pk, resumed_at=None).update(resumed_at=datetime.now(UTC))


@pytest.fixture
def officer_elsewhere(elsewhere: Scene, browser: Browser, looks: accessibility.Looks) -> Iterator[Any]:
    """Makes officers who walk through a site on the database of the scene."""
    name = connections["default"].settings_dict["NAME"]
    places = {variable: urlunsplit(urlsplit(os.environ[variable])._replace(path=f"/{name}")) for variable in ROLES}
    walkers: list[Walker] = []
    with served(**places, CACHE_URL=settings.CACHE_URL.replace("db=1", "db=2")) as address:

        def begin() -> tuple[User, Walker]:
            user = person("compliance officer")
            walkers.append(Walker(browser, address, "light", 1280, user))
            return user, walkers[-1]

        yield begin
        for walker in walkers:
            walker.page.context.close()


def test_two_people_hold_and_release(walk: Any) -> None:
    first, second = walk(person("compliance officer")), walk(person("compliance officer"))
    page, record = first.page, stored_record(correlation_id=f"matter-{secrets.token_hex(4)}")
    first.open(f"/admin/audit/record/{record.pk}/change/", "hold-record")
    page.click("text=place a legal hold on its correlation")
    page.click("button:text-is('Count what it covers')")
    expect(page.locator("text=1 record now")).to_have_count(1)
    page.fill("#hold-matter", "7/2026")
    page.fill("#hold-reason", "counsel asks for it")
    first.stop("hold-place")
    page.click("button:text-is('Place the hold')")
    expect(page.locator("text=counsel asks for it")).to_have_count(1)
    hold = LegalHold.objects.get(correlation_id=record.correlation_id)
    page.fill("#release-reason", "the matter is settled")
    page.click("button:text-is('Request its release')")
    expect(page.locator("text=a second person has to approve it")).to_have_count(1)
    expect(page.locator("button:text-is('Approve')"), "nobody decides about what they asked for").to_have_count(0)
    first.stop("hold-release-asked")
    assert LegalHold.objects.get(pk=hold.pk).released is None

    second.open("/admin/tasks/", "hold-tasks")
    second.page.click(f"a[href$='/retentionrequest/{hold.release_requests.get().pk}/change/']")
    second.page.check("text=I know the matter")
    second.stop("hold-release-decide")
    second.page.click("button:text-is('Approve')")
    expect(second.page.locator("text=It is decided")).to_have_count(1)
    assert LegalHold.objects.get(pk=hold.pk).released is not None
    second.open(f"/admin/audit/legalhold/{hold.pk}/change/", "hold-released")
    expect(second.page.locator("text=the matter is settled")).to_have_count(1)
    second.stop("hold-released")


def test_two_people_purge_and_get_a_certificate(due: list[UUID], officer_elsewhere: Any) -> None:
    (_, first), (user, second) = officer_elsewhere(), officer_elsewhere()
    page = first.page
    first.open("/admin/audit/retentionrequest/purge/", "purge")
    page.click("button:text-is('Count')")
    expect(page.locator("text=3 records are due; 1 more would be, and is held")).to_have_count(1)
    page.fill("#purge-reason", "their days are over")
    page.fill("#purge-without-archive", "a trial of the steps")
    first.stop("purge-plan")
    page.click("button:text-is('Request the purge')")
    expect(page.locator("text=Awaiting approval")).to_have_count(1)
    expect(page.locator("button:text-is('Approve')"), "nobody decides about what they asked for").to_have_count(0)
    first.stop("purge-asked")
    plan = RetentionRequest.objects.get(kind="purge")

    second.open("/admin/tasks/", "purge-tasks")
    second.page.click(f"a[href$='/retentionrequest/{plan.pk}/change/']")
    second.page.check("text=I know the matter")
    second.stop("purge-decide")
    second.page.click("button:text-is('Approve')")
    expect(second.page.locator("text=It is decided")).to_have_count(1)
    seal()
    second.open(f"/admin/audit/retentionrequest/{plan.pk}/change/", "purge-approved")
    second.page.check("text=They are to be removed for good")
    second.stop("purge-run")
    second.page.click("button:text-is('Run the purge')")
    expect(second.page.locator("text=It begins")).to_have_count(1)
    assert Record.objects.filter(pk__in=due).count() == 3, "a worker removes them, and not a page"
    assert tasks.continue_purge(plan.pk, user.get_username()) == "3 records removed"
    seal()
    first.open(f"/admin/audit/retentionrequest/{plan.pk}/change/", "purge-done")
    expect(page.locator("pre:has-text('auditsite/purge/v1')")).to_have_count(1)
    expect(page.locator("button:text-is('Run the purge')")).to_have_count(0)
    first.stop("purge-done")
    assert first.status(f"{first.site}/admin/audit/record/{due[0]}/change/") == 404
    expect(page.locator(f"text=removed by the purge {plan.pk}")).to_have_count(1)


def test_a_second_person_lets_the_log_of_a_restored_store_go_on(walk: Any, waiting_log: LogResume) -> None:
    officer = walk(person("compliance officer"))
    officer.open("/admin/tasks/", "resume-tasks")
    officer.page.click("text=Let the log go on, or decline")
    expect(officer.page).to_have_url(re.compile(r"/audit/checkpoint/"))
    expect(officer.page.locator("text=the disk burned")).to_have_count(1)
    officer.stop("resume")
    officer.page.check("text=I know of the restore and its reason")
    officer.page.click("button:text-is('Let the log go on')")
    expect(officer.page.locator("text=carries it out, where the private key is")).to_have_count(1)
    officer.stop("resume-approved")
    waiting_log.refresh_from_db()
    assert waiting_log.decision == "approved"
