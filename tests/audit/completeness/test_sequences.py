"""Numbers of writers: what never came is known, with the times between which it was made."""

import random
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext

from audit.completeness import heartbeats, sequences
from audit.models import Gap, Heartbeat, Hole, Numbering
from tests.audit.completeness.conftest import at, numbers_of, waits


@pytest.fixture
def writer() -> str:
    return f"writer-{secrets.token_hex(4)}"


def missing(writer: str) -> set[int]:
    holes = Hole.objects.filter(numbering__writer=writer)
    return {seq for hole in holes for seq in range(hole.first, hole.last + 1)}


def test_heartbeats_are_judged_in_portions_of_one_transaction_each(
    writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "BEATS", 2)
    for epoch in ("a", "b", "c"):
        Heartbeat.objects.create(writer=writer, epoch=epoch, **waits(1, at(0)))
    portions = 1
    while sequences.apply_heartbeats(made_before=at(1)):
        portions += 1
    assert portions >= 2
    assert Gap.objects.filter(numbering__writer=writer, tail=True).count() == 3


@pytest.mark.parametrize("first", [1, 2, 3], ids=["follows", "gap", "late"])
def test_a_writer_with_an_epoch_an_event_costs_as_many_statements_as_one_with_one(writer: str, first: int) -> None:
    """An honest client takes its pod's name as the epoch; a hostile one keeps everybody's numbers waiting."""

    def statements(epochs: int) -> int:
        names = [f"{epochs}-{number}" for number in range(epochs)]
        if first == 3:
            sequences.apply([event for epoch in names for event in numbers_of(writer, 5, epoch=epoch)])
        with CaptureQueriesContext(connection) as queries:
            sequences.apply([event for epoch in names for event in numbers_of(writer, first, epoch=epoch)])
        assert Numbering.objects.filter(writer=writer, epoch__in=names).count() == epochs
        return len(queries)

    assert statements(300) == statements(1)


def test_many_heartbeats_cost_as_many_statements_as_one(writer: str) -> None:
    def statements(epochs: int) -> int:
        Heartbeat.objects.bulk_create(
            [Heartbeat(writer=writer, epoch=f"{epochs}-{number}", **waits(1, at(0))) for number in range(epochs)]
        )
        with CaptureQueriesContext(connection) as queries:
            assert not sequences.apply_heartbeats(made_before=at(1))
        return len(queries)

    assert statements(300) == statements(1)


def test_numbers_that_follow_each_other_leave_no_gap(writer: str) -> None:
    sequences.apply(numbers_of(writer, 1, 2, 3))
    sequences.apply(numbers_of(writer, 4, 5))
    found = Numbering.objects.get(writer=writer)
    assert (found.highest, found.events, found.reused) == (5, 5, 0)
    assert not found.gaps.exists()


def test_a_number_that_is_left_out_is_a_gap_between_the_times_of_its_neighbours(writer: str) -> None:
    sequences.apply(numbers_of(writer, 1, 2, 6))
    (gap,) = Gap.objects.filter(numbering__writer=writer)
    assert (gap.first, gap.last, gap.missing, gap.state) == (3, 5, 3, "open")
    assert (gap.after_at, gap.before_at) == (at(2), at(6))


def test_an_epoch_begins_at_one(writer: str) -> None:
    sequences.apply(numbers_of(writer, 3))
    (gap,) = Gap.objects.filter(numbering__writer=writer)
    assert (gap.first, gap.last, gap.after_at) == (1, 2, None)


def test_epochs_and_writers_are_numbered_apart(writer: str) -> None:
    sequences.apply([*numbers_of(writer, 1, 2), *numbers_of(writer, 1, 2, epoch="b"), *numbers_of(f"{writer}-2", 1, 3)])
    assert missing(writer) == set()
    assert missing(f"{writer}-2") == {2}


def test_the_late_one_closes_the_gap_which_stays_as_history(writer: str) -> None:
    sequences.apply(numbers_of(writer, 1, 3))
    sequences.apply(numbers_of(writer, 2))
    (gap,) = Gap.objects.filter(numbering__writer=writer)
    assert (gap.first, gap.last, gap.missing, gap.state) == (2, 2, 0, "closed")
    assert gap.last_late_at is not None
    assert not gap.holes.exists()


def test_a_late_one_in_the_middle_leaves_two_holes_with_tighter_times(writer: str) -> None:
    sequences.apply(numbers_of(writer, 1, 10))
    sequences.apply(numbers_of(writer, 5, 6))
    holes = list(Hole.objects.filter(numbering__writer=writer))
    assert [(hole.first, hole.last) for hole in holes] == [(2, 4), (7, 9)]
    assert [(hole.after_at, hole.before_at) for hole in holes] == [(at(1), at(5)), (at(6), at(10))]
    (gap,) = Gap.objects.filter(numbering__writer=writer)
    assert (gap.missing, gap.state) == (6, "open")


