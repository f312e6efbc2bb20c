"""Whole ways through the admin in a real Chromium, as auditors go them; `make test-long` goes a narrow one too."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from audit.models import AuditorScope, Record
from tests.admin.conftest import person, stored_record

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIST = "/admin/audit/record/"
WIDE, NARROW = (1280, "light"), (390, "dark")


def acts_of(actor: str) -> list[Record]:
    """What somebody did in the last quarter: three steps of one change, of which the last failed, and a success."""
    at = datetime.now(UTC) - timedelta(days=40)
    steps = [("requested", "success"), ("approved", "success"), ("scaled", "failure")]
    change = {"before": {"replicas": 3, "image": "web:1"}, "after": {"replicas": 0, "image": "web:1"}}
    correlation = f"change-{secrets.token_hex(6)}"
    return [
        stored_record(
            actor_id=actor,
            actor_type="user",
            event_action=act,
            event_type=f"orchestration.change.{act}",
            event_outcome=outcome,
            event_timestamp=(at + timedelta(minutes=7 * place)).isoformat(),
            correlation_id=correlation,
            duration_ms=90_000,
            event_data=change if outcome == "failure" else {"ticket": "CH-7"},
        )
        for place, (act, outcome) in enumerate(steps)
    ]


@pytest.mark.parametrize("walk", [WIDE, pytest.param(NARROW, marks=pytest.mark.long)], indirect=True, ids=str)
def test_an_auditor_finds_and_understands_a_failure_and_passes_it_on(walk: Any) -> None:
    actor, name = f"alice-{secrets.token_hex(4)}", f"Failures {secrets.token_hex(4)}"
    *_, failed = acts_of(actor)
    auditor = walk(person("auditor"))
    page = auditor.page

    page.goto(auditor.site + LIST)
    page.keyboard.press("/")
    page.keyboard.type(f"actor:{actor} outcome:failure after:90d")
    page.keyboard.press("Enter")
    page.wait_for_url("**outcome*failure**")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    auditor.stop("found")
    address = page.url

    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url(f"**/{failed.pk}/change/**")
    expect(page.locator("code", has_text=".event_data.replicas").first).to_be_visible()
    auditor.stop("understood")

    page.get_by_role("link", name="correlation", exact=True).click()
    page.wait_for_url("**timeline**")
    expect(page.locator("table.steps tbody tr")).to_have_count(3)
    auditor.stop("timeline")

    page.goto(address)
    page.locator("summary", has_text="saved searches").click()
    page.fill("#view-name", name)
    page.select_option("#view-group", label="auditor")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_selector(f"text=Saved as “{name}”")
    auditor.stop("saved")

    colleague = walk(person("auditor"))
    assert colleague.status(address) == 200
    expect(colleague.page.locator("#result_list tbody tr")).to_have_count(1)
    colleague.page.locator("summary", has_text="saved searches").click()
    expect(colleague.page.locator(".views a", has_text=name)).to_be_visible()

    other = person("auditor")
    AuditorScope.objects.create(user=other, writers=["somebody-else"], categories=[])
    scoped = walk(other)
    assert scoped.status(address) == 200
    expect(scoped.page.locator("#result_list")).to_have_count(0)
    scoped.stop("nothing-for-others")
    assert actor not in scoped.page.locator("#content").inner_text().replace(f"actor:{actor}", "")
    scoped.status(f"{scoped.site}{LIST}{failed.pk}/change/")
    assert "replicas" not in scoped.page.content()

    outsider = walk(person(None))
    assert outsider.status(address) == 403
    assert outsider.status(f"{outsider.site}{LIST}{failed.pk}/change/") == 403
    assert outsider.status(f"{outsider.site}{LIST}list.json?q=actor:{actor}") == 403


def test_what_they_looked_at_is_seen_on_the_record(walk: Any) -> None:
    actor = f"bob-{secrets.token_hex(4)}"
    *_, failed = acts_of(actor)
    user = person("auditor")
    auditor = walk(user)
    for _ in range(2):
        auditor.page.goto(f"{auditor.site}{LIST}{failed.pk}/change/")
    log = auditor.page.locator("#content", has_text="Access log of this record")
    expect(log.locator(f"text={user.username}").first).to_be_attached()
    auditor.page.goto(f"{auditor.site}{LIST}?q=actor:{actor}")
    boxes = auditor.page.locator("#result_list input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    auditor.page.get_by_role("button", name="Compare").click()
    auditor.page.wait_for_url("**compare**")
    expect(auditor.page.locator("code", has_text=".event_outcome")).to_have_count(1)
    auditor.stop("compared")
