"""The pages of schemas in a real Chromium: clean and accessible, and a form that a person can fill in."""

import secrets

import pytest
from playwright.sync_api import expect

from audit.models import EventSchema
from audit.schemas import in_force
from tests.admin.browser.conftest import Visitor
from tests.admin.conftest import person, stored_record
from tests.audit.evidence.conftest import HOSTILE
from tests.audit.schemas.conftest import registered

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.long
def test_the_pages_of_schemas_are_clean_and_accessible(visitor: Visitor) -> None:
    kind = f"schemas.page.t{secrets.token_hex(3)}"
    for mode in ("warn", "refuse"):
        row = registered(kind, {"title": HOSTILE, "required": ["user"], "type": "object"}, mode=mode)
    visitor.come_in(person("administrator"))
    of_list = "/admin/audit/eventschema/"
    first = EventSchema.objects.get(event_type=kind, revision=1)
    pages = {
        "schemas": of_list,
        "schema": f"{of_list}{row.pk}/change/",
        "schema-older": f"{of_list}{first.pk}/change/",
        "schema-add": f"{of_list}add/?from={row.pk}",
    }
    for name, address in pages.items():
        visitor.open(address, name)
        assert visitor.findings_of_state(name) == [], name
    page = visitor.page
    page.get_by_label("Schema").fill('{"$ref": "#"}')
    page.get_by_label("Reason").fill("a test")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("only #/$defs/NAME of its own is taken")).to_be_visible()
    assert visitor.findings_of_state("schema-refused") == []
    assert visitor.wrong == []


@pytest.mark.long
def test_a_record_that_does_not_fit_says_so_readably(visitor: Visitor) -> None:
    kind = f"schemas.page.t{secrets.token_hex(3)}"
    record = stored_record(event_type=kind, event_data={"other": 1})
    registered(kind, {"required": ["user"], "properties": {"other": {"type": "string"}}}, mode="warn")
    in_force.forget()
    visitor.come_in(person("auditor"))
    visitor.open(f"/admin/audit/record/{record.pk}/change/", "record-misfit")
    expect(visitor.page.get_by_role("heading", name="Schema")).to_be_visible(timeout=15_000)
    assert visitor.findings_of_state("record-misfit") == []
