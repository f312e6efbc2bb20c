"""Following the log with rules: what did not come is found, told once, and closes when it comes, in any order."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import uuid_utils.compat
from django.core.management import call_command
from django.test import override_settings
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import dlq.stream
from audit.completeness import reconcile, summary
from audit.expectations import daily_counts, evaluate, rules
from audit.formats import event, expectation
from audit.formats import times as formats_times
from audit.formats.event import SealedEvent
from audit.ingest import trail
from audit.ingest.record import store
from audit.ledger import seal
from audit.management.commands.loadsample import SAMPLE
from audit.models import Awaited, Expectation, Followed, Record, Tally, Unmet, Waiver
from dlq.message import Document, digest_of
from tests.audit.conftest import BATCH, Sender, an_event, sealed_event
from tests.audit.expectations.conftest import MakeRule, found, rule_maker

BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)


@pytest.fixture
def sender() -> Sender:
    return Sender("write")


@pytest.fixture
def rule() -> Iterator[MakeRule]:
    with rule_maker() as make:
        yield make


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No grace, and others' messages in the queue are no reason to wait."""
    monkeypatch.setattr(reconcile, "LONGEST_WAIT", timedelta(0))
    with override_settings(GAP_GRACE_S=0):
        yield


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The alarms of a test, after what other tests left was told."""
    texts: list[str] = []
    follow()
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    return texts


def follow() -> None:
    while seal.Sealer().once().more:
        pass
    reconcile.reconcile()


def at(seconds: float) -> str:
    return formats_times.timestamp_text(BEGAN + timedelta(seconds=seconds))


def an(rule: Expectation, letter: str, seconds: float = 0, *, of: str, **changes: Any) -> dict[str, Any]:
    """An event of the rule's own types, so many seconds after the beginning."""
    word = rule.name
    made = {"event_type": f"{word}.{letter}", "event_timestamp": at(seconds), "correlation_id": of}
    return an_event(event_id=str(uuid_utils.compat.uuid7()), **made, **changes)


def correlation() -> str:
    return f"rr-{secrets.token_hex(6)}"


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


def test_it_is_told_once_and_recorded(sender: Sender, rule: MakeRule, told: list[str]) -> None:
    ends, of = rule(), correlation()
    sender.post(an(ends, "x", of=of))
    follow()
    follow()
    (text,) = [one for one in told if ends.name in one]
    assert of in text
    assert "is followed by" in text
    noted = Record.objects.filter(event_type="audit.expectation.unmet").order_by("-stored_at")[:5]
    (facts,) = [one for record in noted for one in record.event_data["unmet"] if one["subject"] == of]
    assert (facts["expectation"], facts["writer"]) == (ends.name, sender.name)


