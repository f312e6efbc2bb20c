"""A mapping is tried in a real Chromium: what is pasted is shown, and nothing of it runs or is kept."""

import json

import pytest
from playwright.sync_api import expect

from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import SCRIPT, person
from tests.audit.imports.conftest import a_cluster_event

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_officer_tries_a_mapping_on_a_pasted_sample(visitor: Visitor) -> None:
    visitor.come_in(person("compliance officer"))
    visitor.open("/admin/audit/importmapping/", "mappings")
    assert visitor.findings_everywhere("mappings") == []
    visitor.page.get_by_role("link", name="Try kubernetes").click()
    sample = [a_cluster_event(userAgent=SCRIPT), a_cluster_event(stageTimestamp="yesterday"), {"kind": "Event"}]
    visitor.page.get_by_label("The sample").fill("\n".join(json.dumps(each) for each in sample))
    visitor.page.get_by_role("button", name="Show what it does").click()
    expect(visitor.page.get_by_role("heading", name="Line 1", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("heading", name="Line 3: not mapped")).to_be_visible()
    first = visitor.page.get_by_role("region", name="line 1")
    expect(first.get_by_role("row", name="actor_id person-1 user.username")).to_be_visible()
    first.locator("summary").click()
    expect(first.locator("pre")).to_contain_text('"version": "kubernetes/1"')
    assert visitor.findings_everywhere("mapping-tried") == []
    assert visitor.wrong == []
