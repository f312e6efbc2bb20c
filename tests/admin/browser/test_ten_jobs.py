"""What people come to do, from the start page, by clicks that are counted and no address that is typed."""

import os
import re
import secrets
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, expect

import dlq.stream
from audit import tasks
from audit.evidence import build
from audit.models import (
    Discard,
    Export,
    LegalHold,
    Record,
    Report,
    RetentionRequest,
    Review,
    RightsRequest,
    Writer,
)
from dlq.message import Message
from tests.admin.browser.accessibility import NARROW, WIDE
from tests.admin.browser.conftest import Visitor, served
from tests.admin.completeness.conftest import a_gap
from tests.admin.conftest import parked_message, person, stored_record
from tests.audit.evidence.conftest import sealed
from tests.audit.reports.conftest import sealed as sealed_now
from tests.audit.retention.conftest import aged, ago, backdated_floors, seal, word
from tests.audit.review.conftest import failed
from tests.servers import RECEIPT_KEY, SEAL_KEY

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]


class Worker(Visitor):
    """A person on the start page who may click so often; on a phone, once more for each time the menu is opened."""

    def __init__(self, browser: Browser, site: str, screen: dict[str, int]):
        super().__init__(browser, site, "light")
        self.is_narrow = screen == NARROW
        self.page.set_viewport_size(screen)

    def begin(self, user: Any, *, clicks: int) -> None:
        self.left = clicks
        self.come_in(user)
        self.open("/admin/", "job")

    def click(self, what: Locator) -> None:
        assert self.left, f"{what} is one click too many"
        self.left -= 1
        what.click()
        self.page.wait_for_load_state("load")

    def link(self, name: str, **where: Any) -> None:
        self.click(self.page.get_by_role("link", name=name, **where).first)

    def rail(self, name: str) -> None:
        if self.is_narrow:
            self.page.locator("#rail-open").click()
        self.click(self.page.locator("#rail").get_by_role("link", name=name).first)

    def button(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True).first)

    def fold(self, name: str) -> None:
        """Open what stands folded under a word."""
        self.click(self.page.locator("summary", has_text=name).first)

    def find(self, text: str) -> None:
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(re.compile("q=|/change/"))

    def end(self) -> None:
        """What stands at the end of the job is in order."""
        name = f"job-{self.page.viewport_size['width']}"
        assert (self.findings() if self.is_narrow else self.findings_everywhere(name)) == []
        assert self.wrong == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it is too wide"


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def work(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Any]:
    yield from at_work(browser, site, request.param)


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def work_elsewhere(request: pytest.FixtureRequest, browser: Browser, elsewhere: Any) -> Iterator[Any]:
    """In a store of its own: where records were purged, a range is not shown to answer a statement."""
    names = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_READER_URL")
    places = {name: urlsplit(os.environ[name])._replace(path=f"/{elsewhere.name}_now").geturl() for name in names}
    with served(**places) as address:
        yield from at_work(browser, address, request.param)


def at_work(browser: Browser, site: str, screen: dict[str, int]) -> Iterator[Any]:
    workers: list[Worker] = []

    def begin(user: Any, *, clicks: int) -> Worker:
        workers.append(Worker(browser, site, screen))
        workers[-1].begin(user, clicks=clicks)
        return workers[-1]

    yield begin
    for worker in workers:
        worker.page.context.close()


def dead_message() -> Message:
    message = parked_message()
    dlq.stream.for_drain().fail(message, "Poison", "never to be stored", dead=True)
    return message


def test_who_changed_a_thing_last_week(work: Any) -> None:
    thing = f"pod-{secrets.token_hex(4)}"
    stored_record(resource_id=thing, actor_id="alice", event_action="deleted")
    job = work(person("auditor"), clicks=1)
    job.find(thing)
    job.click(job.page.locator("#result_list .field-time a"))
    expect(job.page.locator(".record")).to_contain_text("alice", use_inner_text=True)
    job.end()


