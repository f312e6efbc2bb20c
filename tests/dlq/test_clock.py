"""One clock: due times, leases and ages are those of the Redis that holds the messages, whatever time a caller has."""

import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from django.conf import settings

from dlq import history, message, outage
from dlq.selection import Selection
from dlq.stream import LONGEST_LEASE_S, Stream
from tests.dlq.conftest import a_document, parked, reloaded

DAY_S = 86_400
SKEWS_S = [-30 * DAY_S, 30 * DAY_S]


class WrongClock:
    """Switches this process between the right time and one that is days away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, skew_s: float):
        self._patch, self._skew_s = monkeypatch, skew_s

    def set(self) -> None:
        right, skew_s = time.time, self._skew_s

        class WrongDatetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + timedelta(seconds=skew_s)

        self._patch.setattr(time, "time", lambda: right() + skew_s)
        self._patch.setattr(message, "datetime", WrongDatetime)

    def reset(self) -> None:
        self._patch.undo()


@pytest.fixture(params=SKEWS_S, ids=["30 days behind", "30 days ahead"])
def wrong_clock(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield WrongClock(patch, request.param)


def test_what_a_wrong_clock_parks_is_due_for_the_others(stream: Stream, wrong_clock: WrongClock) -> None:
    wrong_clock.set()
    stream.park([a_document()], reason="tests")
    stream.park([a_document()], reason="tests", real_failure=True)
    wrong_clock.reset()
    assert [message.state for message in stream.pages.page(limit=9)] == ["due", "waiting"]
    waiting = stream.pages.page(limit=9)[1]
    assert waiting.next_try is not None
    assert 59 <= (waiting.next_try - waiting.parked_at).total_seconds() <= 67
    assert stream.totals.read()["ready"] == 1
    opened = outage.current(stream)
    assert opened is not None and abs((opened.began_at - waiting.parked_at).total_seconds()) < 60
    assert len(stream.claim(9)) == 1


def test_a_lease_of_a_wrong_clock_ends_like_any_other(stream: Stream, wrong_clock: WrongClock) -> None:
    parked(stream, 2)
    wrong_clock.set()
    first, second = stream.claim(9)
    wrong_clock.reset()
    assert stream.claim(9) == []
    for lease in (first, reloaded(stream, second.id)):
        assert lease.state == "leased" and lease.next_try is not None
        left_s = (lease.next_try - reloaded(stream, first.id).seen_at).total_seconds()
        assert 0 < left_s <= settings.DLQ_LEASE_S


def test_a_wrong_clock_takes_nothing_that_is_not_due(stream: Stream, wrong_clock: WrongClock) -> None:
    failed, leased = parked(stream, 2)
    stream.fail(failed, "Kind", "error")
    assert [message.id for message in stream.claim(9)] == [leased.id]
    wrong_clock.set()
    assert stream.claim(9) == []
    assert stream.pages.ids_of("due") == []
    assert stream.pages.ids_of("waiting") == [failed.id]
    assert [message.state for message in stream.pages.page(limit=9)] == ["waiting", "leased"]


def test_what_a_wrong_clock_puts_off_comes_back_in_time(stream: Stream, wrong_clock: WrongClock) -> None:
    failed, snoozed, released, retried = parked(stream, 4)
    stream.claim(9)
    wrong_clock.set()
    stream.fail(failed, "Kind", "error")
    stream.snooze([snoozed.id], for_s=3600)
    stream.release([released])
    stream.retry_now([retried.id])
    wrong_clock.reset()
    delays_s = []
    for waiting in (reloaded(stream, failed.id), reloaded(stream, snoozed.id)):
        assert waiting.next_try is not None
        delays_s.append((waiting.next_try - waiting.seen_at).total_seconds())
    assert 200 < delays_s[0] <= 330 and 3500 < delays_s[1] <= 3600
    noted_at = datetime.fromisoformat(reloaded(stream, failed.id).errors[0]["at"])
    assert abs((noted_at - failed.parked_at).total_seconds()) < 60
    assert {message.id for message in stream.claim(9)} == {released.id, retried.id}


def test_ages_and_signs_of_life_are_told_by_the_clock_of_redis(stream: Stream, wrong_clock: WrongClock) -> None:
    (message,) = parked(stream)
    wrong_clock.set()
    assert 0 <= stream.pages.oldest_age() < 60
    assert [*Selection(older_s=3600).all(stream)] == []
    assert [*stream.pages.older_than(3600, chunk=9)] == []
    stream.activity.beat("last_drain_at")
    stream.activity.pause("somebody")
    assert history.sample(stream)
    pause = stream.activity.paused()
    assert pause is not None
    (sample,) = history.samples(stream, 5)
    for at in (pause[1], stream.activity.beats()["last_drain_at"]):
        assert abs((at - message.parked_at).total_seconds()) < 60
    assert abs(sample.minute - message.parked_at.timestamp() / 60) < 3


def test_a_lease_beyond_the_longest_ends_with_a_lease_of_now(stream: Stream) -> None:
    """As a drainer of an older version left it, or the clock of Redis, before it was set back."""
    (message,) = parked(stream)
    stream.claim(9)
    stream.redis.zadd(stream.keys.leased, {message.id: stream.now_ms() + 30 * DAY_S * 1000})
    assert stream.claim(9) == []
    capped = reloaded(stream, message.id)
    assert capped.next_try is not None
    assert (capped.next_try - capped.seen_at).total_seconds() <= settings.DLQ_LEASE_S


def parked_before(stream: Stream, step_s: int) -> str:
    """Park as Redis did before its clock was set back by so many seconds; return the id."""
    (sound,) = parked(stream)
    ((_, fields),) = stream.redis.xrange(stream.keys.stream, sound.id, sound.id)
    stream.acknowledge([sound], "drained")
    at = stream.now_ms() + step_s * 1000
    message_id: str = stream.redis.xadd(stream.keys.stream, fields, f"{at}-0").decode()
    stream.redis.zadd(stream.keys.due, {message_id: at})
    return message_id


@pytest.mark.parametrize("step_s", [1800, 3600, 30 * DAY_S])
def test_what_was_due_at_once_is_due_after_the_clock_of_redis_was_set_back(stream: Stream, step_s: int) -> None:
    before = parked_before(stream, step_s)
    refused, (after,) = parked(stream, real_failure=True), parked(stream)
    assert {message.id for message in stream.claim(9)} == {before, after.id}
    assert reloaded(stream, refused[0].id).state == "waiting"


def test_what_waits_longer_than_anybody_asks_for_is_due(stream: Stream) -> None:
    waits, snoozed = parked(stream, 2)
    stream.snooze([waits.id], for_s=30 * DAY_S)
    stream.snooze([snoozed.id], for_s=7 * DAY_S)
    assert [message.id for message in stream.claim(9)] == [waits.id]


def test_no_lease_is_longer_than_the_longest(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_LEASE_S", 30 * DAY_S)
    parked(stream)
    (message,) = stream.claim(9)
    assert message.next_try is not None
    assert (message.next_try - message.seen_at).total_seconds() <= LONGEST_LEASE_S
