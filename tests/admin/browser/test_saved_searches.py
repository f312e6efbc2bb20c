"""A person sets an alarm on a search of theirs, follows what it told, renames the search and turns the alarm off."""

import secrets

import pytest
from playwright.sync_api import expect

from audit.access.access_log import sight_of
from audit.ledger import seal
from audit.models import SearchAlarm
from audit.search import alarms, saved_views
from tests.admin.browser.accessibility import Looks
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import person, stored_record

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_alarm_is_set_read_and_turned_off_by_clicks(visitor: Visitor, looks: Looks) -> None:
    page, user, actor = visitor.page, person("auditor"), f"erin-{secrets.token_hex(4)}"
    saved_views.save("What Erin fails at, in production and everywhere else", f"actor:{actor} outcome:failure", by=user)
    view = saved_views.save("Erin", f"actor:{actor}", by=user)
    visitor.come_in(user)
    visitor.open("/admin/audit/record/", "records")
    page.locator("#rail").get_by_role("link", name="Saved searches").click()
    erin = page.locator(".saved > li", has=page.get_by_role("heading", name="Erin", exact=True))
    erin.get_by_role("button", name="Tell me when a record matches").click()
    page.wait_for_selector("text=You are told from now on when a record matches “Erin”")
    expect(erin.get_by_text("Nothing matched since")).to_be_visible()
    expect(page.locator("#rail").get_by_role("link", name="Erin alarm on")).to_be_visible()

    stored_record(actor_id=actor)
    while seal.Sealer().once().more:
        pass
    while not alarms.tell(seconds=60, sight_of=sight_of).told:
        pass
    page.reload()
    assert visitor.findings_everywhere("saved-searches") == []
    erin.get_by_role("link", name="1 record", exact=True).click()
    page.wait_for_url("**/record/?q=**")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.locator("summary", has_text="saved searches").click()
    assert visitor.findings_everywhere("saved-searches-in-list") == []
    page.get_by_role("link", name="Rename, pin or remove them").click()
    expect(erin).to_be_visible()

    SearchAlarm.objects.filter(view=view).update(problem=alarms.NO_RIGHT)
    page.reload()
    expect(erin.get_by_text("The alarm cannot look.")).to_be_visible()
    erin.locator("summary").click()
    assert visitor.findings("color-contrast") == []
    visitor.picture("saved-searches-stuck")
    erin.get_by_label("New name").fill("Erin, everything")
    erin.get_by_role("button", name="Rename", exact=True).click()
    page.wait_for_selector("text=It is called “Erin, everything” now.")
    page.get_by_role("button", name="Turn off the alarm on Erin, everything").click()
    page.wait_for_selector("text=is turned off.")
    assert not SearchAlarm.objects.filter(view=view).exists()
    assert visitor.wrong == []
