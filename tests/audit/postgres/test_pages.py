"""Pages ask for the months that they need, however many there are: PostgreSQL plans a statement month by month."""

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import visibility
from audit.accounting import balance
from audit.admin.access import access_log
from audit.completeness import reconcile
from audit.formats import event
from audit.ingest import trail
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import ACCESS, OWN_WRITER, Record, Rhythm
from audit.postgres import sql
from audit.search import query
from tests.admin.conftest import logged_in, person, stored_record
from tests.attacks.scene import Scene

MONTHS = 120
# Those to come, the default one, this month and the one before, in which a week or a day may begin.
FEW = settings.PARTITIONS_AHEAD + 3


def planned(statement: str) -> int:
    """How many partitions of records a statement is planned for."""

    def names(node: dict[str, Any]) -> set[str]:
        inner = [names(part) for part in node.get("Plans", ())]
        return set().union(*inner, {node["Relation Name"]} if "Relation Name" in node else set())

    with connections["owner"].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT json) {statement}")
        (explained,) = cursor.fetchone()
    plan = explained if isinstance(explained, list) else json.loads(explained)
    return sum(name.startswith("audit_record_") for name in names(plan[0]["Plan"]))


def asked_of_records(act: Callable[[], Any]) -> tuple[list[str], Any]:
    """What an act asks of the records, in the SQL that PostgreSQL was given; and what it returned."""
    with ExitStack() as stack:
        asked = [stack.enter_context(CaptureQueriesContext(connections[name])) for name in ("default", "reader")]
        returned = act()
        texts = [captured["sql"] for each in asked for captured in each.captured_queries]
    of_records = re.compile(r'\s*(SELECT|WITH).*(FROM|JOIN|\() *"?audit_record\b', re.DOTALL)
    return [text for text in texts if of_records.match(text)], returned


def statements(client: Client, address: str) -> list[str]:
    """What a page asks of the records."""
    asked, answer = asked_of_records(lambda: client.get(address))
    assert answer.status_code == 200
    return asked


@pytest.fixture
def correlated(elsewhere: Scene, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Three records of one correlation, in a store of 120 months; one more waits to be reconciled."""
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        sql.rows("SELECT audit_make_partition(%s)", [first])
    monkeypatch.setattr(query, "COUNT_CAP", 100)  # the log says how many there are, as it does of a large store
    now = datetime.now(UTC)
    times = [(now - timedelta(seconds=seconds)).isoformat() for seconds in (3, 2, 1)]
    records = [stored_record(correlation_id="rr-months", event_timestamp=at) for at in times]
    seal.Sealer().once(from_start=True)
    reconcile.reconcile(seconds=20)
    stored_record()
    return records


def some_looks(count: int) -> None:
    """The store's own records of who viewed records, as many as fill a page."""
    where = trail.Where("user", ACCESS, ("page", "p"))
    facts = {"actor": "ann", "outcome": "success", "correlation": "session-1"}
    looks = [trail.document("audit.records.searched", where, **facts) for _ in range(count)]
    store([event.accept(document, writer=OWN_WRITER) for document in looks], timeout_s=20)


@pytest.mark.slow
def test_a_page_is_planned_for_a_few_months_of_120(correlated: list[Record]) -> None:
    client = logged_in(person(None, is_superuser=True))
    some_looks(access_log.PAGE + 1)
    records = "/admin/audit/record/"
    for address, for_all in (
        ("/admin/", 0),
        ("/admin/audit/account/", 0),
        ("/admin/audit/access/", 0),
        (f"/admin/audit/access/?since={datetime.now(UTC):%Y-%m-%d}", 0),
        (records, 0),
        (f"{records}{correlated[1].pk}/change/", 0),
        # A correlation may be of any months: they are planned once, and what is counted of it goes by its ids.
        (f"{records}?q=correlation:rr-months", 1),
        (f"{records}timeline/?correlation=rr-months", 1),
    ):
        client.get(address)
        asked = {text: planned(text) for text in statements(client, address)}
        assert len(asked) >= 1, address
        assert sum(months > FEW for months in asked.values()) == for_all, (address, asked)


@pytest.mark.slow
def test_how_many_a_scope_sees_is_not_counted_in_the_months(
    correlated: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = correlated[0].writer
    Rhythm.objects.filter(writer=writer).update(events=5_000)
    with visibility.viewing(visibility.Viewer(lambda: (visibility.Scope((writer,)),))):
        asked, said = asked_of_records(query.about_how_many)
        assert (list(asked), said) == ([], "5,000")
    with visibility.viewing(visibility.Viewer(lambda: (visibility.Scope((writer,), ("tests",)),))):
        asked, said = asked_of_records(query.about_how_many)
        assert len(list(asked)) == 2, "a scope of categories is counted in the store, the newest months first"
        assert planned(next(iter(asked))) <= FEW
    monkeypatch.setattr(query, "COUNT_CAP", 2)
    with visibility.viewing(visibility.Viewer(lambda: (visibility.Scope((), (correlated[0].event_category,)),))):
        asked, said = asked_of_records(query.about_how_many)
        assert (len(list(asked)), said) == (1, "2+"), "the newest months have as many as are counted"


@pytest.mark.slow
def test_what_is_unread_is_counted_in_portions_of_ids(
    correlated: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = balance._unread(0)
    assert sum(whole.values()) >= len(correlated)  # other tests of this process leave leaves, too
    monkeypatch.setattr(balance, "IDS_AT_ONCE", 100)
    assert balance._unread(0) == whole


def test_the_newest_is_found_where_nothing_happened_lately() -> None:
    old = [stored_record(correlation_id="rr-old", event_timestamp=f"2026-0{month}-01T00:00:00Z") for month in (2, 3)]
    records = Record.objects.filter(correlation_id="rr-old")
    assert query.newest(records, datetime.now(UTC)) == old[1]
    assert query.newest(records, old[1].event_timestamp) == old[1]
    assert query.newest(records.none(), datetime.now(UTC)) is None
