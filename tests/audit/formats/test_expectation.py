"""Rules as data: what is one, what is none, what it says, and what answers it."""

import json
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import Invalid
from audit.expectations import packs
from audit.formats import expectation
from audit.formats.event import SealedEvent
from audit.formats.expectation import AnswerEvent

BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)


def followed(**changes: Any) -> dict[str, Any]:
    asked = {"when_types": ["a.began"], "expect_types": ["a.ended", "a.failed"], "within_s": 900}
    return {"name": "a-ends", "kind": "followed", "why": "To know how it ended."} | asked | changes


def has(**changes: Any) -> dict[str, Any]:
    return {"name": "has", "kind": "has", "why": "Why.", "expect_types": ["a.cause"], "within_s": 60} | changes


def rate(**changes: Any) -> dict[str, Any]:
    asked = {"expect_types": ["a.*"], "writer": "w", "least": 5}
    return {"name": "rate", "kind": "rate", "why": "Why."} | asked | changes


def seen(**changes: Any) -> SealedEvent:
    usual = {"event_type": "a.began", "category": "c", "correlation": "rr-1", "at": BEGAN, "stored_at": BEGAN}
    usual |= {"leaf_index": 0, "id": uuid.uuid4(), "writer": "w", "received_at": BEGAN}
    return SealedEvent(**usual | changes)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (followed(name="No Slug"), "name"),
        (followed(kind="sometimes"), "kind"),
        (followed(why=""), "why"),
        (followed(why="\x00"), "why"),
        (followed(why="\ud800"), "why"),
        (followed(when_types=[]), "when_types"),
        (followed(when_types=["a*"]), "when_types"),
        (followed(when_types="a.began"), "when_types"),
        (followed(expect_types=[]), "expect_types"),
        (followed(expect_types=["A.B"]), "expect_types"),
        (followed(within_s=None), "within_s"),
        (followed(within_s=0), "within_s"),
        (followed(within_s=90 * 86_400 + 1), "within_s"),
        (followed(least=1), "least"),
        (followed(active=False), "inactive_because"),
        (followed(what="ever"), ""),
        (has(within_s=None), "within_s"),
        (rate(writer=""), "writer"),
        (rate(least=None), "least"),
        (rate(within_s=60), "within_s"),
        ([], ""),
    ],
)
def test_what_is_no_rule_is_refused_with_the_field_at_fault(document: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        expectation.read(document)
    assert list(refused.value.errors) == [field]


def test_a_rule_says_what_it_expects() -> None:
    texts = [expectation.words(expectation.read(one)) for one in (followed(), has(), has(when_types=["a.*"]), rate())]
    assert texts == [
        "a.began is followed by a.ended or a.failed with the same correlation within 15 min",
        "every correlation has a.cause, 1 min after it began",
        "every correlation with a.* has a.cause, 1 min after it began",
        "at least 5 of a.* each day (UTC) of the writer w",
    ]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"{", ""),
        (b"[]", ""),
        (json.dumps({"pack": "p", "expectations": [followed(), has(within_s=0)]}).encode(), "within_s"),
        (json.dumps({"pack": "p", "expectations": [followed(), followed()]}).encode(), "a-ends: name"),
        (json.dumps({"pack": "No Slug", "expectations": [followed()]}).encode(), ""),
        (json.dumps({"expectations": [followed()]}).encode(), ""),
    ],
)
def test_a_bad_pack_is_refused_as_a_whole_and_names_rule_and_field(data: bytes, where: str) -> None:
    with pytest.raises(Invalid) as refused:
        expectation.read_pack(data)
    (named,) = refused.value.errors
    assert named.endswith(where)


def test_the_pack_that_is_seeded_is_one() -> None:
    pack = expectation.read_pack(packs.PACK.read_bytes())
    assert pack.pack == "remediation"
    assert [rule.name for rule in pack.expectations if not rule.active] == ["gateway-signals-each-day"]


@pytest.mark.parametrize(
    ("patterns", "event_type", "fits"),
    [
        (["a.b"], "a.b", True),
        (["a.b"], "a.b.c", False),
        (["a.*"], "a.b.c", True),
        (["a.*"], "a", False),
        (["a.*"], "ab.c", False),
        (["a_.*"], "ax.c", False),
        (["*"], "whatever", True),
        ([], "a", False),
    ],
)
def test_a_star_stands_for_all_that_begins_so(patterns: list[str], event_type: str, fits: bool) -> None:
    assert expectation.fits(patterns, event_type) is fits


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({}, True),
        ({"event_type": "a.ended"}, False),
        ({"writer": "x"}, False),
        ({"category": "x"}, False),
    ],
)
def test_writer_and_category_narrow_what_begins(changes: dict[str, str], begins: bool) -> None:
    rule = expectation.read(followed(writer="w", category="c"))
    assert expectation.begins(rule, seen(**changes), own="own") is begins


def test_the_stores_own_records_begin_only_what_names_their_writer() -> None:
    record = seen(writer="own")
    assert not expectation.begins(expectation.read(has()), record, own="own")
    assert expectation.begins(expectation.read(has(writer="own")), record, own="own")


def test_it_is_ripe_when_it_is_due_and_what_began_it_is_here() -> None:
    rule = expectation.read(followed())
    assert expectation.wait(rule, 1, seen()).ripe_at == BEGAN + timedelta(minutes=15)
    came_late = seen(stored_at=BEGAN + timedelta(days=1))
    assert expectation.wait(rule, 1, came_late).ripe_at == came_late.stored_at


def test_a_day_counts_from_the_first_of_which_all_events_come_from_now_on() -> None:
    assert expectation.first_whole_day(datetime(2026, 8, 18, 22, 59, tzinfo=UTC)) == date(2026, 8, 19)
    assert expectation.first_whole_day(datetime(2026, 8, 18, 23, 30, tzinfo=UTC)) == date(2026, 8, 20)
    east = datetime(2026, 8, 19, 1, tzinfo=UTC).astimezone()
    assert expectation.day_of(east) == date(2026, 8, 19)


@given(
    since=st.integers(0, 20),
    answers=st.lists(st.integers(0, 20), max_size=8),
    itself=st.booleans(),
)
@pytest.mark.slow
def test_the_first_answer_is_the_earliest_that_is_not_before(since: int, answers: list[int], itself: bool) -> None:
    def at(minute: int) -> datetime:
        return BEGAN + timedelta(minutes=minute)

    me = uuid.uuid4()
    came = [AnswerEvent(at(minute), uuid.uuid4()) for minute in answers] + (
        [AnswerEvent(at(since), me)] if itself else []
    )
    came.sort(key=lambda one: (one.at, one.id))
    found = expectation.first_answer("followed", at(since), me, came)
    after = [at(minute) for minute in answers if minute >= since]
    assert (found and found.at) == (min(after) if after else None)
    whatever = expectation.first_answer("has", at(since), me, came)
    assert (whatever is None) is (not came)
