"""What people see, in a real Chromium: no violation of the Content-Security-Policy, no error, accessible."""

import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Route, expect

import dlq.stream
from audit.admin.display import OUTCOMES
from audit.ledger import seal, verify
from audit.models import Quarantined
from audit.queue import discards, quarantine
from audit.retention import legal_holds, policy
from dlq.message import Message
from tests.admin.accounting.conftest import a_line, a_sample
from tests.admin.browser.accessibility import Looks
from tests.admin.browser.conftest import PASSWORD, Visitor, served
from tests.admin.completeness.conftest import a_gap, a_manifest
from tests.admin.conftest import logged_in, parked_message, person, stored_record
from tests.admin.expectations.conftest import an_unmet
from tests.admin.queue.conftest import an_episode
from tests.admin.receipts.conftest import a_broken_promise, some_receipts
from tests.audit.expectations.conftest import rule_maker

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _sample_history() -> None:
    """Half an hour of a queue that filled and emptied."""
    queue, now = dlq.stream.for_drain(), int(time.time()) // 60
    members = {
        f"{now - 30 + n}:{abs(15 - n) * 20}:{n * 40}:{n * 40 - abs(15 - n) * 20}:9": now - 30 + n for n in range(30)
    }
    queue.redis.zadd(queue.keys.minutes, members)


@pytest.fixture
def message() -> Message:
    return parked_message()


# Of each way that a page is built, the one that people see most: what `make test` opens of all of them.
MOST_SEEN = ("start", "records-found", "sealed", "changed", "timeline", "coverage", "gap", "verification", "message")
MOST_SEEN += ("expectation-add", "account", "outage", "who-looked", "hold-place", "writers", "discard")


