"""The daily review in a real Chromium: an officer signs it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from audit.models import MissedReview, Record, Review
from tests.admin.accounting.conftest import a_line
from tests.admin.conftest import person
from tests.audit.review.conftest import a_day, failed, happened

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]


def test_an_officer_signs_the_daily_review(walk: Any) -> None:
    day, now = a_day(), datetime.now(UTC)
    failed(day, 3)
    happened(day, severity="critical", event_type="gateway.cluster.removed")
    MissedReview.objects.get_or_create(day=day, defaults={"due_at": now, "found_at": now})
    officer, other = (walk(person("compliance officer")) for _ in range(2))
    page = officer.page

    page.goto(f"{officer.site}/admin/audit/review/?month={day:%Y-%m}")
    officer.stop("review-missed")
    page.get_by_role("link", name=day.isoformat()).click()
    page.wait_for_url(f"**/{day}/")
    officer.stop("review-day")

    page.get_by_role("link", name="payments.card.refused, tests").click()
    page.wait_for_url("**outcome*failure**")
    expect(page.locator("#result_list tbody tr")).to_have_count(3)

    page.go_back()
    page.get_by_role("button", name="I have reviewed this day").click()
    assert not Review.objects.filter(day=day).exists(), "signed without the note that exceptions need"
    page.get_by_label("Disposition of payments.card.refused, tests").select_option("expected")
    page.get_by_label("Reason or ticket of payments.card.refused, tests").fill("refused by the bank")
    expect(page.locator("#reviewed")).to_have_text(re.compile(r"^1 of "), use_inner_text=True)
    page.fill("#note", "The cluster was removed by change 7.")
    page.get_by_role("button", name="I have reviewed this day").click()
    assert not Review.objects.filter(day=day).exists(), "signed without the tick that lines without disposition need"
    page.get_by_label("I sign with").check()
    page.get_by_role("button", name="I have reviewed this day").click()
    page.wait_for_selector("text=is signed, and recorded")
    expect(page.locator("td", has_text="expected: refused by the bank")).to_have_count(1)
    officer.stop("review-signed")

    failed(day)
    other.page.goto(other.site + reverse("admin:audit_review_day", args=[day]))
    other.stop("review-came-after")
    other.page.select_option("#rest-is", "expected")
    before = other.page.locator("#reviewed").inner_text()
    other.page.get_by_role("button", name="Set them").click()
    assert other.page.locator("#reviewed").inner_text() == before, "many lines were set without a reason"
    other.page.select_option("#rest-is", "ticket")
    other.page.fill("#rest-why", "T-7")
    other.page.get_by_role("button", name="Set them").click()
    expect(other.page.locator("#reviewed")).to_have_text(
        re.compile(r"^(\d+) of \1 lines reviewed"), use_inner_text=True
    )
    expect(other.page.get_by_label("I sign with")).to_be_hidden()
    other.page.get_by_role("button", name="I have reviewed this day").click()
    other.page.wait_for_selector("text=(countersigned)")
    other.page.goto(f"{other.site}/admin/audit/review/?month={day:%Y-%m}")
    other.stop("review-calendar")
    found = Record.objects.filter(resource_type="review", resource_id=day.isoformat()).order_by("event_timestamp")
    assert [one.event_action for one in found] == ["signed", "countersigned"]


def test_the_pages_around_it_are_clean(walk: Any) -> None:
    day, now, writer = a_day(), datetime.now(UTC), a_line(came=7)
    missed = MissedReview.objects.get_or_create(day=day, defaults={"due_at": now, "found_at": now})[0]
    officer = walk(person("compliance officer"))
    page = officer.page
    for name, address in {
        "review-month": "/admin/audit/review/",
        "review-missed-page": f"/admin/audit/missedreview/{missed.pk}/change/",
        "review-today": reverse("admin:audit_review_day", args=[now.date()]),
    }.items():
        page.goto(officer.site + address)
        officer.stop(name)
    page.goto(f"{officer.site}/admin/audit/account/?writer={writer}")
    page.locator("summary", has_text="Explain").click()
    officer.stop("account-lost")
    page.fill("#explanation-1", "Redis was started without its file; the writer sent them again.")
    page.get_by_role("button", name="Explain").click()
    page.wait_for_selector("text=Explained by")
    officer.stop("account-explained")
