"""The rail of every page: it leads everywhere a person may go, and says how much is open there."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import Resolver404, resolve, reverse

import dlq.stream
from audit.access.roles import GROUPS
from audit.admin.frame.navigation import SECTIONS
from audit.queue import actions, discards
from tests.admin.completeness.conftest import a_gap
from tests.admin.conftest import logged_in, parked_message, person, stored_record

# Who sees most pages sees what the others see.
ROLES = [
    pytest.param(role, marks=pytest.mark.long) if role == "compliance officer" else role for role in (*GROUPS, "nobody")
]
LINK = re.compile(r'<a\b[^>]*? href="([^"#]+)"')


def links(page: str, base: str) -> Iterator[str]:
    """The addresses of ours that a page leads to."""
    for address in map(unescape, LINK.findall(page)):
        if (whole := urljoin(base, address)).startswith("/admin/"):
            yield whole


def test_every_list_has_its_place() -> None:
    admin.autodiscover()
    named = [label for labels in SECTIONS.values() for label in labels]
    assert {model._meta.label_lower for model in admin.site._registry} <= set(named)
    assert len(named) == len(set(named))


def test_the_rail_does_not_say_retention_twice() -> None:
    page = (
        logged_in(person("compliance officer")).get(reverse("admin:audit_retentionrequest_changelist")).content.decode()
    )
    rail = re.sub(r"<[^>]*>", "|", page[(begins := page.index('<nav id="rail"')) : page.index("</nav>", begins)])
    names = [name.strip() for name in rail.split("|") if name.strip()]
    assert [name for name in names if name in ("Retention", "Floors and purges", "Legal holds")] == [
        "Retention",
        "Floors and purges",
        "Legal holds",
    ]


def test_what_is_open_is_counted_beside_its_section(auditor: Client) -> None:
    a_gap()
    page = auditor.get(reverse("admin:index")).content.decode()
    assert re.search(r'>Completeness <span class="open open-error" title="\d+\+? open findings: [^"]+">\d+\+?<', page)
    assert auditor.get("/admin/audit/").headers["Location"] == reverse("admin:index")


def test_a_paused_queue_is_seen_on_every_page_until_somebody_resumes_it(auditor: Client, operator: Client) -> None:
    actions.pause("somebody")
    try:
        assert "Draining is paused" in auditor.get(reverse("admin:help")).content.decode()
        page = operator.get(reverse("admin:index")).content.decode()
        assert "Draining is paused" in page and 'value="resume"' in page
    finally:
        operator.post(reverse("admin:audit_parked_pause"), {"want": "resume"})
    assert dlq.stream.for_drain().activity.paused() is None
    assert "Draining is paused" not in auditor.get(reverse("admin:help")).content.decode()


def test_who_may_approve_a_discard_has_it_among_their_tasks(administrator: Client, operator: Client) -> None:
    asked = discards.request(parked_message(), reason="sent twice", by="somebody")
    tasks = administrator.get(reverse("admin:tasks")).content.decode()
    assert f"/admin/audit/discard/{asked.pk}/change/" in tasks and "sent twice" in tasks
    assert "sent twice" not in operator.get(reverse("admin:tasks")).content.decode()


def test_the_search_of_the_header_leads_to_what_has_the_id(auditor: Client, operator: Client) -> None:
    record, message = stored_record(), parked_message()
    find = reverse("admin:find")
    assert f"/record/{record.pk}/change/" in auditor.get(find, {"q": f" {record.pk} "}).headers["Location"]
    assert f"/parked/{message.id}/change/" in operator.get(find, {"q": message.key}).headers["Location"]
    assert auditor.get(find, {"q": "rr-17"}).headers["Location"].endswith("/record/?q=rr-17")


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_no_link_leads_to_a_page_that_is_refused_or_fails(role: str) -> None:
    """From the start page on, each kind of page once; what is not a page of ours is not followed."""
    a_gap(), parked_message()
    client = logged_in(person(None if role == "nobody" else role))
    waiting, seen, wrong = [reverse("admin:index")], set(), []
    while waiting:
        address = waiting.pop()
        try:
            match = resolve(address.partition("?")[0])
        except Resolver404:
            wrong.append((address, 404))
            continue
        if match.url_name in seen or match.url_name in ("logout", "catch_all"):
            continue
        seen.add(match.url_name)
        answer = client.get(address)
        if answer.streaming:
            answer.close()
        if answer.status_code >= 400:
            wrong.append((address, answer.status_code))
        elif not answer.streaming and answer.headers.get("Content-Type", "").startswith("text/html"):
            waiting += links(answer.content.decode(), address)
        elif 300 <= answer.status_code < 400:
            waiting.append(answer.headers["Location"])
    assert wrong == []
    assert role == "nobody" or len(seen) > 20


@pytest.mark.parametrize("page", ["1/history/", "1/delete/"])
def test_pages_that_a_list_does_not_have_are_refused_in_words(superuser_client: Client, page: str) -> None:
    answer = superuser_client.get(f"/admin/audit/parked/{page}")
    assert answer.status_code in (403, 404)
    assert 'id="rail"' in answer.content.decode()


def test_a_login_that_names_a_foreign_page_leads_to_the_start(client: Client) -> None:
    user = person("auditor", password="correct horse battery staple")
    form = {"username": user.username, "password": "correct horse battery staple", "next": "https://evil.example/"}
    assert client.post(reverse("admin:login"), form).headers["Location"] == reverse("admin:index")