@pytest.mark.timeout(600)  # sixty pages, three times each
def test_every_page_is_clean_and_accessible_light_dark_and_narrow(
    visitor: Visitor, message: Message, looks: Looks
) -> None:
    record = stored_record(event_data={"nested": {"list": [1, 2, 3]}, "text": "<script>alert(1)</script>"})
    sealed = stored_record(event_data={"kept": True})
    seal.Sealer().once()
    run = verify.verify()
    old = parked_message()
    quarantine.quarantine([old], cause="tests", by="somebody")
    kept = Quarantined.objects.get(message_id=old.id)
    sample = a_sample(b"\x1b[2J<script>alert(1)</script>")
    for counts in ({"direct": 700, "rejected": 90}, {"came": 300, "here": 200, "dead": 40, "drained": 0}):
        a_line(**counts)
    asked = discards.request(message, reason="tests", by="somebody")
    _sample_history()
    with rule_maker() as make:
        unmet = an_unmet(make(), others=3)
    steps = [stored_record(correlation_id=f"rr-{message.key}", event_outcome=outcome) for outcome in OUTCOMES]
    a_floor = policy.ask(f"c-{secrets.token_hex(4)}", 4_000, reason="a law", by="somebody")
    held = legal_holds.place(steps[0].correlation_id, reason="a matter", by="somebody")
    changed = stored_record(event_data={"before": {"size": 2, "gone": 1}, "after": {"size": 5, "new": "x" * 999}})
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    boss = person("auditor")
    boss.is_superuser = True
    boss.save()
    visitor.come_in(boss)
    pages = {
        "start": "/admin/",
        "records": "/admin/audit/record/",
        "records-found": f"/admin/audit/record/?q=correlation:{record.correlation_id}+-outcome:failure",
        "records-none": "/admin/audit/record/?q=actor:nobody-at-all+after:1h",
        "records-refused": "/admin/audit/record/?q=actor:alice+rr-17",
        "record": f"/admin/audit/record/{record.id}/change/",
        "sealed": f"/admin/audit/record/{sealed.id}/change/",
        "log": "/admin/audit/checkpoint/",
        "checkpoint": "/admin/audit/checkpoint/0/change/",
        "verifications": "/admin/audit/verification/",
        "verification": f"/admin/audit/verification/{run.pk}/change/",
        "findings": "/admin/audit/finding/",
        "parked": "/admin/audit/parked/",
        "message": f"/admin/audit/parked/{message.id}/change/",
        "writers": "/admin/audit/writer/",
        "quarantine": "/admin/audit/quarantined/",
        "quarantined": f"/admin/audit/quarantined/{kept.n}/change/",
        "discard": f"/admin/audit/discard/{asked.pk}/change/",
        "completeness": "/admin/audit/gap/",
        "gap": f"/admin/audit/gap/{a_gap().pk}/change/",
        "coverage": "/admin/audit/hourcount/",
        "coverage-day": f"/admin/audit/hourcount/?day={yesterday}",
        "coverage-week": "/admin/audit/hourcount/?writer=tests",
        "timeline": f"/admin/audit/record/timeline/?correlation={steps[0].correlation_id}",
        "timeline-empty": "/admin/audit/record/timeline/?actor=nobody-at-all",
        "changed": f"/admin/audit/record/{changed.id}/change/",
        "manifests": "/admin/audit/manifest/",
        "manifest": f"/admin/audit/manifest/{a_manifest().pk}/change/",
        "broken-promises": "/admin/audit/brokenpromise/",
        "broken-promise": f"/admin/audit/brokenpromise/{a_broken_promise().pk}/change/",
        "receipts": "/admin/audit/brokenpromise/verify/",
        "expectations": "/admin/audit/expectation/",
        "expectation": f"/admin/audit/expectation/{unmet.expectation_id}/change/",
        "expectation-add": "/admin/audit/expectation/add/",
        "unmet-list": f"/admin/audit/unmet/?q={unmet.expectation.name}",
        "unmet": f"/admin/audit/unmet/{unmet.pk}/change/",
        "waivers": "/admin/audit/waiver/",
        "waiver-add": f"/admin/audit/waiver/add/?expectation={unmet.expectation_id}&correlation={unmet.subject}",
        "account": "/admin/audit/account/",
        "rejected-events": "/admin/audit/rejectedsample/",
        "rejected-event": f"/admin/audit/rejectedsample/{sample.pk}/change/",
        "outages": "/admin/audit/episode/",
        "outage": f"/admin/audit/episode/{an_episode().pk}/change/",
        "who-looked": f"/admin/audit/access/?who={boss.username}",
        "scopes": "/admin/audit/auditorscope/",
        "scope": "/admin/audit/auditorscope/add/",
        "looked-at": f"/admin/audit/record/{record.id}/change/?again",
        "queue-by-text": "/admin/audit/parked/?text=gateway",
        "status": "/status",
        "bundles": "/admin/audit/export/",
        "discards": "/admin/audit/discard/",
        "holds": "/admin/audit/legalhold/",
        "hold": f"/admin/audit/legalhold/{held.pk}/change/",
        "retention": "/admin/audit/retentionrequest/",
        "retention-policy": "/admin/audit/retentionrequest/policy/",
        "retention-purge": "/admin/audit/retentionrequest/purge/",
        "retention-request": f"/admin/audit/retentionrequest/{a_floor.pk}/change/",
        "hold-place": f"/admin/audit/legalhold/place/?correlation={sealed.correlation_id}",
        "held": f"/admin/audit/record/{steps[0].id}/change/",
        "writer-add": "/admin/audit/writer/add/",
        "people": "/admin/auth/user/",
        "groups": "/admin/auth/group/",
    }
    found = {}
    for name in pages if looks.at_all else MOST_SEEN:
        visitor.open(pages[name], name)
        found[name] = visitor.findings_of_state(name)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert visitor.wrong == []


def without_refresh(route: Route) -> None:
    """Let a page stand still while it is looked at."""
    response = route.fetch()
    route.fulfill(response=response, headers={**response.headers, "refresh": "3600"})


