"""A record, its timeline and coverage, in a real Chromium: paths are copied, cells are read, payloads do nothing."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from audit.completeness import coverage, silence
from tests.admin.browser.accessibility import Looks
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import SCRIPT, TERMINAL, TURNED, own, person, stored_record
from tests.audit.conftest import sealed_event

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def auditor_page(browser: Browser, site: str, looks: Looks) -> Iterator[Visitor]:
    user = person("auditor")
    visitor = Visitor(browser, site, "light")
    visitor.come_in(user)
    yield visitor
    assert visitor.findings() == []
    assert visitor.wrong == []
    visitor.page.context.close()


def test_the_path_of_a_member_is_copied(auditor_page: Visitor) -> None:
    record, page = stored_record(event_data={"pods": [{"a b": 1}]}), auditor_page.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    auditor_page.open(f"/admin/audit/record/{record.pk}/change/", "copy")
    button = page.get_by_role("button", name='copy .event_data.pods[0]["a b"]')
    page.click(".tabs >> text=Data")
    button.click()
    page.wait_for_function("[...document.querySelectorAll('.copy')].some(one => one.textContent === 'copied')")
    assert page.evaluate("navigator.clipboard.readText()") == '.event_data.pods[0]["a b"]'


def test_a_cell_under_the_keyboard_is_read_in_full(auditor_page: Visitor) -> None:
    now, page, writer = datetime.now(UTC), auditor_page.page, f"heard-{secrets.token_hex(4)}"
    heard = [sealed_event(writer, now, outcome="failure")]
    silence.apply(heard)
    coverage.apply(heard)
    auditor_page.open(f"/admin/audit/hourcount/?writer={writer}", "cell")
    cell = page.locator("td.heat a", has_text="1 failed").first
    text = cell.locator("span")
    assert (text.bounding_box() or {"width": 0})["width"] < 5
    page.keyboard.press("Tab")
    cell.focus()
    assert (text.bounding_box() or {"width": 0})["width"] > 100


IN_LONG = [pytest.param(text, marks=pytest.mark.long) for text in (TURNED, TERMINAL)]


@pytest.mark.parametrize("text", [SCRIPT, "</svg></title><img src=x onerror=alert(1)>", *IN_LONG])
def test_a_hostile_payload_does_nothing(auditor_page: Visitor, text: str) -> None:
    record = stored_record(**own(text))
    dialogs: list[str] = []
    auditor_page.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in (f"timeline/?{urlencode({'correlation': record.correlation_id})}", f"{record.pk}/change/"):
        auditor_page.open(f"/admin/audit/record/{path}", "hostile")
        expect(auditor_page.page.locator(f"text={record.event_type}").first).to_be_attached()
    assert dialogs == []
