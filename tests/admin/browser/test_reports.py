"""Compliance reports in a real Chromium: asked for, read, followed to the records of a figure, and those exported."""

import pytest
from playwright.sync_api import expect

from audit import tasks
from audit.models import Report
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import person
from tests.audit.reports.conftest import made, sealed

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_auditor_makes_a_report_follows_a_figure_and_exports_its_records(visitor: Visitor) -> None:
    sealed(4, event_outcome="failure")
    user = person("auditor")
    visitor.come_in(user)
    visitor.open("/admin/audit/report/", "reports")
    assert visitor.findings_everywhere("reports") == []
    visitor.page.get_by_label("this month so far").check()
    for pack in ("soc2", "nist-au"):
        visitor.page.check(f"input[name=pack][value={pack}]")
    visitor.page.get_by_role("button", name="Make the report").click()
    visitor.page.wait_for_url("**/change/")
    assert visitor.findings_everywhere("report-begun") == []
    begun = Report.objects.get(requested_by=user.username)
    tasks.continue_report(str(begun.pk))
    # Without loading it again.
    visitor.page.get_by_role("heading", name="SOC 2, trust services criteria", exact=True).wait_for()
    visitor.picture(f"report-{visitor.scheme}")
    assert visitor.findings_everywhere("report") == []
    visitor.page.evaluate("window.scrollTo(0, document.body.scrollHeight / 2)")
    header, contents = (visitor.page.locator(place).bounding_box() for place in ("#header", ".contents"))
    assert header and contents and header["y"] == 0 and contents["y"] >= header["height"] - 1
    expect(visitor.page.locator("#fields-who")).to_contain_text("a share of the records looked at")
    expect(visitor.page.locator("#fields-who a")).to_have_count(0)
    visitor.page.locator("#fields-types a").click()
    expect(visitor.page.locator("#fields-list-2")).to_be_in_viewport()
    visitor.page.locator("#changes-people a").click()
    visitor.page.wait_for_url("**/admin/audit/record/?q=**")
    visitor.page.go_back()
    visitor.page.locator("#reviews-signed a").click()
    visitor.page.wait_for_url("**audit.review.signed**")
    visitor.page.locator("summary", has_text="export").click()
    visitor.page.get_by_role("button", name="Export").click()
    visitor.page.wait_for_url("**/admin/audit/export/**")
    assert visitor.wrong == []


@pytest.mark.long
def test_a_report_is_whole_on_a_narrow_screen(visitor: Visitor) -> None:
    sealed()
    found = made(names=("soc2", "nist-au"))
    visitor.come_in(person("compliance officer"))
    visitor.page.set_viewport_size({"width": 390, "height": 900})
    visitor.open(f"/admin/audit/report/{found.pk}/change/", "report-narrow")
    assert visitor.findings() == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    visitor.open("/admin/audit/report/", "reports-narrow")
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visitor.wrong == []
