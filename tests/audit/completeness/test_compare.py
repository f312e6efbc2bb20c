"""Manifests that stay open are compared many at once, and none of them is judged by what another's events were."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.completeness import compare, reconcile
from audit.formats import event
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Manifest
from tests.audit.completeness.conftest import follow, ids_digest, numbered
from tests.audit.conftest import an_event

BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)
NEVER = timedelta(days=400)


@pytest.fixture
def name() -> str:
    return f"states-{secrets.token_hex(4)}"


def stated(name: str, **facts: Any) -> Manifest:
    """A manifest that was not compared yet, of the hour in which the events of tests are."""
    usual = {"since": BEGAN, "until": BEGAN + timedelta(hours=1), "count": 3, "found_at": datetime.now(UTC)}
    return Manifest.objects.create(key=secrets.token_hex(32), writer=name, **usual | facts)


def keep(name: str, documents: list[dict[str, Any]]) -> None:
    store([event.accept(document, writer=name) for document in documents], timeout_s=20)


def asked(act: Callable[[], object]) -> list[str]:
    """The statements of an act."""
    with CaptureQueriesContext(connections["default"]) as wrote, CaptureQueriesContext(connections["reader"]) as read:
        act()
    return [query["sql"] for query in (*wrote, *read)]


def test_each_way_to_name_events_is_compared_beside_the_others(name: str) -> None:
    plain, other = numbered(1, 2, 3), numbered(1, 2, source_epoch="b")
    named = [str(document["event_id"]) for document in plain]
    keep(name, [*plain, *other])
    keep(f"{name}-2", numbered(3, source_epoch="b"))
    numbers = {"first_seq": 1, "last_seq": 3}
    expected = {
        stated(name, **numbers): (3, 0, True),
        stated(name, **numbers, epoch="b"): (2, 0, False),
        stated(name, **numbers, epoch="c"): (0, 0, False),
        stated(name, event_ids=named): (3, 0, True),
        stated(name, event_ids=named, ids_digest="0" * 64): (3, 0, False),
        stated(name, event_ids=[*named[:1], *(secrets.token_hex(16) for _ in range(2))]): (1, 0, False),
        stated(name, event_ids=[secrets.token_hex(16)], count=1): (0, 0, False),
        stated(name): (5, 2, False),
        stated(name, ids_digest=ids_digest([*plain, *other]), count=5): (5, 0, True),
        stated(name, ids_digest="0" * 64, count=5): (5, 0, False),
        stated(name, **numbers, ids_digest=ids_digest(plain)): (3, 0, True),
        stated(name, **numbers, contents_digest="0" * 64): (3, 0, False),
        stated(name, since=BEGAN - NEVER, until=BEGAN - NEVER / 2, count=0): (0, 0, True),
        stated(f"{name}-2", **numbers, epoch="b"): (1, 0, False),
    }
    rows = Manifest.objects.filter(pk__in=[manifest.pk for manifest in expected])
    assert compare.compare_all(rows.order_by("pk"), lambda: False) == len(expected)
    found = {row: (row.came, row.surplus, row.agrees) for row in rows}
    assert found == expected
    assert {row.state for row in rows if row.agrees} == {"closed"}
    assert {row.state for row in rows if not row.agrees} == {"open"}


def test_hundreds_of_open_manifests_are_compared_by_a_few_statements(name: str) -> None:
    for number in range(400):
        stated(name, **({"first_seq": number + 1, "last_seq": number + 3} if number % 2 else {}))
    manifests = Manifest.objects.filter(writer=name)
    statements = asked(lambda: compare.compare_all(manifests.order_by("pk"), lambda: False))
    assert manifests.filter(looked_at=None).count() == 0
    assert len(statements) <= 15, statements


def test_what_states_no_digest_is_counted_by_the_index_alone(name: str) -> None:
    stated(name)
    stated(name, first_seq=1, last_seq=3)
    stated(name, first_seq=1, last_seq=3, epoch="b")
    statements = asked(lambda: compare.compare_all(Manifest.objects.filter(writer=name).order_by("pk"), lambda: False))
    looks = [text for text in statements if "FROM audit_record" in text]
    assert len(looks) == 3
    assert [text for text in looks if "digest" in text or "sha256" in text] == []


def test_a_statement_takes_no_more_events_than_are_known_of_and_few_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "EVENTS_AT_ONCE", 10)
    for came in (4, 4, 4, 30, 1):
        stated(name, came=came)
    for ids in (3, 8):
        stated(name, event_ids=[secrets.token_hex(16) for _ in range(ids)], count=ids)
    portions: list[int] = []
    monkeypatch.setattr(compare, "_compare_portion", lambda portion, *_: portions.append(len(portion)) or len(portion))
    compare.compare_all(Manifest.objects.filter(writer=name).order_by("pk"), lambda: False)
    assert portions == [2, 1, 1, 2, 1]  # 4 + 4, 4, 30 alone, 1 + 3 ids, 8 ids


def test_what_came_beyond_what_was_known_is_looked_at_alone_and_counted_whole(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MORE_OF_EACH", 2)
    monkeypatch.setattr(compare, "MOST", 2 * compare.LARGE_AT_ONCE)  # two of each, where many are compared at once
    keep(name, numbered(1, 2, 3))
    large, small = stated(name, first_seq=1, last_seq=3), stated(name, first_seq=1, last_seq=1, count=1)
    alone: list[Manifest] = []
    compares = compare._compare_alone
    monkeypatch.setattr(
        compare, "_compare_alone", lambda manifest, spent: alone.append(manifest) or compares(manifest, spent)
    )
    compare.compare_all(Manifest.objects.filter(writer=name).order_by("pk"), lambda: False)
    assert alone == [large]
    assert {row.pk: (row.came, row.agrees) for row in Manifest.objects.filter(writer=name)} == {
        large.pk: (3, True),
        small.pk: (1, True),
    }


def test_what_came_beyond_what_was_known_of_many_is_compared_by_few_statements(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MORE_OF_EACH", 2)
    keep(name, numbered(1, 2, 3))
    count = 2 * compare.LARGE_AT_ONCE
    manifests = Manifest.objects.filter(pk__in=[stated(name).pk for _ in range(count)]).order_by("pk")
    statements = asked(lambda: compare.compare_all(manifests, lambda: False))
    assert len([text for text in statements if "FROM audit_record" in text]) == 3, "all; then twenty, and twenty"
    assert [row.came for row in manifests] == [3] * count


def test_what_manifests_of_one_writer_read_has_an_end_in_a_run_and_later_runs_go_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MORE_OF_EACH", 1)
    monkeypatch.setattr(compare, "EVENTS_AT_ONCE", 4)
    monkeypatch.setattr(compare, "LARGE_AT_ONCE", 1)
    monkeypatch.setattr(compare, "MOST_OF_A_WRITER", 10)
    for writer in (name, f"{name}-2"):
        keep(writer, [an_event() for _ in range(4)])
    many, other = [stated(name) for _ in range(5)], stated(f"{name}-2")
    compared = []
    for _ in range(4):
        before = datetime.now(UTC)
        compare.compare_open([name, other.writer], lambda: False)
        looked = Manifest.objects.filter(looked_at__gt=before)
        compared.append(set(looked.filter(writer=name).values_list("pk", flat=True)))
        assert looked.filter(pk=other.pk).count() == 1, "it waits for what another's manifests read"
    assert [len(each) for each in compared[:2]] == [2, 2], "five looks at an event each, then four events of each"
    assert set().union(*compared) == {manifest.pk for manifest in many}
    assert set(Manifest.objects.filter(writer=name).values_list("came", flat=True)) == {4}


def test_what_there_is_no_time_for_is_left_and_comes_first_the_next_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "AT_ONCE", 2)
    pks = [stated(name).pk for _ in range(5)]
    looks = iter([False, False, True])
    assert compare.compare_open([name], lambda: next(looks)) >= 1
    first = Manifest.objects.filter(writer=name).exclude(looked_at=None)
    assert sorted(first.values_list("pk", flat=True)) == pks[:4]
    newest = max(row.looked_at for row in first if row.looked_at)
    looks = iter([False, True])
    compare.compare_open([name], lambda: next(looks))
    again = Manifest.objects.filter(writer=name, looked_at__gt=newest)
    assert sorted(again.values_list("pk", flat=True)) == [pks[0], pks[4]]


def test_a_run_says_how_many_manifests_are_left(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "MAX_COMPARED", 3)
    for _ in range(5):
        stated(name)
    keep(name, [an_event()])
    while seal.Sealer().once(from_start=True).more:
        pass
    shown: list[tuple[str, int, int]] = []
    done = reconcile.reconcile(progress=lambda *counts: shown.append(counts))
    (left,) = done.left
    assert left.endswith(" manifests to compare")
    assert int(left.split()[0].replace(",", "")) >= 2
    assert ("manifests", 3, 3) in shown


@pytest.mark.usefixtures("told", "empty_queue")
def test_what_was_compared_since_its_writer_was_read_is_told_without_being_compared_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "compare_open", lambda *arguments: 0)
    keep(name, numbered(1))
    follow()
    fresh, old = (stated(name, first_seq=1, last_seq=2, count=2) for _ in range(2))
    never = stated(f"{name}-2")
    compare.compare(fresh)
    Manifest.objects.filter(pk=old.pk).update(looked_at=BEGAN)
    compared: list[int] = []
    portion = compare._compare_portion
    monkeypatch.setattr(
        compare, "_compare_portion", lambda rows, *args: compared.extend(row.pk for row in rows) or portion(rows, *args)
    )
    reconcile.reconcile()
    assert set(compared) == {old.pk, never.pk}
    assert Manifest.objects.filter(writer__startswith=name, told_at=None).count() == 0
    keep(name, numbered(5))
    compared.clear()
    Manifest.objects.filter(writer=name).update(told_at=None)
    follow()
    assert set(compared) == {fresh.pk, old.pk}, "its writer was read since"