@pytest.mark.parametrize("again", [[2], [3], [5], [5, 5]])
def test_a_number_that_comes_again_with_another_event_is_counted_and_named(writer: str, again: list[int]) -> None:
    sequences.apply(numbers_of(writer, 1, 2, 3, 5))
    repeated = numbers_of(writer, *again)
    sequences.apply(repeated)
    found = Numbering.objects.get(writer=writer)
    assert found.reused == len(again)
    assert found.reused_first == [[one.seq, str(one.id)] for one in repeated]
    assert missing(writer) == {4}


def test_the_same_late_number_twice_in_one_batch_fills_once(writer: str) -> None:
    sequences.apply(numbers_of(writer, 1, 4))
    sequences.apply(numbers_of(writer, 2, 2))
    assert missing(writer) == {3}
    assert Numbering.objects.get(writer=writer).reused == 1


def test_late_numbers_far_apart_read_the_holes_that_they_fill_and_no_others(writer: str) -> None:
    sequences.apply(numbers_of(writer, *range(2, 2_002, 2)))
    read: list[Hole] = []

    def note(instance: Hole, **said: object) -> None:
        read.append(instance)

    post_init.connect(note, sender=Hole)
    try:
        sequences.apply(numbers_of(writer, 1, 1_999))
    finally:
        post_init.disconnect(note, sender=Hole)
    assert len(read) <= 2
    assert missing(writer) == set(range(3, 1_999, 2))


def test_a_heartbeat_shows_the_end_that_never_came(writer: str) -> None:
    sequences.apply(numbers_of(writer, 1, 2))
    Heartbeat.objects.create(writer=writer, **waits(4, at(10)))
    sequences.apply_heartbeats(made_before=at(10))
    assert missing(writer) == set()  # too young: its events may be on their way
    sequences.apply_heartbeats(made_before=at(11))
    sequences.apply_heartbeats(made_before=at(11))
    (gap,) = Gap.objects.filter(numbering__writer=writer)
    assert (gap.first, gap.last, gap.tail, gap.after_at, gap.before_at) == (3, 4, True, at(2), at(10))
    sequences.apply(numbers_of(writer, 3, 4, 5))
    assert missing(writer) == set()


def test_a_heartbeat_of_a_writer_whose_events_all_vanished_is_a_gap_from_one(writer: str) -> None:
    Heartbeat.objects.create(writer=writer, epoch="e", **waits(3, at(1)))
    sequences.apply_heartbeats(made_before=at(2))
    assert missing(writer) == {1, 2, 3}


def test_a_writer_that_beats_more_often_than_the_grace_is_judged_all_the_same(writer: str) -> None:
    # A beat every ten seconds, each with five numbers more, and none of the events ever comes.
    for second in range(0, 100, 10):
        heartbeats.beat({"source_seq": 5 + second // 2}, writer=writer)
        rows = Heartbeat.objects.filter(writer=writer)
        rows.update(at=at(second))
        rows.filter(waiting_at__gt=at(1_000)).update(waiting_at=at(second))
        sequences.apply_heartbeats(made_before=at(second - 60))
    assert {1, 2, 3, 4, 5} <= missing(writer) <= set(range(1, 30))


def test_a_beat_that_comes_late_or_without_a_number_takes_nothing_back(writer: str) -> None:
    for said in ({"source_seq": 9}, {"source_seq": 7}, {}):
        heartbeats.beat(said, writer=writer)
    sequences.apply_heartbeats(made_before=datetime.now(UTC) + timedelta(minutes=1))
    assert missing(writer) == set(range(1, 10))
    assert Heartbeat.objects.get(writer=writer).seq == 9


def test_a_beat_at_the_end_of_all_numbers_is_one_span(writer: str) -> None:
    heartbeats.beat({"source_seq": 2**53 - 1}, writer=writer)
    sequences.apply_heartbeats(made_before=datetime.now(UTC) + timedelta(minutes=1))
    sequences.apply(numbers_of(writer, 7))
    (gap,) = Gap.objects.filter(numbering__writer=writer)
    assert gap.missing == 2**53 - 2
    assert [(one.first, one.last) for one in gap.holes.all()] == [(1, 6), (8, 2**53 - 1)]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_order_exactly_what_was_dropped_is_missing(writer: str, seed: int) -> None:
    rng = random.Random(seed)
    size = 400
    dropped = set(rng.sample(range(1, size), rng.randrange(40)))
    sent = [seq for seq in range(1, size + 1) if seq not in dropped]
    sent.sort(key=lambda seq: seq + rng.choice((0, 0, 0, 5, 120)) * rng.random())
    while sent:
        cut = rng.randrange(1, 60)
        sequences.apply(numbers_of(writer, *sent[:cut]))
        del sent[:cut]
    assert missing(writer) == dropped
    gaps = Gap.objects.filter(numbering__writer=writer)
    assert sum(gap.missing for gap in gaps) == len(dropped)
    assert all((gap.missing == 0) == (gap.state == "closed") for gap in gaps)
    assert all(gap.missing == sum(hole.last - hole.first + 1 for hole in gap.holes.all()) for gap in gaps)
    for hole in Hole.objects.filter(numbering__writer=writer):
        assert hole.after_at is None or hole.after_at >= at(hole.first - 1)
        assert hole.before_at <= at(hole.last + 1)
