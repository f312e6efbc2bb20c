"""What people come to do, from the start page, by clicks that are counted and no address that is typed."""

import secrets
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator

from audit import tasks
from audit.models import Record, Report, Review, RightsRequest, Writer
from tests.admin.browser.conftest import Visitor
from tests.admin.completeness.conftest import a_gap
from tests.admin.conftest import person, stored_record
from tests.audit.reports.conftest import sealed
from tests.audit.review.conftest import failed

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]


class Worker(Visitor):
    """A person on the start page who may click so often."""

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
        self.click(self.page.locator("#rail").get_by_role("link", name=name).first)

    def button(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True).first)

    def find(self, text: str) -> None:
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url("**q=**")

    def end(self) -> None:
        """What stands at the end of the job is in order."""
        assert self.findings() == []
        assert self.wrong == []


@pytest.fixture
def work(browser: Browser, site: str) -> Iterator[Any]:
    workers: list[Worker] = []

    def begin(user: Any, *, clicks: int) -> Worker:
        workers.append(Worker(browser, site, "light"))
        workers[-1].begin(user, clicks=clicks)
        return workers[-1]

    yield begin
    for worker in workers:
        worker.page.context.close()


def test_who_changed_a_thing_last_week(work: Any) -> None:
    thing = f"pod-{secrets.token_hex(4)}"
    stored_record(resource_id=thing, actor_id="alice", event_action="deleted")
    job = work(person("auditor"), clicks=1)
    job.find(thing)
    job.click(job.page.locator("#result_list .field-time a"))
    assert "alice" in job.page.locator("#beside").inner_text()
    job.end()


def test_whether_it_is_complete_and_why_not(work: Any) -> None:
    writer = a_gap().numbering.writer
    job = work(person("auditor"), clicks=3)
    job.rail("Completeness")
    job.link("never came")
    job.click(job.page.locator("#result_list tr", has_text=writer).get_by_role("link"))
    assert writer in job.page.locator("#content").inner_text()
    job.end()


def test_a_report_on_one_set_of_controls_and_from_a_figure_to_its_records(work: Any) -> None:
    sealed(2, event_outcome="failure")
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
    assert job.page.locator("#result_list tbody tr").count() >= 2
    job.end()


def test_a_day_is_reviewed_line_by_line(work: Any) -> None:
    day = date.today() - timedelta(days=1)
    failed(day)
    user = person("compliance officer")
    job = work(user, clicks=3)
    job.rail("Reviews")
    job.click(job.page.locator(".calendar").get_by_role("link", name=day.isoformat()))
    for line in job.page.locator(".disposition").all():
        line.select_option("ticket")
    job.button("I have reviewed this day")
    job.page.get_by_text("is signed, and recorded").wait_for()
    assert Review.objects.filter(day=day, signed_by=user.username).exists()
    job.end()


def test_a_service_is_connected(work: Any) -> None:
    name = f"w-{secrets.token_hex(4)}"
    job = work(person("administrator"), clicks=3)
    job.rail("Settings")
    job.link("Add writer")
    job.page.fill("#id_name", name)
    job.click(job.page.get_by_role("button", name="Save", exact=True))
    assert f"the key of {name}" in job.page.locator("#content").inner_text().lower()
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
    job.end()
    second = work(person("administrator"), clicks=3)
    second.rail("My tasks")
    second.link(name)
    second.button("Grant")
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
