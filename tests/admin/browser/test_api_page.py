"""The page of the API, in a real Chromium: what each answer means, and every call, tried with a writer's key."""

import re

import pytest
from playwright.sync_api import expect

from tests.admin.browser.conftest import Visitor
from tests.audit.conftest import Sender

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def opened(visitor: Visitor) -> list[str]:
    """Open the page, and return what it asks for."""
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.open("/api/docs/", "api")
    visitor.page.wait_for_selector("#operations-Send-record_event")
    return asked


def test_the_page_is_clean_in_every_form_and_asks_no_other_host(visitor: Visitor) -> None:
    asked = opened(visitor)
    assert visitor.findings_everywhere("api") == []
    assert visitor.wrong == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {visitor.site.split("/")[2]}


def test_a_call_is_tried_with_a_key_which_is_kept_nowhere(visitor: Visitor) -> None:
    asked, page = opened(visitor), visitor.page
    page.click(".btn.authorize")
    assert visitor.findings() == []
    page.locator(".auth-container input").first.fill(Sender("write").key)
    page.get_by_label("Apply credentials").first.click()
    page.click(".btn-done")

    page.click("#operations-Send-record_event .opblock-summary-control")
    page.click("#operations-Send-record_event .execute")
    page.wait_for_selector(".live-responses-table .response-col_description pre")
    status = page.locator(".live-responses-table .response-col_status").nth(1)
    expect(status).to_have_text(re.compile(r"^201"), use_inner_text=True)
    assert visitor.findings_everywhere("api-tried") == []

    assert visitor.wrong == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {visitor.site.split("/")[2]}
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
