"""The values of a query with counts: what a scope hides is not counted, and each leads to what it counts."""

import secrets
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.admin.search import facets, query_bar
from audit.admin.search.records import RecordAdmin
from audit.models import AuditorScope, Record
from tests.admin.conftest import logged_in, person, stored_record
from tests.admin.search.conftest import RECORDS


@pytest.fixture
def correlation(monkeypatch: pytest.MonkeyPatch) -> str:
    """Three records of one correlation, of which one failed and one is of another category."""
    monkeypatch.setattr(facets, "MS", 5_000)  # timing decides nothing here
    name = f"facets-{secrets.token_hex(4)}"
    for changes in ({"event_outcome": "failure"}, {"event_category": "billing"}, {"actor_id": "mallory"}):
        stored_record(correlation_id=name, **changes)
    return name


def counts_of(bar: query_bar.QueryBar) -> dict[str, dict[str, int]]:
    found = facets.facets(bar, Record.objects.all())
    assert found is not None
    return {field: {value.link.label: value.records for value in values} for field, values in found.fields}


def test_each_value_is_counted_and_leads_to_its_records(correlation: str) -> None:
    counts = counts_of(query_bar.read({"q": f"correlation:{correlation}"}))
    assert counts["outcome"] == {"success": 2, "failure": 1}
    assert sorted(counts["category"].values()) == [1, 2]
    assert counts["actor"]["mallory"] == 1
    assert "writer" not in counts  # all are of one: there is nothing to choose
    page = logged_in(person("auditor")).get(RECORDS, {"q": f"correlation:{correlation}"}).content.decode()
    assert f"q=correlation%3A{correlation}+outcome%3Afailure" in page


def test_what_a_scope_hides_is_not_counted(correlation: str) -> None:
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=[], categories=["billing"])
    page: Any = logged_in(user).get(RECORDS, {"q": f"correlation:{correlation}"}).content.decode()
    assert "1 record, newest first" in page
    assert 'class="facets"' not in page


def test_the_newest_are_counted_and_more_are_said_to_be_there(
    correlation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "RECORDS", 2)
    counted = facets.facets(query_bar.read({"q": f"correlation:{correlation}"}), Record.objects.all())
    assert counted is not None
    assert (counted.records, counted.is_capped) == (2, True)
    assert sum(value.records for field, values in counted.fields for value in values if field == "category") == 2


def test_the_list_counts_its_records_and_their_values_in_one_read(
    correlation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordAdmin, "list_per_page", 2)
    with CaptureQueriesContext(connections["reader"]) as queries:
        page = logged_in(person("auditor")).get(RECORDS, {"q": f"correlation:{correlation}"}).content.decode()
    assert "3 records" in page
    assert "mallory" in page
    counts = [statement["sql"] for statement in queries if "count(*)" in statement["sql"].lower()]
    assert len([statement for statement in counts if correlation in statement]) == 1
