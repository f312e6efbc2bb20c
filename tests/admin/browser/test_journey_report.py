"""From a report to its proof in a real Chromium, wide or narrow: as an auditor and an officer go."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from audit import tasks
from audit.models import AuditorScope, Export, Record, Report, Review
from tests.admin.conftest import person
from tests.audit.evidence.conftest import PINNED
from tests.audit.reports.conftest import sealed
from tests.audit.review.conftest import failed
from tests.days import LATE, own_days

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]


def test_an_auditor_goes_from_a_report_to_what_proves_it(walk: Any, tmp_path: Path) -> None:
    writer = f"w-{secrets.token_hex(4)}"  # so that the evidence is as small whatever other tests have stored
    sealed(4, writer=writer, event_outcome="failure")
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=[writer])
    auditor = walk(user)
    page = auditor.page

    page.goto(f"{auditor.site}/admin/audit/report/")
    page.get_by_label("this month so far").check()
    page.check("input[name=pack][value=nist-au]")
    page.get_by_role("button", name="Make the report").click()
    page.wait_for_url("**/change/")
    report = Report.objects.get(requested_by=user.username)
    tasks.continue_report(str(report.pk))
    page.get_by_role("button", name="Export the evidence of this report").wait_for()
    auditor.stop("report")

    page.locator("#volumes-failures a").click()
    page.wait_for_url("**/admin/audit/record/?q=**")
    expect(page.locator("#result_list tbody tr")).to_have_count(4)
    auditor.stop("report-records")

    page.go_back()
    page.get_by_role("button", name="Export the evidence of this report").click()
    page.wait_for_url("**/admin/audit/export/**")
    begun = Export.objects.get(requested_by=user.username)
    tasks.continue_export(str(begun.pk))
    page.get_by_text("Download the bundle").wait_for()
    auditor.stop("report-bundle")
    with page.expect_download() as download:
        page.get_by_text("Download the bundle").click()
    bundle = tmp_path / "bundle.zip"
    download.value.save_as(bundle)
    asked = Record.objects.get(correlation_id=f"export-{begun.pk}", event_type="audit.export.asked")
    report.refresh_from_db()
    assert asked.event_data["of_report"]["digest"] == report.digest

    page.goto(f"{auditor.site}/verify/")
    page.wait_for_selector("#go:enabled")
    for keys, verdict in ((("", ""), "NOT COVERED"), ((PINNED[1], PINNED[3]), "VERIFIED")):
        page.fill("#keys", keys[0])
        page.fill("#receipt-keys", keys[1])
        page.set_input_files("#file", bundle)
        page.click("#go")
        page.locator(f"#verdict[data-verdict='{verdict}']").wait_for()
    auditor.stop("report-verified")


@pytest.mark.parametrize("walk", [(390, "light")], indirect=True)
def test_an_officer_signs_the_day_and_the_report_says_so(walk: Any) -> None:
    day = own_days(since=LATE)
    failed(day)
    user = person("compliance officer")
    officer = walk(user)
    page = officer.page
    page.goto(officer.site + reverse("admin:audit_review_day", args=[day]))
    page.fill("#note", "The bank refused one card.")
    page.get_by_label("I sign with").check()
    page.get_by_role("button", name="I have reviewed this day").click()
    page.wait_for_selector("text=is signed, and recorded")
    assert Review.objects.filter(day=day, signed_by=user.username).exists()

    sealed()
    page.goto(f"{officer.site}/admin/audit/report/")
    page.get_by_label("these days").check()
    page.fill("input[name=first]", day.isoformat())
    page.fill("input[name=last]", day.isoformat())
    page.check("input[name=pack][value=nist-au]")
    page.get_by_role("button", name="Make the report").click()
    page.wait_for_url("**/change/")
    tasks.continue_report(str(Report.objects.get(requested_by=user.username).pk))
    page.locator("#reviews-signed", has_text="1 of 1").wait_for()
    officer.stop("report-review-counted")
