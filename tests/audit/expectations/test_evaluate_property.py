"""In any order and portions, following the log finds what looking at all of it finds."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from audit.expectations import evaluate
from audit.formats import event
from audit.formats.event import SealedEvent
from audit.ingest.record import store
from audit.models import Awaited, Followed
from tests.audit.conftest import an_event, sealed_event
from tests.audit.expectations.conftest import BEGAN, MakeRule, at, found


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