def test_all_that_a_person_did_is_exported_and_verified_as_authentic(work: Any, tmp_path: Path) -> None:
    actor, user = f"alice-{secrets.token_hex(4)}", person("auditor")
    sealed(3, actor_id=actor)
    job = work(user, clicks=6)
    job.find(f"actor:{actor}")
    job.fold("export")
    job.button("Export")
    job.page.wait_for_url("**/export/**/change/")
    build.resume(Export.objects.get(requested_by=user.username))
    job.page.get_by_text("Download the bundle").wait_for()
    with job.page.expect_download() as downloading:
        job.link("Download the bundle")
    file = tmp_path / "bundle.zip"
    downloading.value.save_as(file)
    job.end()
    job.link("verify it in the browser")
    job.page.wait_for_selector("#go:enabled")
    job.page.set_input_files("#file", file)
    job.page.fill("#keys", f"{SEAL_KEY}\n{RECEIPT_KEY}")
    job.button("Verify")
    job.page.locator("#verdict[data-verdict=VERIFIED]").wait_for()
    expect(job.page.locator("#result")).to_contain_text("uthentic", use_inner_text=True)
    job.end()


def test_whether_it_is_complete_and_why_not(work: Any) -> None:
    writer = a_gap().numbering.writer
    job = work(person("auditor"), clicks=3)
    job.rail("Completeness")
    job.link("never came")
    job.click(job.page.locator("#result_list tr", has_text=writer).get_by_role("link"))
    job.page.wait_for_url("**/gap/*/change/")
    expect(job.page.locator("#content")).to_contain_text(writer, use_inner_text=True)
    job.end()


def test_a_report_on_one_set_of_controls_and_from_a_figure_to_its_records(work: Any) -> None:
    sealed_now(2, event_outcome="failure")
    user = person("auditor")
    job = work(user, clicks=5)
    job.rail("Reports")
    job.click(job.page.get_by_label("this month so far"))
    job.click(job.page.get_by_label("SOC 2"))
    job.button("Make the report")
    job.page.wait_for_url("**/change/")
    tasks.continue_report(str(Report.objects.get(requested_by=user.username).pk))
    job.page.locator("#volumes-failures a").wait_for()
    job.click(job.page.locator("#volumes-failures a"))
    expect(job.page.locator("#result_list tbody tr").nth(1)).to_be_visible()
    job.end()


def test_a_day_is_reviewed_line_by_line(work: Any) -> None:
    day = date.today() - timedelta(days=1)
    failed(day)
    user = person("compliance officer")
    job = work(user, clicks=4)
    job.rail("Reviews")
    job.click(job.page.locator(".calendar").get_by_role("link", name=day.isoformat()))
    job.page.select_option("#rest-is", "ticket")
    job.page.fill("#rest-why", "T-1")
    job.button("Set them")
    job.button("I have reviewed this day")
    job.page.get_by_text("is signed, and recorded").wait_for()
    assert Review.objects.filter(day=day, signed_by=user.username).exists()
    job.end()


def test_a_parked_event_is_corrected_and_sent_again(work: Any) -> None:
    message = dead_message()
    job = work(person("operator"), clicks=2)
    job.find(message.key)
    job.fold("Correct and send again")
    event = job.page.locator("#event")
    event.fill(event.input_value().replace('"event_action": "', '"event_action": "corrected-'))
    job.page.fill("#correct-reason", "the writer says so")
    job.button("Record the new event")
    job.page.get_by_text("Recorded as the new event").wait_for()
    assert Record.objects.get(parent_event_id=message.key).event_action.startswith("corrected-")
    job.end()


def test_an_event_is_discarded_by_two_people(work: Any) -> None:
    message = dead_message()
    job = work(person("operator"), clicks=1)
    job.find(message.key)
    job.page.get_by_label("Reason for permanent deletion").fill("sent to the wrong store by a test")
    job.button("Discard, once a second person approves")
    job.page.get_by_text("Awaiting approval from").wait_for()
    job.end()
    second = work(person("administrator"), clicks=4)
    second.rail("My tasks")
    second.link(message.key)
    second.click(second.page.get_by_label("I have looked at the event"))
    second.button("Discard it for good")
    second.page.get_by_text("Decided by").wait_for()
    second.end()
    assert Discard.objects.get(message_id=message.id).decision == "discarded"
    assert dlq.stream.for_drain().pages.get(message.id) is None


