"""An operator, an administrator and the dead letter queue, in a real Chromium."""

import json
import secrets
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

import dlq.stream
from audit.models import Discard, Episode, Quarantined, Record
from dlq.message import Message
from tests.admin.browser.accessibility import Looks
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import parked_message, person
from tests.admin.queue.conftest import an_episode

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def dead_message(**changes: str) -> Message:
    message = parked_message(**changes)
    dlq.stream.for_drain().fail(message, "Poison", "never to be stored", dead=True)
    return message


def a_type() -> str:
    """A type of events that no other test has, nor the same test for another address."""
    return f"walk.{secrets.token_hex(4)}"


def comes_in(browser: Browser, site: str, group: str) -> tuple[Visitor, User]:
    user = person(group)
    visitor = Visitor(browser, site, "light")
    visitor.come_in(user)
    return visitor, user


@pytest.fixture
def operator_page(browser: Browser, site: str, looks: Looks) -> Iterator[Visitor]:
    visitor, _ = comes_in(browser, site, "operator")
    yield visitor
    assert visitor.findings() == []
    assert visitor.wrong == []
    visitor.page.context.close()


def shot(visitor: Visitor, name: str) -> None:
    visitor.picture(f"walk-{name}")


def test_an_operator_retries_a_dead_event(operator_page: Visitor) -> None:
    message, page = dead_message(), operator_page.page
    operator_page.open(f"/admin/audit/parked/?q={message.key}", "walk-find")
    page.click(f"text={message.key}")
    page.click("text=Dry run")
    expect(page.locator("text=Tried and rolled back: it would be stored")).to_have_count(1)
    shot(operator_page, "rehearsed")
    page.click("text=Retry now")
    expect(page.locator("text=Queued for immediate retry")).to_have_count(1)
    found = dlq.stream.for_drain().pages.get(message.id)
    assert found is None or found.state == "due"


@pytest.mark.long
def test_an_operator_retries_all_that_match_after_seeing_how_many(operator_page: Visitor) -> None:
    page, kind = operator_page.page, a_type()
    messages = [dead_message(event_type=kind) for _ in range(3)]
    operator_page.open(f"/admin/audit/parked/?type={kind}", "walk-filtered")
    page.select_option("#scope", "all")
    page.click("button:has-text('Retry now')")
    expect(page.locator("text=3 parked events match")).to_have_count(1)
    shot(operator_page, "sure")
    page.click("form button[type=submit]:has-text('Retry now')")
    expect(page.locator("text=Retry now: 3 events")).to_have_count(1)
    states = [getattr(dlq.stream.for_drain().pages.get(one.id), "state", "due") for one in messages]
    assert states == ["due"] * 3


def test_two_people_discard(operator_page: Visitor, browser: Browser, site: str) -> None:
    message, page = dead_message(), operator_page.page
    operator_page.open(f"/admin/audit/parked/{message.id}/change/", "walk-message")
    page.fill("#reason", "a test event that was sent to the wrong store")
    page.click("text=Discard, once a second person approves")
    expect(page.locator("text=Awaiting approval from")).to_have_count(1)
    address = page.url.removeprefix(site)
    second, _ = comes_in(browser, site, "administrator")
    second.open(address, "walk-approve")
    assert second.findings() == []
    second.page.check("text=I have looked at the event")
    second.page.click("text=Discard it for good")
    expect(second.page.locator("text=Decided by")).to_have_count(1)
    shot(second, "discarded")
    assert second.wrong == []
    second.page.context.close()
    assert dlq.stream.for_drain().pages.get(message.id) is None
    assert Discard.objects.get(message_id=message.id).decision == "discarded"


@pytest.mark.long
def test_an_operator_corrects_and_sends_again(operator_page: Visitor) -> None:
    message, page = dead_message(), operator_page.page
    operator_page.open(f"/admin/audit/parked/{message.id}/change/", "walk-dead")
    page.click("text=Correct and send again, as a new event")
    document = json.loads(page.input_value("#event")) | {"severity": "low"}
    page.fill("#event", json.dumps(document, indent=2))
    page.fill("#correct-reason", "the writer says so")
    page.click("text=Record the new event")
    expect(page.locator("text=Recorded as the new event")).to_have_count(1)
    shot(operator_page, "corrected")
    assert Record.objects.get(parent_event_id=message.key).severity == "low"
    assert dlq.stream.for_drain().pages.get(message.id) is not None


@pytest.mark.long
def test_an_operator_writes_what_was_done_about_an_outage(operator_page: Visitor) -> None:
    episode, page = an_episode(), operator_page.page
    operator_page.open(f"/admin/audit/episode/{episode.pk}/change/", "walk-outage")
    page.fill("#note", "The disk of the database was full.\nIt is larger now, and watched.")
    page.click("button:text-is('Save')")
    expect(page.locator("text=The note is kept, and recorded.")).to_have_count(1)
    shot(operator_page, "noted")
    page.emulate_media(media="print")
    shot(operator_page, "printed")
    page.emulate_media(media="screen")
    assert Episode.objects.get(pk=episode.pk).note.startswith("The disk")


def test_an_operator_puts_aside_and_parks_again(operator_page: Visitor) -> None:
    page, kind = operator_page.page, a_type()
    message = dead_message(event_type=kind)
    operator_page.open(f"/admin/audit/parked/?type={kind}", "walk-aside")
    expect(page.locator("button:has-text('Quarantine')")).to_be_disabled()
    page.check("[aria-label='select all on this page']")
    expect(page.locator("text=1 selected")).to_have_count(1)
    page.click("button:has-text('Quarantine')")
    expect(page.locator("text=Quarantine: 1 event.")).to_have_count(1)
    kept = Quarantined.objects.get(message_id=message.id)
    operator_page.open(f"/admin/audit/quarantined/{kept.n}/change/", "walk-kept")
    page.click("text=Return to the queue")
    expect(page.locator("text=It is in the queue again")).to_have_count(1)
    assert dlq.stream.for_drain().pages.find(message.key) is not None
