"""What is counted of each writer is what its findings and numbers say, whoever writes them and however it is folded."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections, transaction
from django.db.models import Count, F, Q, Sum

from audit import visibility
from audit.completeness import counts, explain, findings, sequences, summary
from audit.completeness.counts import Figures
from audit.completeness.coverage import hour_of
from audit.models import CompletenessCount, Expectation, Gap, Manifest, Numbering, Unmet
from audit.postgres import sql
from audit.visibility import Scope, Viewer
from tests.audit.completeness.conftest import BEGAN, numbers_of

OPEN, EXPLAINED = Q(closed_at=None, explained_at=None), Q(closed_at=None, explained_at__isnull=False)

THIS_HOUR = hour_of(datetime.now(UTC))


@pytest.fixture
def name() -> str:
    return f"counted-{secrets.token_hex(4)}"


def counted(name: str) -> dict[str, Figures]:
    return {kind: figures for writer, kind, figures in counts.of_writers() if writer == name and any(figures)}


def said(name: str) -> dict[str, Figures]:
    """The same, of the rows themselves."""
    numbers = Numbering.objects.filter(writer=name).aggregate(events=Sum("events"), reused=Sum("reused"))
    of_gaps = Gap.objects.filter(numbering__writer=name)
    gaps = {
        "open": of_gaps.filter(OPEN).count(),
        "explained": of_gaps.filter(EXPLAINED).count(),
        "every": of_gaps.count(),
        "missing": sum(of_gaps.filter(OPEN).values_list("missing", flat=True)),
        "missing_explained": sum(of_gaps.filter(EXPLAINED).values_list("missing", flat=True)),
    }
    stated = Manifest.objects.filter(writer=name)
    figures = {"open": Count("pk", filter=OPEN), "explained": Count("pk", filter=EXPLAINED), "every": Count("pk")}
    known = {
        "numbering": Figures(numbered=numbers["events"] or 0, reused=numbers["reused"] or 0),
        "gap": Figures(**gaps),
        "manifest": Figures(**stated.aggregate(**figures)),
        "unmet": Figures(**Unmet.objects.filter(writer=name).aggregate(**figures)),
    }
    return {kind: figures for kind, figures in known.items() if any(figures)}


def rows_of(name: str) -> int:
    return CompletenessCount.objects.filter(writer=name).count()


def stated(name: str) -> Manifest:
    window = {"since": datetime(2026, 8, 18, tzinfo=UTC), "until": datetime(2026, 8, 19, tzinfo=UTC)}
    return Manifest.objects.create(
        key=secrets.token_hex(32), writer=name, count=3, found_at=datetime.now(UTC), **window
    )


def never() -> bool:
    return False


def acts(name: str) -> Iterator[None]:
    """What can happen to findings and numbers of a writer, step by step."""
    yield sequences.apply([each for epoch in "abc" for each in numbers_of(name, 1, 5, 9, epoch=epoch)])
    gaps = list(Gap.objects.filter(numbering__writer=name).order_by("pk"))
    yield sequences.apply(numbers_of(name, 2, 5, 6, 7, 8, epoch="a"))
    yield explain.explain(gaps[2], "The host burned.", by="ann")
    yield sequences.apply(numbers_of(name, 2, epoch="b"))
    manifests = [stated(name) for _ in range(3)]
    yield explain.explain(manifests[0], "It was never sent.", by="ann")
    Manifest.objects.filter(pk__in=[each.pk for each in manifests[:2]]).update(closed_at=datetime.now(UTC))
    yield
    now = datetime.now(UTC)
    rule = Expectation.objects.create(name=name, kind="has", active=False, why="A test asks.")
    facts = {"writer": name, "since": now, "due_at": now, "wanted": "y", "kind": "has", "found_at": now}
    Unmet.objects.bulk_create(Unmet(expectation=rule, subject=f"{name}-{n}", key="k", **facts) for n in range(3))
    yield
    Unmet.objects.filter(subject=f"{name}-1").update(closed_at=now)
    yield


def test_after_each_act_the_counts_are_what_the_rows_say_folded_or_not(name: str) -> None:
    for place, _ in enumerate(acts(name)):
        assert counted(name) == said(name), place
        if place % 2:
            counts.fold(never)
            assert counted(name) == said(name), place
    assert set(counted(name)) == {"numbering", "gap", "manifest", "unmet"}
    counts.fold(never)
    assert rows_of(name) == 4, "a row of each kind, and of numbers: all were found in this hour"
    [rule] = [each for each in summary.unmet_by_rule() if each.name == name]
    assert (rule.events, rule.subjects, rule.since is not None) == (2, 2, True)


def test_nobody_waits_for_another_who_counts_or_folds(name: str) -> None:
    sequences.apply(numbers_of(name, 1, 5))
    reuse = "UPDATE audit_numbering SET reused = reused + 1 WHERE writer = %s"
    with transaction.atomic("owner"), connections["owner"].cursor() as other, transaction.atomic():
        other.execute("SET LOCAL lock_timeout = '100ms'")
        other.execute(reuse, [name])
        with connections["default"].cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
        counts.fold(never)
        other.execute(reuse, [name])
    assert counted(name) == said(name)
    counts.fold(never)
    assert counted(name) == said(name)


def test_what_was_there_before_an_upgrade_is_counted_once_and_said_not_to_be_until_then(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_is_all_counted", False)  # the upgrade was the end of the process of before
    for _ in acts(name):
        pass
    before = counted(name)
    of_writer = {Gap: "numbering_id IN (SELECT id FROM audit_numbering WHERE writer = %s)"}
    for kind in counts.COUNTED:
        sql.run(f"UPDATE {kind._meta.db_table} SET counted = false WHERE {of_writer.get(kind, 'writer = %s')}", [name])
    assert counted(name) == {}
    assert counts.is_counting()
    result = summary.summarize()
    assert (result.is_counting, result.whole) == (True, False)
    # Of a store in which something was read, whatever other tests did.
    assert result._replace(since=BEGAN, until=BEGAN).sentence.startswith(summary.COUNTING)
    sequences.apply(numbers_of(name, 3, epoch="b"))
    counts.fold(never)
    assert not counts.is_counting()
    assert counted(name) == said(name) != before


def test_when_it_was_found_is_known_by_the_hour_then_by_the_day_then_no_more(name: str) -> None:
    sequences.apply(numbers_of(name, *range(1, 20, 2)))
    now = datetime.now(UTC)
    ages = [timedelta(hours=hours) for hours in (0, 3, 5, 30, 31)]
    ages += [timedelta(days=days) for days in (8, 8, 24, 40)]
    gaps = list(Gap.objects.filter(numbering__writer=name).order_by("pk"))
    assert len(gaps) == len(ages)
    for gap, age in zip(gaps, ages, strict=True):
        Gap.objects.filter(pk=gap.pk).update(found_at=now - age)
    with visibility.viewing(Viewer(lambda: (Scope((name,)),))):
        before = findings.by_span(now)[Gap]
        assert before == [3, 5, 8, 9]
        counts.fold(never)
        assert findings.by_span(now)[Gap] == before
        assert findings.how_many() == 9
    slots = CompletenessCount.objects.filter(writer=name, kind="gap").values_list("hour", flat=True)
    assert len(slots) == len(set(slots)) == 8
    assert [slot for slot in slots if slot is None] == [None]


def test_a_viewer_is_told_of_the_writers_of_their_scopes_alone(name: str) -> None:
    sequences.apply([*numbers_of(name, 1, 5), *numbers_of(f"{name}-2", 1, 9)])
    for scope, sees in ((Scope((name,)), {name}), (Scope((name,), ("tests",)), set())):
        with visibility.viewing(Viewer(lambda scope=scope: (scope,))):
            assert {writer.writer for writer in summary.summarize().writers} == sees


def test_what_adds_up_to_nothing_is_dropped(name: str) -> None:
    sequences.apply(numbers_of(name, 1, 5))
    Gap.objects.filter(numbering__writer=name).update(found_at=F("found_at") - timedelta(days=1))
    counts.fold(never)
    assert rows_of(name) == 2


def put(*names: str, times: int = 1, **figures: int) -> None:
    """What the triggers write: rows of this hour."""
    columns = dict.fromkeys(counts._FIGURES, 0) | figures
    CompletenessCount.objects.bulk_create(
        CompletenessCount(kind="gap", writer=name, hour=THIS_HOUR, **columns) for _ in range(times) for name in names
    )


def test_rows_that_nothing_folds_keep_no_others_from_being_folded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "FOLDED", 7)
    alone = [f"{name}-{n:02}" for n in range(30)]
    put(*alone, open=1, every=1)
    put(f"{name}-00", f"{name}-17", f"{name}-99", times=2, open=1, every=1)
    counts.fold(never)
    assert [rows_of(writer) for writer in (*alone, f"{name}-99")] == [1] * 31
    assert [counted(f"{name}-{n}")["gap"].open for n in ("00", "01", "17", "99")] == [3, 1, 3, 2]


def test_more_rows_of_one_writer_than_are_folded_at_once_become_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "FOLDED", 7)
    put(name, times=40, open=1, every=1)
    counts.fold(never)
    assert (rows_of(name), counted(name)["gap"].open) == (1, 40)


def test_where_no_run_has_time_for_all_each_writer_has_its_turn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "FOLDED", 100)
    writers = [f"{name}-{n:03}" for n in range(200)]
    put(*writers, times=2, open=1, every=1)
    for _ in range(1_000):
        counts.fold(lambda: True)
        if all(rows_of(writer) == 1 for writer in (writers[0], writers[100], writers[-1])):
            break
    assert [rows_of(writer) for writer in (writers[0], writers[100], writers[-1])] == [1, 1, 1]


def test_of_what_is_not_open_no_hour_is_kept(name: str) -> None:
    earlier = datetime.now(UTC) - timedelta(hours=5)
    manifests = [stated(name) for _ in range(4)]
    for number, manifest in enumerate(manifests):
        Manifest.objects.filter(pk=manifest.pk).update(found_at=earlier + timedelta(hours=number))
    Manifest.objects.filter(pk__in=[manifests[0].pk, manifests[1].pk]).update(closed_at=earlier)
    explain.explain(manifests[2], "It was never sent.", by="ann")
    counts.fold(never)
    hours = CompletenessCount.objects.filter(writer=name).values_list("hour", "open")
    assert set(hours) == {(hour_of(earlier + timedelta(hours=3)), 1), (None, 0)}
    assert rows_of(name) == 2
    assert counted(name) == said(name)
    Manifest.objects.filter(pk=manifests[0].pk).update(closed_at=None)
    counts.fold(never)
    with visibility.viewing(Viewer(lambda: (Scope((name,)),))):
        assert findings.by_span(datetime.now(UTC))[Manifest] == [2, 2, 2, 2]
    assert counted(name) == said(name)