def test_reconciling_by_hand_names_it_and_its_exit_status_says_so(
    sender: Sender, rule: MakeRule, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = rule()
    sender.post(an(ends, "x", of=correlation()))
    follow()
    before = summary.summarize().expected
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile")
    assert ended.value.code == 3
    assert "not met: " in capsys.readouterr().out
    assert before.unmet >= 1
    assert before.in_force >= 9
    rules.waive(waiver_of(ends), by="ann")
    after = summary.summarize().expected
    assert (after.unmet, after.explained) == (before.unmet - 1, before.explained + 1)


def waiver_of(rule: Expectation, **changes: Any) -> Waiver:
    times = {"begins_at": BEGAN - timedelta(hours=1), "ends_at": BEGAN + timedelta(hours=1)}
    return Waiver(**{"expectation": rule, "reason": "A drill: nothing was executed.", **times, **changes})


@pytest.mark.parametrize("beforehand", [True, False])
@pytest.mark.parametrize("scope", ["exact", "beginning", "writer", "all"])
def test_a_waiver_explains_what_it_covers_and_nothing_else(
    sender: Sender, rule: MakeRule, told: list[str], beforehand: bool, scope: str
) -> None:
    ends, of, other = rule(), correlation(), Sender("write")
    covers = {
        "exact": {"correlation": of},
        "beginning": {"correlation": f"{of[:9]}*"},
        "writer": {"writer": sender.name},
    }
    waiver = waiver_of(ends, **covers.get(scope, {}))
    if beforehand:
        assert rules.waive(waiver, by="ann") == 0
    sender.post(an(ends, "x", of=of))
    other.post([an(ends, "x", of=correlation()), an(ends, "x", 7_200, of=of)], BATCH)
    follow()
    if not beforehand:
        assert rules.waive(waiver, by="ann") == (2 if scope == "all" else 1)
    excused = 2 if scope == "all" else 1
    assert sorted(one.state for one in found(ends)) == ["explained"] * excused + ["open"] * (3 - excused)
    (first,) = [one for one in found(ends) if one.subject == of and one.since == BEGAN]
    assert (first.state, first.explanation, first.owner) == ("explained", waiver.reason, "ann")
    noted = Record.objects.get(event_type="audit.expectation.waived", correlation_id=f"expectation-{ends.name}")
    assert noted.event_data["reason"] == waiver.reason


def test_what_is_waived_still_closes_when_it_comes(sender: Sender, rule: MakeRule) -> None:
    ends, of = rule(), correlation()
    rules.waive(waiver_of(ends), by="ann")
    sender.post(an(ends, "x", of=of))
    follow()
    sender.post(an(ends, "y", 5, of=of))
    follow()
    assert [one.state for one in found(ends)] == ["closed"]


def test_the_pack_finds_in_the_sample_what_did_not_come(sender: Sender) -> None:
    run = secrets.token_hex(4)
    sample = [json.loads(line)["event"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    sender.post([one | {"correlation_id": f"{one['correlation_id']}/{run}"} for one in sample], BATCH)
    follow()
    unmet = Unmet.objects.filter(expectation__pack="remediation", subject__endswith=f"/{run}")
    assert {(one.expectation.name, one.subject.removesuffix(f"/{run}"), one.state) for one in unmet} == {
        ("signal-begins-a-remediation", "rr-write-api-001", "open"),
        ("remediation-ends", "rr-full-001", "open"),
        ("execution-ends", "rr-full-001", "open"),
        ("model-answers", "corr-llm-req", "open"),
    }


class Sent(NamedTuple):
    correlation: int
    letter: str
    minute: int


SENT = st.builds(Sent, st.integers(0, 1), st.sampled_from("xxyz"), st.integers(0, 12))


@pytest.mark.slow
@pytest.mark.parametrize("examples", [12, pytest.param(80, marks=pytest.mark.long)])
def test_in_any_order_and_portions_the_result_is_that_of_looking_at_all(rule: MakeRule, examples: int) -> None:
    chosen = settings(max_examples=examples, deadline=None, phases=[Phase.explicit, Phase.generate])
    chosen(given(rule=st.just(rule), sent=st.lists(SENT, max_size=10), data=st.data())(_is_that_of_looking_at_all))()


def _is_that_of_looking_at_all(rule: MakeRule, sent: list[Sent], data: st.DataObject) -> None:
    word = f"t{secrets.token_hex(4)}"
    ends = rule(name=word, when_types=[f"{word}.x"], expect_types=[f"{word}.y"], within_s=240)
    cause = rule("has", name=f"{word}-has", when_types=[f"{word}.*"], expect_types=[f"{word}.z"])
    rows = [_stored(word, one) for one in data.draw(st.permutations(sent))]
    Followed.objects.get_or_create(name=Followed.COMPLETENESS)
    while rows:
        size = data.draw(st.integers(1, len(rows)))
        portion, rows = rows[:size], rows[size:]
        store([accepted for _, accepted in portion], timeout_s=20)
        evaluate.apply(seen for seen, _ in portion)
        if data.draw(st.booleans()):
            _settle()
    _settle()
    bad = [one for one in found(ends) if one.late or one.state == "open"]  # the others arrived late, and are history
    assert sorted((one.subject, one.since, one.late, one.state) for one in bad) == _missed(word, sent)
    assert {one.subject for one in found(cause) if one.state == "open"} == {
        f"{word}/{n}"
        for n in {one.correlation for one in sent} - {one.correlation for one in sent if one.letter == "z"}
    }
    ends.refresh_from_db()
    assert not Awaited.objects.filter(expectation__in=[ends, cause]).exists()
    assert ends.met <= sum(one.letter == "x" for one in sent)


def _stored(word: str, one: Sent) -> tuple[SealedEvent, event.Accepted]:
    made = {
        "event_type": f"{word}.{one.letter}",
        "event_timestamp": at(60 * one.minute),
        "correlation_id": f"{word}/{one.correlation}",
    }
    accepted = event.accept(an_event(**made), writer="tests")
    sealed = sealed_event("tests", accepted.event_timestamp, id=accepted.id, event_type=accepted.event_type)
    return sealed._replace(leaf_index=2**40, correlation=accepted.correlation_id), accepted


def _settle() -> None:
    while evaluate.settle(datetime.now(UTC)):
        pass


def _missed(word: str, sent: list[Sent]) -> list[tuple[str, datetime, bool, str]]:
    """Look at all that was sent, for each event that must be followed."""
    found = []
    for one in sent:
        after = [y.minute for y in sent if y[:2] == (one.correlation, "y") and y.minute >= one.minute]
        since = BEGAN + timedelta(minutes=one.minute)
        if one.letter == "x" and not after:
            found.append((f"{word}/{one.correlation}", since, False, "open"))
        elif one.letter == "x" and min(after) > one.minute + 4:
            found.append((f"{word}/{one.correlation}", since, True, "closed"))
    return sorted(found)


def test_a_record_has_room_for_a_hundred_findings_of_the_longest_rule(rule: MakeRule) -> None:
    many = [f"t{'x' * 80}{n}.{secrets.token_hex(4)}" for n in range(50)]
    known, now = rule(when_types=many, expect_types=many), datetime.now(UTC)
    unmet = Unmet(expectation=known, subject="ä" * 255, writer="w" * 100, since=now, due_at=now, wanted=known.words)
    facts = unmet.facts()
    assert facts["wanted"].endswith("…")
    said = trail.document("audit.expectation.unmet", actor="a", outcome="failure", correlation="c", unmet=[facts] * 100)
    event.accept(said, writer="auditsite")
