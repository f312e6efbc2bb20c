"""The page of a record that was imported says what made it, which member filled which field, and which none."""

import pytest
from django.test import Client
from django.urls import reverse

from audit.imports import catalogue, mapping
from audit.imports.catalogue import BUILT_IN
from audit.models import Record
from tests.admin.conftest import SCRIPT, stored_record
from tests.audit.imports.conftest import a_trail_event, foreign_writer, took

__all__ = ["foreign_writer"]


def page_of(client: Client, record: Record) -> str:
    answer = client.get(reverse("admin:audit_record_change", args=[record.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def imported(foreign_writer: str) -> Record:
    event = a_trail_event(newMember=SCRIPT, userIdentity={"arn": "a", "type": "IAMUser", "newer": {"x": 1}})
    [taken] = took(event, "cloudtrail", foreign_writer)
    return Record.objects.get(id=taken.id)


def test_it_names_the_mapping_its_version_and_what_it_does_not_use(auditor: Client, imported: Record) -> None:
    page = page_of(auditor, imported)
    assert "AWS CloudTrail" in page
    assert "by the mapping <code>cloudtrail</code>, version 1" in page
    words = page[page.index("The original, whole") : page.index('class="tree"')]
    assert "<code>newMember</code>" in words and "<code>userIdentity.newer</code>" in words
    assert "userIdentity.arn" not in words
    assert ".event_data.newMember" in page and SCRIPT not in page


def test_each_field_names_the_member_that_filled_it(auditor: Client, imported: Record) -> None:
    page = page_of(auditor, imported)
    fields = page[page.index("The event as it was accepted") :]

    def source_of(field: str) -> str:
        row = fields[fields.index(f'<th scope="row">{field}</th>') :]
        return row[: row.index("</tr>")].rpartition("<td>")[2]

    assert "<code>userIdentity.arn</code>" in source_of("actor_id")
    assert "the mapping itself" in source_of("event_category")
    assert "—" in source_of("writer") and "<code>" not in source_of("writer")


def test_of_another_version_of_the_mapping_it_says_only_which_made_it(
    auditor: Client, imported: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (BUILT_IN / "cloudtrail.toml").read_text(encoding="utf-8").replace('version = "1"', 'version = "2"')
    monkeypatch.setattr(catalogue, "every", lambda: {"cloudtrail": mapping.read(text, "the second version")})
    page = page_of(auditor, imported)
    assert "<code>cloudtrail</code>, version 1" in page
    assert "The mapping has version 2 now" in page
    assert "No field is filled by" not in page and '<th scope="col">from</th>' not in page
    monkeypatch.setattr(catalogue, "every", dict)
    assert "The mapping is not here any more" in page_of(auditor, imported)


def test_a_record_that_no_mapping_made_says_nothing_of_one(auditor: Client) -> None:
    page = page_of(auditor, stored_record())
    assert "Made from" not in page and '<th scope="col">from</th>' not in page
