"""What every list of the admin has in common."""

import re
import secrets

import pytest
from django.test import Client

from audit.models import Writer


def test_times_that_no_page_formats_itself_are_utc_too(administrator: Client) -> None:
    writer = Writer.objects.create(name=f"times-{secrets.token_hex(4)}")
    for path in (f"/admin/audit/writer/?q={writer.name}", f"/admin/audit/writer/{writer.pk}/change/"):
        page = administrator.get(path).content.decode()
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", page), path
        assert not re.search(r"[ap]\.m\.", page), path


@pytest.mark.parametrize("name", ["verification", "finding", "waiver", "discard", "episode"])
def test_a_list_that_cannot_be_searched_offers_no_search(auditor: Client, name: str) -> None:
    assert b'id="searchbar"' not in auditor.get(f"/admin/audit/{name}/").content


@pytest.mark.parametrize("name", ["gap", "manifest", "brokenpromise", "expectation", "unmet", "export"])
def test_a_list_that_can_be_searched_says_for_what(auditor: Client, name: str) -> None:
    page = auditor.get(f"/admin/audit/{name}/").content.decode()
    assert re.search(r'id="searchbar_helptext">\w', page)


@pytest.mark.parametrize("name", ["redactionrule", "erasurerule", "expectation"])
def test_a_list_of_rules_says_what_they_do(admin_client: Client, name: str) -> None:
    assert "<p>A rule " in admin_client.get(f"/admin/audit/{name}/").content.decode()
