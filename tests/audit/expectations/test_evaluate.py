"""Following the log with rules: what did not come is found, and closes when it comes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import uuid_utils.compat
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import dlq.stream
from audit.completeness import reconcile
from audit.expectations import daily_counts, evaluate, rules
from audit.formats import expectation
from audit.ledger import seal
from audit.models import Awaited, Expectation, Record, Tally, Unmet
from dlq.message import Document, digest_of
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.expectations.conftest import BEGAN, MakeRule, an, correlation, follow, found


def test_what_does_not_follow_is_found_with_what_was_expected(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    began = an(ends, "x", of=of)
    sender.post(began)
    follow()
    (unmet,) = found(ends)
    assert (unmet.subject, unmet.state, str(unmet.began_by), unmet.writer) == (
        of,
        "open",
        began["event_id"],
        sender.name,
    )
    assert unmet.due_at - unmet.since == timedelta(minutes=1)
    assert unmet.wanted == ends.words
    assert not Awaited.objects.filter(expectation=ends).exists()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_what_follows_in_time_is_met_in_any_order(
    sender: Sender, rule: MakeRule, order: tuple[int, int], together: bool
) -> None:
    ends, of, now = rule(within_s=3_600), correlation(), (datetime.now(UTC) - BEGAN).total_seconds()
    events = [an(ends, "x", now - 60, of=of), an(ends, "y", now - 30, of=of)]
    for place in order:
        sender.post(events[place])
        if not together:
            follow()
    follow()
    Awaited.objects.filter(expectation=ends).update(ripe_at=BEGAN)
    follow()
    assert found(ends) == []
    ends.refresh_from_db()
    assert ends.met == 1


def test_what_came_before_and_what_is_of_another_correlation_is_no_answer(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    sender.post([an(ends, "y", -1, of=of), an(ends, "x", of=of), an(ends, "y", 1, of=correlation())], BATCH)
    follow()
    assert [one.state for one in found(ends)] == ["open"]


def test_what_comes_after_it_was_found_closes_it_and_says_how(sender: Sender, rule: MakeRule) -> None:
    ends, in_time, late = rule(), correlation(), correlation()
    sender.post([an(ends, "x", of=in_time), an(ends, "x", 1, of=late)], BATCH)
    follow()
    answer = an(ends, "y", 30, of=in_time)
    sender.post([answer, an(ends, "y", 121, of=late)], BATCH)
    follow()
    one, other = found(ends)
    assert (one.state, one.late, str(one.met_by)) == ("closed", False, answer["event_id"])
    assert "in time, but it arrived late" in one.closed_how
    assert (other.state, other.late) == ("closed", True)
    assert other.closed_how.endswith("late by 1 min")


def test_the_same_event_sent_again_changes_nothing(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    began, ended = an(ends, "x", of=of), an(ends, "y", 5, of=of)
    for one in (began, ended, began, ended):
        assert sender.post(one).status_code in (200, 201)
        follow()
    ends.refresh_from_db()
    assert ends.met == 0
    assert [one.state for one in found(ends)] == ["closed"]


def test_it_is_not_judged_before_it_is_due_and_grace_is_over(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(within_s=3_600), correlation()
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    sender.post(an(ends, "x", now, of=of))
    follow()
    assert (found(ends), Awaited.objects.filter(expectation=ends).count()) == ([], 1)
    sender.post(an(ends, "x", of=correlation()))
    with override_settings(GAP_GRACE_S=600):
        follow()
    assert found(ends) == []


def test_what_is_stored_and_not_sealed_yet_keeps_from_judging_what_came_later(sender: Sender) -> None:
    before = datetime.now(UTC)
    sender.post(an_event())
    stored = datetime.now(UTC)
    assert reconcile._read_until(stored + timedelta(days=1)) < stored
    follow()
    assert reconcile._read_until(stored) >= before


def test_what_may_still_be_in_the_queue_keeps_from_judging(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, body, ends = dlq.stream.for_drain(), b"{}", rule()
    waits = Document(str(uuid_utils.compat.uuid7()), digest_of(body), body, sender.name, "x", datetime.now(UTC))
    queue.park([waits], reason="database-down")
    parked = queue.pages.find(waits.key)
    assert parked is not None
    try:
        sender.post(an(ends, "x", of=correlation()))
        with monkeypatch.context() as patched:
            patched.setattr(reconcile, "LONGEST_WAIT", timedelta(hours=1))
            follow()
        assert found(ends) == []
        follow()
        assert len(found(ends)) == 1
    finally:
        queue.acknowledge([parked], "drained")


def test_each_correlation_has_it_whenever_it_was_made(sender: Sender, rule: MakeRule) -> None:
    cause = rule("has")
    first, before, after, never = (correlation() for _ in range(4))
    sender.post([an(cause, "y", -99, of=before), an(cause, "x", of=never), an(cause, "x", of=never)], BATCH)
    sender.post([an(cause, "x", of=first), an(cause, "y", of=first)], BATCH)
    follow()
    sender.post([an(cause, "x", of=before), an(cause, "x", of=after), an(cause, "x", 9, of=never)], BATCH)
    follow()
    assert {(one.subject, one.state) for one in found(cause)} == {(never, "open"), (after, "open")}
    sender.post(an(cause, "y", 999, of=after))
    follow()
    assert {(one.subject, one.state) for one in found(cause)} == {(never, "open"), (after, "closed")}


def test_a_writer_that_sent_too_few_on_a_day_or_nothing_at_all_is_found(sender: Sender, rule: MakeRule) -> None:
    enough = rule("rate", writer=sender.name)
    assert enough.next_day == expectation.first_whole_day(datetime.now(UTC))
    Expectation.objects.filter(pk=enough.pk).update(next_day=date(2026, 8, 17))
    sender.post([an(enough, "y", second, of=correlation()) for second in (0, 1, 86_400)], BATCH)
    follow()
    days = {one.key: (one.came, one.state) for one in found(enough) if one.key < "2026-08-21"}
    assert days == {"2026-08-17": (0, "open"), "2026-08-19": (1, "open"), "2026-08-20": (0, "open")}
    sender.post(an(enough, "y", 86_401, of=correlation()))
    follow()
    (closed,) = Unmet.objects.filter(expectation=enough, key="2026-08-19")
    assert (closed.came, closed.state, closed.closed_how) == (2, "closed", "2 came after all")
    enough.refresh_from_db()
    assert enough.next_day == datetime.now(UTC).date()
    assert enough.met == 1


def test_however_many_days_a_writer_names_they_are_counted_by_one_statement(sender: Sender, rule: MakeRule) -> None:
    ends = rule("rate", writer=sender.name)
    day = date(1, 6, 1)
    times = [f"{day + timedelta(days=400 * n)}T10:00:00Z" for n in range(100)]
    sender.post([an(ends, "y", of=correlation()) | {"event_timestamp": at} for at in [*times, times[0]]], BATCH)
    with CaptureQueriesContext(connections["default"]) as queries:
        follow()
    counts = Tally.objects.filter(expectation=ends).order_by("day").values_list("came", flat=True)
    assert list(counts) == [2, *[1] * 99]
    assert len([query for query in queries if "audit_tally" in query["sql"]]) == 1


def test_a_run_that_fails_half_way_counts_nothing_twice(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow()
    ends, enough, of = rule(), rule("rate", writer=sender.name), correlation()
    sender.post([an(ends, "x", of=of), an(ends, "y", 5, of=of), an(enough, "y", of=of)], BATCH)
    real = daily_counts.apply

    def broken(*args: Any) -> None:
        real(*args)
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(daily_counts, "apply", broken)
        with pytest.raises(ZeroDivisionError):
            follow()
    follow()
    ends.refresh_from_db()
    assert ends.met == 1
    assert Tally.objects.get(expectation=enough).came == 1


def test_a_judgement_that_fails_half_way_finds_nothing_twice(
    sender: Sender, rule: MakeRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = rule()
    sender.post(an(ends, "x", of=correlation()))
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "_count_met", lambda met: 1 / 0 if any(pk == ends.pk for pk in met) else None)
        with pytest.raises(ZeroDivisionError):
            follow()
    assert found(ends) == []
    follow()
    assert len(found(ends)) == 1


def test_only_what_is_sealed_after_a_rule_was_made_or_changed_counts(sender: Sender, rule: MakeRule) -> None:
    ends = rule()
    sender.post(an(ends, "x", of=correlation()))
    while seal.Sealer().once().more:
        pass
    ends.within_s = 120
    assert rules.save(ends, by="ann") == "changed"
    follow()
    assert found(ends) == []
    sender.post(an(ends, "x", of=correlation()))
    follow()
    assert len(found(ends)) == 1
    ends.why = "Other words ask for nothing else."
    first = ends.first_leaf
    rules.save(ends, by="ann")
    assert (ends.first_leaf, ends.version) == (first, 2)
    assert rules.save(ends, by="ann") == "unchanged"
    acts = Record.objects.filter(correlation_id=f"expectation-{ends.name}").order_by("event_timestamp")
    assert [one.event_type.rpartition(".")[2] for one in acts] == ["created", "changed", "changed"]
    assert (acts[1].event_data["before"]["within_s"], acts[1].event_data["after"]["within_s"]) == (60, 120)


def test_what_was_found_is_judged_by_what_was_asked_then(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    sender.post(an(ends, "x", of=of))
    follow()
    ends.expect_types, ends.active, ends.inactive_because = [f"{ends.name}.z"], False, "A test."
    rules.save(ends, by="ann")
    sender.post(an(ends, "y", 5, of=of))
    follow()
    (unmet,) = found(ends)
    assert unmet.state == "closed"
    assert f"{ends.name}.y" in unmet.wanted
