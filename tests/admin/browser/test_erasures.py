"""Two officers in a browser: an erasure that is approved, and one that is refused with its ground."""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from audit.evidence.erasure.rules import save_rule
from audit.ingest import erasure_rules
from audit.models import ErasureRequest, ErasureRule, Record
from tests.admin.conftest import person
from tests.audit.conftest import Sender, an_event
from tests.audit.evidence.erasure.conftest import values

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def kind() -> Iterator[str]:
    """A type of events that no other test sends, for the rule that is made in the browser; it is switched off again."""
    name = f"t{secrets.token_hex(6)}"
    yield name
    for rule in ErasureRule.objects.filter(name=name):
        rule.active = False
        save_rule(rule, by="tests")
    erasure_rules.forget()


def sent(kind: str, email: str, writer: Sender) -> Record:
    erasure_rules.forget()
    document = an_event(event_type=f"erasure.{kind}", event_data={"user": {"email": email}}, actor_ip="192.0.2.7")
    answer = writer.post(document)
    assert answer.status_code == 201, answer.json()
    return Record.objects.get(pk=answer.json()["event_id"])


def test_two_people_erase_and_refuse(walk: Any, kind: str) -> None:
    writer = Sender("write")
    first, second = walk(person("compliance officer")), walk(person("compliance officer"))
    page = first.page
    first.open("/admin/audit/erasurerule/add/", "erasure-rule")
    page.fill("#id_name", kind)
    page.fill("#id_path", "event_data.user.email")
    page.fill("#id_event_type", f"erasure.{kind}")
    page.fill("#id_reason", "GDPR, article 17")
    first.stop("erasure-rule")
    page.click("input[name=_save]")
    expect(page.locator(f"a:text-is('{kind}')").first).to_be_attached()
    email = f"zofie-{secrets.token_hex(4)}@example.org"
    record, other = sent(kind, email, writer), sent(kind, f"other-{email}", writer)
    assert record.event_data == {"user": {"email": "$erasable"}}

    first.open(f"/admin/audit/record/{record.pk}/change/", "erasure-record")
    expect(page.locator(f".tree :text('{email}')").first).to_be_attached()
    page.click("nav.tabs a:text-is('Data')")
    first.stop("erasure-record")
    page.click("text=Ask for an erasure")
    page.select_option("#erasure-kind", "value")
    page.fill("#erasure-subject", email)
    page.fill("#erasure-basis", "GDPR Art. 17(1)(b)")
    page.fill("#erasure-reason", "request 17 of the desk")
    page.click("text=Show what would be erased")
    expect(page.locator("text=of 1 record")).to_have_count(1)
    first.stop("erasure-preview")
    page.click("button:text-is('Ask for it')")
    expect(page.locator("text=A second person decides")).to_have_count(1)
    expect(page.locator("text=Approve and erase"), "nobody decides about what they asked for").to_have_count(0)
    first.stop("erasure-asked")
    approved = ErasureRequest.objects.get(records__contains=[record.pk])

    second.open("/admin/tasks/", "erasure-tasks")
    second.page.click(f"text=Erasure {approved.pk}")
    second.page.check("text=I have looked at the records")
    second.stop("erasure-decide")
    second.page.click("text=Approve and erase")
    expect(second.page.locator("text=It is approved, and done.")).to_have_count(1)
    second.stop("erasure-done")
    assert values(record.pk) == {}
    second.open(f"/admin/audit/record/{record.pk}/change/#data", "erasure-erased")
    expect(second.page.locator(".tree :text('erased under GDPR Art. 17(1)(b) on ')").first).to_be_attached()
    expect(second.page.locator("text=Content hash matches")).to_have_count(1)
    second.stop("erasure-erased")
    second.page.click("a:has-text('erased under GDPR Art. 17(1)(b)')")
    expect(second.page).to_have_url(re.compile(rf"/erasurerequest/{approved.pk}/change/$"))

    second.open(f"/admin/audit/erasurerequest/ask/?kind=ids&subject={other.pk}", "erasure-ask")
    second.page.fill("#erasure-basis", "GDPR Art. 17(1)(a)")
    second.page.fill("#erasure-reason", "request 18 of the desk")
    second.page.click("text=Show what would be erased")
    second.page.click("button:text-is('Ask for it')")
    first.open(second.page.url.removeprefix(first.site), "erasure-refuse")
    page.fill("#erasure-ground", "GDPR Art. 17(3)(b): tax law, seven years")
    page.click("button:text-is('Refuse')")
    expect(page.locator("text=It is refused, and that is recorded with its ground.")).to_have_count(1)
    first.stop("erasure-refused")
    assert len(values(other.pk)) == 1
    first.open("/admin/audit/erasurerequest/", "erasures")
    first.stop("erasures")

    first.open(f"/admin/audit/record/?q=data.user.email:{email}", "erasure-search")
    expect(page.locator("text=no search finds them")).to_have_count(1)
