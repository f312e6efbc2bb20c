"""The record list and page: fast, complete, and safe with hostile content."""

import html
import re
import secrets
from typing import Any

import pytest
from django.db import connections
from django.db.models.expressions import RawSQL
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import visibility
from audit.admin.search.records import RecordAdmin
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import reader, seal
from audit.models import Record
from audit.search import query as search_query
from tests.admin.conftest import stored_record
from tests.admin.search.conftest import RECORDS, listed
from tests.audit.conftest import an_event


def test_pages_show_every_record_once_also_with_equal_times(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordAdmin, "list_per_page", 3)
    correlation = an_event()["correlation_id"]
    records = {str(stored_record(correlation_id=correlation).id) for _ in range(8)}
    path, seen = f"{RECORDS}?q=correlation:{correlation}", []
    while path:
        page = auditor.get(path).content.decode()
        seen += listed(page)
        link = re.search(r'href="([^"]*)" rel="next"', page)
        path = RECORDS + link[1].replace("&amp;", "&") if link else ""
    assert len(seen) == 8
    assert set(seen) == records


def statements(client: Client, correlation: str) -> list[str]:
    """What the list asks of the records of a correlation; how it knows how many there are in all, depends on them."""
    with CaptureQueriesContext(connections["reader"]) as queries:
        assert client.get(RECORDS, {"q": f"correlation:{correlation}"}).status_code == 200
    asked = [query["sql"] for query in queries if 'FROM "audit_record"' in query["sql"]]
    return [sql for sql in asked if correlation in sql]


def test_the_list_counts_no_further_than_it_shows_and_never_offsets(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordAdmin, "list_per_page", 1)
    correlation = an_event()["correlation_id"]
    for _ in range(2):
        stored_record(correlation_id=correlation)
    found = statements(auditor, correlation)
    assert len(found) == 2  # the rows, and their number
    assert all("LIMIT" in statement and "OFFSET" not in statement for statement in found)


def test_a_list_on_one_page_is_not_counted_again(auditor: Client, record: Record) -> None:
    assert len(statements(auditor, record.correlation_id)) == 1
    asked = {"q": f"correlation:{record.correlation_id}"}
    assert "1 record, newest first" in auditor.get(RECORDS, asked).content.decode()


def test_a_count_that_takes_too_long_does_not_keep_the_rows_back(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordAdmin, "list_per_page", 1)
    monkeypatch.setattr("audit.search.query.COUNT_MS", 50)
    # Two rows are read in time (the page); counting on to the cap is cut off.
    slow = RawSQL("(SELECT pg_sleep(0.02) IS NOT NULL AND audit_record.id IS NOT NULL)", [])
    wanted = Record.objects.alias(slow=slow).filter(slow=True)
    monkeypatch.setattr(RecordAdmin, "get_queryset", lambda self, request: wanted)
    for _ in range(6):
        stored_record()
    page = auditor.get(RECORDS, {"q": ""}).content.decode()
    assert "many records, newest first" in page
    assert len(listed(page)) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"after": "nonsense"},
        {"after": "Zm9v"},
        {"q": "\x00"},
        {"q": "%' OR 1=1"},
        {"q": "actor:\u202e data." + "a" * 300 + ":%_\\"},
        {"q": "x" * 10_000},
        {"q": "actor:%' OR 1=1"},
        {"from": "nonsense", "until": "\x00"},
        {"q": "nonsense", "from": "2026-01-01T00:00"},
        {"no_such_field": "1"},
        {"p": "99999999"},
        {"o": "1"},
    ],
    ids=str,
)
def test_odd_addresses_do_not_break_the_list(auditor: Client, parameters: dict[str, str]) -> None:
    assert auditor.get(RECORDS, parameters, follow=True).status_code == 200


def test_the_page_of_a_record_shows_that_its_digest_holds(auditor: Client, record: Record) -> None:
    page = auditor.get(f"{RECORDS}{record.id}/change/").content.decode()
    assert "Content hash matches" in page
    assert bytes(record.digest).hex() in page
    assert "Stored at once" in page


def test_the_page_says_so_when_the_digest_does_not_hold(
    auditor: Client, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Record, "document", lambda self: {"something": "else"})
    assert "Content hash does not match" in auditor.get(f"{RECORDS}{record.id}/change/").content.decode()


def test_hostile_content_is_shown_not_run(auditor: Client) -> None:
    hostile = "<script>alert(1)</script>"
    record = stored_record(event_data={hostile: hostile}, actor_id=hostile, resource_id=hostile, error_message=hostile)
    for path in (f"{RECORDS}{record.id}/change/", f"{RECORDS}?q=id:{record.id}"):
        assert hostile not in auditor.get(path).content.decode()


@pytest.mark.parametrize("record_id", ["00000000-0000-0000-0000-000000000000", "nonsense"])
def test_an_unknown_record_is_said_to_be_none(auditor: Client, record_id: str) -> None:
    answer = auditor.get(f"{RECORDS}{record_id}/change/")
    assert answer.status_code == 404
    assert "Records are never deleted" in answer.content.decode()


def test_a_search_that_takes_too_long_ends_in_a_page_that_helps(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any) -> None:
        with connections["reader"].cursor() as cursor:
            cursor.execute("SET statement_timeout = 20")
            try:
                cursor.execute("SELECT pg_sleep(5)")
            finally:
                cursor.execute("SET statement_timeout = 5000")

    monkeypatch.setattr("audit.admin.search.record_list.KeysetChangeList.get_results", slow)
    response = auditor.get(RECORDS, {"q": "namespace:prod"})
    page = html.unescape(response.content.decode())
    assert response.status_code == 503
    assert "Narrow it: add a time" in page
    assert f'href="{RECORDS}?q=namespace%3Aprod+after%3A24h"' in page


def test_the_start_page_names_each_part(auditor: Client, record: Record) -> None:
    page = auditor.get("/admin/").content.decode()
    for part in ("Records", "Last record", "PostgreSQL", "Dead letter queue", "Drain watcher", "Redis"):
        assert part in page


def test_a_search_is_counted_so_far_and_then_says_that_there_are_more(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.admin.search.facets.RECORDS", 60)
    actor = f"busy-{secrets.token_hex(4)}"
    store([accept(an_event(actor_id=actor), writer="tests") for _ in range(61)], timeout_s=20)
    assert (
        "60+ records" in auditor.get(reverse("admin:audit_record_changelist"), {"q": f"actor:{actor}"}).content.decode()
    )


def test_a_large_store_is_told_by_what_is_sealed_and_to_a_scope_by_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        stored_record()
    seal.Sealer().once()
    monkeypatch.setattr("audit.search.query.COUNT_CAP", 2)
    assert search_query.about_how_many() == f"{reader.signed_head().size:,}"
    with visibility.viewing(visibility.Viewer(lambda: (visibility.Scope(("nobody-at-all",), ()),))):
        assert search_query.about_how_many() == "0"