def test_in_an_outage_a_page_says_so_and_leads_who_was_logged_in_to_the_queue(
    browser: Browser, message: Message
) -> None:
    client = logged_in(person("operator"))
    client.get("/admin/audit/parked/0-1/change/")
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with served(DATABASE_URL="postgresql://audit_app@/none?host=/nowhere") as address:
        visitor = Visitor(browser, address, "light")
        visitor.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}])
        visitor.page.route(re.compile("/(admin/|status)$"), without_refresh)
        response = visitor.page.goto(f"{address}/admin/")
        assert response is not None
        assert response.status == 503
        expect(visitor.page.locator("text=Nothing is lost")).to_have_count(1)
        assert visitor.findings_everywhere("outage") == []
        visitor.page.click("text=Read the dead letter queue")
        visitor.page.wait_for_selector("text=PostgreSQL has not answered")
        assert visitor.findings_everywhere("outage-queue") == []
        visitor.open(f"/admin/audit/parked/?q={message.key}", "outage-found")
        visitor.page.click(f"text={message.key}")
        visitor.page.wait_for_selector("text=Content hash matches")
        assert visitor.findings_everywhere("outage-event") == []
        expect(visitor.page.locator("form[method=post]")).to_have_count(0)
        visitor.page.click("text=Live status")
        visitor.page.wait_for_selector("text=Read the dead letter queue")
        assert visitor.findings_everywhere("outage-status") == []
        visitor.page.context.close()
    assert [text for text in visitor.wrong if "503" not in text] == []


COLOURS = """() => ["--header-bg", "--header-color", "--primary", "--secondary", "--accent", "--link-fg", "--body-bg",
    "--breadcrumbs-bg", "--button-bg"]
    .map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))"""


def test_a_scheme_that_is_chosen_looks_as_it_does_by_itself(visitor: Visitor) -> None:
    visitor.open("/admin/login/", "login")
    looks: dict[str, list[str]] = {}
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        visitor.page.evaluate("delete document.documentElement.dataset.theme")
        looks[scheme] = visitor.page.evaluate(COLOURS)
    for system, chosen in (("dark", "light"), ("light", "dark"), ("light", "light")):
        visitor.page.emulate_media(color_scheme=system)  # type: ignore[arg-type]
        visitor.page.evaluate("theme => document.documentElement.dataset.theme = theme", chosen)
        assert visitor.page.evaluate(COLOURS) == looks[chosen]


@pytest.mark.long
def test_an_auditor_verifies_a_file_of_receipts(visitor: Visitor, tmp_path: Path) -> None:
    auditor = person("auditor", password=PASSWORD)
    file = tmp_path / "receipts"
    file.write_text(some_receipts())
    visitor.log_in(auditor.username)
    visitor.page.click(".store th a:text-is('Completeness')")
    visitor.page.click("text=verify receipts")
    visitor.page.set_input_files("#file", file)
    visitor.page.click("text=Verify >> nth=-1")
    visitor.page.wait_for_selector("text=The store broke its promise")
    visitor.picture("receipts-verified")
    expect(visitor.page.locator("tbody tr").nth(0).locator("text=broken promise")).to_have_count(1)
    assert visitor.findings_everywhere("receipts-verified") == []
    assert visitor.wrong == []


@pytest.mark.long
def test_an_auditor_goes_from_the_start_page_to_a_record(visitor: Visitor) -> None:
    record = stored_record()
    auditor = person("auditor", password=PASSWORD)
    visitor.log_in(auditor.username)
    visitor.page.click(".store th a:text-is('Records')")
    visitor.page.wait_for_load_state("load")  # the keys are there then
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type(f"correlation:{record.correlation_id}")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**q=correlation**")
    visitor.page.click("#result_list .field-time a")
    visitor.page.click("#beside .tabs >> text=Integrity")
    expect(visitor.page.locator("#beside >> text=Content hash matches")).to_be_visible()
    assert visitor.findings() == []
    visitor.page.click("a.value[data-field=type]")
    visitor.page.click(".value-menu >> text=Exclude this")
    visitor.page.wait_for_url("**q=correlation**-type**")
    expect(visitor.page.locator("text=No records match.")).to_be_visible()
    assert visitor.wrong == []
