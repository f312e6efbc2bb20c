"""A search by time looks into the months of that time alone, and misses nothing."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.transaction import atomic

from audit.ledger import seal
from audit.models import Followed
from audit.operations import RunSqlFile
from audit.postgres import sql
from audit.search import months, query
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender, an_event

MONTHS = 120


class Undone(Exception):
    """Ends a transaction of which nothing stays."""


def found(text: str) -> list[str]:
    return [str(record.id) for record in query.page(query.parse({"q": text}))[0]]


def plan(text: str) -> tuple[int, int]:
    """How many nodes the plan of the first page has, and how many blocks it reads."""
    explained = query.matching(query.parse({"q": text}))[:51].explain(format="json", analyze=True, buffers=True)
    top = json.loads(explained)[0]["Plan"]

    def nodes(node: dict[str, Any]) -> int:
        return 1 + sum(map(nodes, node.get("Plans", ())))

    return nodes(top), top["Shared Hit Blocks"] + top["Shared Read Blocks"]


def test_a_record_whose_id_is_older_than_its_time_is_found_by_its_time(service: Sender) -> None:
    correlation, old_id = f"stray-{uuid4()}", f"0190{uuid4().hex[:4]}-0000-7000-8000-{uuid4().hex[:12]}"
    now = datetime.now(UTC).isoformat()
    for changes in ({"event_id": old_id}, {}):
        event = an_event(correlation_id=correlation, event_timestamp=now, **changes)
        assert service.post(event).status_code == 201
    stored = found(f"correlation:{correlation}")
    assert old_id in stored and len(stored) == 2
    assert sql.rows("SELECT count(*) FROM audit_stray WHERE id = ANY(%s::uuid[])", [stored]) == [(1,)]
    day = datetime.now(UTC) - timedelta(days=1)
    assert sorted(found(f"correlation:{correlation} after:{day:%Y-%m-%d}")) == sorted(stored)
    assert found(f"correlation:{correlation} after:0001-01-01") == stored


@pytest.mark.slow
def test_the_first_page_costs_with_120_months_what_it_costs_with_this_one(elsewhere: Scene) -> None:
    searches = ["after:7d", "after:7d outcome:success", "after:30d type:gateway.*"]
    before = [plan(text) for text in searches]
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        sql.rows("SELECT audit_make_partition(%s)", [first])
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_record'::regclass"
    assert sql.rows(partitions)[0][0] > MONTHS
    for text, (nodes, blocks) in zip(searches, before, strict=True):
        nodes_now, blocks_now = plan(text)
        # A week may begin in the month before: it is opened as well, and is empty.
        assert (nodes_now <= nodes + 2, blocks_now <= blocks + 8) == (True, True), text
    assert plan("outcome:success")[0] > MONTHS  # as it was for all


@pytest.mark.slow
def test_records_of_before_are_looked_through_until_all_are_noted(
    elsewhere: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Sender("write")
    old = {"event_id": f"0190{uuid4().hex[:4]}-0000-7000-8000-{uuid4().hex[:12]}"}
    assert writer.post(an_event(**old)).status_code == 201
    seal.Sealer().once(from_start=True)
    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_stray")
        cursor.execute("UPDATE audit_followed SET position = 0, followed_at = now() WHERE name = 'strays'")
    monkeypatch.setattr(months, "_is_done", False)
    monkeypatch.setattr(months, "PORTION", 100)
    now = datetime.now(UTC)
    assert not months.of(query.parse({"q": "after:1d"}).query, now)  # not all are noted yet
    assert months.follow(seconds=0) == 0
    assert months.follow(seconds=60) >= 601
    assert Followed.objects.get(name="strays").position == months.DONE
    assert sql.rows("SELECT count(*) FROM audit_stray WHERE id = %s::uuid", [old["event_id"]]) == [(1,)]
    assert months.of(query.parse({"q": "after:1d"}).query, now)
    assert months.follow(seconds=60) == 0


def test_what_was_stored_while_the_migration_waited_for_its_locks_is_looked_at_too() -> None:
    operation = RunSqlFile("0046_stray.sql")
    with pytest.raises(Undone), atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute(str(operation.reverse_sql))
        cursor.execute(str(operation.sql))
        cursor.execute("SELECT followed_at > now() FROM audit_followed WHERE name = 'strays'")
        assert cursor.fetchone() == (True,), "noted is since the beginning of the transaction, before it had the locks"
        raise Undone