def test_a_hold_on_a_matter_is_placed_and_released_by_two_people(work: Any) -> None:
    matter = f"matter-{secrets.token_hex(4)}"
    stored_record(correlation_id=matter)
    job = work(person("compliance officer"), clicks=4)
    job.find(matter)
    job.click(job.page.locator("#result_list .field-time a"))
    job.link("place a legal hold")
    job.page.get_by_label("Matter").fill("Case 12/2026")
    job.page.get_by_label("Why, and who asks for it").fill("Asked for by counsel")
    job.button("Place the hold")
    job.page.get_by_text("It is held, and that is recorded.").wait_for()
    assert LegalHold.objects.get(correlation_id=matter).released is None
    job.end()
    job.page.get_by_label("Reason for release").fill("The case is closed, says counsel")
    job.button("Request its release")
    job.page.get_by_text("a second person has to approve it").wait_for()
    job.end()
    second = work(person("compliance officer"), clicks=4)
    second.rail("My tasks")
    second.click(second.page.get_by_role("listitem").filter(has_text="says counsel").get_by_role("link").first)
    second.click(second.page.get_by_label("I know the matter"))
    second.button("Approve")
    second.page.get_by_text("It is decided, and that is recorded.").wait_for()
    second.end()
    assert LegalHold.objects.get(correlation_id=matter).released is not None


def test_what_is_due_is_purged_by_two_people_and_certified(work_elsewhere: Any) -> None:
    work = work_elsewhere
    category, asking, deciding = word(), person("compliance officer"), person("compliance officer")
    backdated_floors(category, [(30, ago(4_000))])
    due = aged(ago(40), event_category=category)
    seal()
    job = work(asking, clicks=4)
    job.rail("Retention")
    job.link("Plan a purge")
    job.page.get_by_text("due, by month of storage").first.wait_for()
    job.page.get_by_label("Why they may go").fill("Their time is over")
    job.page.get_by_label("Why no archive is needed").fill("Copies lie at the notary's")
    job.button("Request the purge")
    job.page.get_by_text("a second person has to approve it").first.wait_for()
    job.end()
    plan = RetentionRequest.objects.filter(kind="purge").latest("pk")
    second = work(deciding, clicks=6)
    second.rail("My tasks")
    second.click(second.page.locator(f"a[href='/admin/audit/retentionrequest/{plan.pk}/change/']"))
    second.click(second.page.get_by_label("I know the matter"))
    second.button("Approve")
    seal()
    second.click(second.page.get_by_label("They are to be removed for good"))
    second.button("Run the purge")
    second.page.get_by_text("It begins within a minute").wait_for()
    tasks.continue_purge(plan.pk, deciding.get_username())
    assert not Record.objects.filter(pk=due).exists()
    second.page.reload()
    second.page.get_by_text("auditsite/purge/v1").first.wait_for()
    second.end()


def test_a_service_is_connected(work: Any) -> None:
    name = f"w-{secrets.token_hex(4)}"
    job = work(person("administrator"), clicks=3)
    job.rail("Settings")
    job.link("Add writer")
    job.page.fill("#id_name", name)
    job.click(job.page.get_by_role("button", name="Save", exact=True))
    expect(job.page.locator("#content")).to_contain_text(f"the key of {name}", ignore_case=True, use_inner_text=True)
    assert Writer.objects.filter(name=name).exists()
    job.end()


def test_an_auditor_is_made_by_two_people(work: Any) -> None:
    name, password = f"new-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    job = work(person("administrator"), clicks=5)
    job.rail("Settings")
    job.rail("People")
    job.link("Add user")
    job.page.fill("#id_username", name)
    job.click(job.page.get_by_label("auditor: searches"))
    job.page.fill("#id_password1", password)
    job.page.fill("#id_password2", password)
    job.click(job.page.get_by_role("button", name="Save", exact=True))
    expect(job.page.locator(".messagelist")).to_contain_text(name)
    job.end()
    second = work(person("administrator"), clicks=3)
    second.rail("My tasks")
    second.link(name)
    second.button("Grant")
    expect(second.page.get_by_text("It is decided, and that is recorded.")).to_be_visible()
    second.end()
    assert RightsRequest.objects.get(subject=name).decision == "granted"
    newcomer = Visitor(second.page.context.browser, second.site, "light")
    newcomer.open("/admin/login/", "login")
    newcomer.page.fill("#id_username", name)
    newcomer.page.fill("#id_password", password)
    newcomer.page.click("input[type=submit]")
    newcomer.page.locator("#rail").get_by_role("link", name="Records").click()
    newcomer.page.wait_for_url("**/record/")
    assert Record.objects.filter(actor_id=name, event_type="audit.person.logged_in").exists()
    newcomer.page.context.close()
