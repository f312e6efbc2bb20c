"""What is parked stays until it is stored, in exactly one place."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from auditsite.embedded import Redis
from dlq import client, counters, history, outage
from dlq.drain import Outcome, drain
from dlq.errors import Refused
from dlq.message import Document
from dlq.policy import MAX_RETRIES
from dlq.selection import Selection
from dlq.stream import Stream
from tests.dlq.conftest import a_document, new_stream, parked, reloaded


def states(stream: Stream) -> list[str]:
    return [message.state for message in stream.pages.page(limit=100)]


def test_a_parked_document_comes_back_to_the_byte(stream: Stream) -> None:
    document = a_document(body=bytes(range(256)))
    stream.park([document], reason="database-down")
    (message,) = stream.claim(10)
    assert (message.key, message.digest, message.body) == (document.key, document.digest, document.body)
    assert (message.source, message.kind, message.reason) == ("source", "a.kind", "database-down")
    assert message.received_at == document.received_at
    assert message.digest_ok


def test_what_waits_for_the_database_is_due_at_once(stream: Stream) -> None:
    parked(stream)
    assert states(stream) == ["due"]


def test_after_a_real_failure_the_first_retry_comes_a_minute_later(stream: Stream) -> None:
    (message,) = parked(stream, real_failure=True)
    assert message.state == "waiting"
    assert message.next_try is not None
    assert 59 <= (message.next_try - message.parked_at).total_seconds() <= 67
    assert stream.claim(10) == []


def test_the_same_document_is_parked_once(stream: Stream) -> None:
    document = a_document()
    assert stream.park([document], reason="").outcomes == ["parked"]
    assert stream.park([document, document], reason="").outcomes == ["duplicate", "duplicate"]
    assert stream.totals.depth() == 1


def test_the_same_key_twice_in_one_call_is_parked_once(stream: Stream) -> None:
    document = a_document()
    assert stream.park([document, document], reason="").outcomes == ["parked", "duplicate"]
    assert stream.totals.stats().balanced


@pytest.mark.parametrize("within", [True, False], ids=["in one call", "in two calls"])
def test_a_key_with_another_digest_is_a_conflict_and_parks_nothing(stream: Stream, within: bool) -> None:
    first, other, third = a_document("k", b"1"), a_document("k", b"2"), a_document()
    if not within:
        stream.park([first], reason="")
    outcomes = stream.park([first, other, third], reason="").outcomes
    assert outcomes[1] == "conflict"
    assert stream.totals.depth() == (0 if within else 1)
    assert stream.pages.find(third.key) is None


def test_documents_of_several_senders_are_parked_each_by_itself(stream: Stream) -> None:
    known, new = a_document(), a_document()
    stream.park([known], reason="tests")
    documents = [a_document(known.key, b"[]"), new, known, a_document(new.key, b"[]"), new]
    assert stream.park(documents, reason="tests", each=True).outcomes == [
        "conflict", "parked", "duplicate", "conflict", "duplicate"
    ]  # fmt: skip
    assert stream.totals.depth() == 2
    assert stream.totals.stats().enqueued == 2


def test_a_thousand_documents_are_parked_together(stream: Stream) -> None:
    assert stream.park([a_document() for _ in range(1000)], reason="").outcomes == ["parked"] * 1000
    assert stream.totals.depth() == 1000


def test_a_claimed_message_is_not_claimed_again_until_its_lease_ends(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked(stream, 3)
    assert len(stream.claim(2)) == 2
    assert len(stream.claim(10)) == 1
    assert stream.claim(10) == []
    assert sorted(states(stream)) == ["leased"] * 3


@pytest.mark.usefixtures("lease_of_a_moment")
def test_what_a_dead_drainer_had_in_hand_is_due_again(stream: Stream) -> None:
    parked(stream, 3)
    first = stream.claim(10)
    time.sleep(0.005)
    assert {message.id for message in stream.claim(10)} == {message.id for message in first}


def test_to_acknowledge_twice_counts_once(stream: Stream) -> None:
    parked(stream, 2)
    messages = stream.claim(10)
    assert stream.acknowledge(messages, "drained") == 2
    assert stream.acknowledge(messages, "drained") == 0
    stats = stream.totals.stats()
    assert (stats.depth, stats.enqueued, stats.drained, stats.balanced) == (0, 2, 2, True)
    assert stream.pages.find(messages[0].key) is None


def test_a_message_dies_after_six_failures_and_stays(stream: Stream) -> None:
    (message,) = parked(stream)
    states = []
    for _ in range(MAX_RETRIES):
        failing = reloaded(stream, message.id)
        states.append(stream.fail(failing, "Kind", "text"))
    assert states == ["waiting"] * 5 + ["dead"]
    message = reloaded(stream, message.id)
    assert (message.state, message.attempts, len(message.errors), message.next_try) == ("dead", 6, 6, None)
    assert stream.claim(10) == []
    assert stream.totals.stats().balanced


def test_the_history_keeps_the_last_ten_errors(stream: Stream) -> None:
    (message,) = parked(stream)
    for number in range(12):
        stream.fail(message, "Kind", str(number) * 1000)
    message = reloaded(stream, message.id)
    assert [attempt["error"][0:2] for attempt in message.errors[-2:]] == ["10", "11"]
    assert len(message.errors) == 10
    assert max(len(attempt["error"]) for attempt in message.errors) == 500


def test_released_messages_are_due_and_no_attempt_is_counted(stream: Stream) -> None:
    parked(stream, 2)
    stream.release(stream.claim(10))
    messages = stream.pages.page(limit=10)
    assert [(message.state, message.attempts) for message in messages] == [("due", 0)] * 2


def test_retry_now_revives_the_dead_with_their_history(stream: Stream) -> None:
    (message,) = parked(stream)
    stream.fail(message, "Kind", "text", dead=True)
    assert stream.retry_now([message.id, "1-1"]) == 1
    message = reloaded(stream, message.id)
    assert (message.state, message.attempts, message.last_error_class) == ("due", 0, "Kind")


def test_an_entry_that_cannot_be_read_is_dead_not_skipped(stream: Stream) -> None:
    message_id = stream.redis.xadd(stream.keys.stream, {"key": "odd"}).decode()
    stream.redis.zadd(stream.keys.due, {message_id: 0})
    parked(stream)
    assert len(stream.claim(10)) == 1
    message = reloaded(stream, message_id)
    assert (message.state, message.last_error_class) == ("dead", "Unparsable")
    assert "digest" in message.last_error


def test_an_index_entry_without_its_message_is_forgotten(stream: Stream) -> None:
    stream.redis.zadd(stream.keys.due, {"1-1": 0})
    assert stream.claim(10) == []
    assert stream.totals.stats().due == stream.totals.stats().leased == 0


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_show_every_message_once(stream: Stream, newest_first: bool) -> None:
    wanted = [message.id for message in parked(stream, 25)]
    seen: list[str] = []
    while page := stream.pages.page(limit=7, after=seen[-1] if seen else None, newest_first=newest_first):
        seen += [message.id for message in page]
    assert seen == (wanted[::-1] if newest_first else wanted)


def test_pages_by_state_hold_what_they_say(stream: Stream) -> None:
    messages = parked(stream, 9)
    for message in messages[:2]:
        stream.fail(message, "Kind", "", dead=True)
    for message in messages[2:5]:
        stream.fail(message, "Kind", "")
    counts = {}
    for state in ("due", "waiting", "dead", "leased"):
        seen: list[Any] = []
        while page := stream.pages.page(limit=2, state=state, after=seen[-1].id if seen else None):
            seen += page
        assert {message.state for message in seen} <= {state}
        counts[state] = len({message.id for message in seen})
    assert counts == {"due": 4, "waiting": 3, "dead": 2, "leased": 0}


def test_the_alarm_is_raised_once_and_cleared_with_hysteresis(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_ALERT_DEPTH", 10)
    assert not stream.park([a_document() for _ in range(10)], reason="").alarm_raised
    assert stream.park([a_document()], reason="").alarm_raised
    assert not stream.park([a_document()], reason="").alarm_raised
    messages = stream.claim(12)
    stream.acknowledge(messages[:4], "drained")
    assert "depth_since" in stream.alarms.read()
    stream.acknowledge(messages[4:5], "drained")
    assert "depth_since" not in stream.alarms.read()


@pytest.mark.slow
def test_a_full_redis_refuses_to_park_and_still_lets_drain(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    body = b"x" * 4096
    stream.park([a_document(body=body) for _ in range(200)], reason="")
    stream.redis.config_set("maxmemory", stream.redis.info("memory")["used_memory"])
    with pytest.raises(Refused):
        for _ in range(2000):
            stream.park([a_document(body=body)], reason="")
    depth = stream.totals.depth()
    messages = stream.claim(100)
    assert len(messages) == 100
    assert stream.fail(messages[0], "Kind", "text") == "waiting"
    assert stream.fail(messages[1], "Kind", "text", dead=True) == "dead"
    stream.release(messages[2:4])
    assert stream.acknowledge(messages[4:], "drained") == 96
    assert stream.totals.depth() == depth - 96
    assert stream.totals.stats().balanced


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_a_redis_that_does_not_answer_refuses_soon(own_redis: Redis, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", own_redis.url())
    stream, hurried = (Stream(client.connect(timeout_ms), "refusing") for timeout_ms in (client.DRAIN_TIMEOUT_MS, 100))
    stream.park([a_document()], reason="")
    getattr(own_redis, how)()
    try:
        with pytest.raises(Refused):
            hurried.park([a_document()], reason="")
    finally:
        own_redis.thaw() if how == "freeze" else own_redis.start()
    # It was tried once, not again and again: at most the one attempt may have gone through.
    assert stream.totals.depth() <= 2


@pytest.mark.slow
def test_what_was_parked_survives_kill_9(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    parked(stream, 500)
    stream.claim(100)
    own_redis.kill()
    own_redis.start()
    assert stream.totals.stats()[:4] == (500, 400, 100, 0)


def test_a_body_of_a_document_is_never_changed_or_trimmed() -> None:
    """No command that trims or expires stands anywhere, and nobody else talks to the stream."""
    root = Path(__file__).parent.parent.parent
    sources = [*(root / "dlq").rglob("*.py"), *(root / "dlq").rglob("*.lua"), *(root / "audit").rglob("*.py")]
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"MAXLEN|MINID|xtrim|XTRIM|EXPIRE|\.expire\(", text.split('"""', 2)[-1]), path
        if path.name not in ("pages.py", "totals.py", "kept.py") and path.suffix == ".py":
            assert not re.search(r"\.x(add|del|range|revrange|ack|claim|len|read)\w*\(", text), path


def test_all_keys_share_one_hash_tag(stream: Stream) -> None:
    messages = parked(stream, 3)
    stream.fail(messages[0], "Kind", "")
    stream.activity.beat("last_drain_at")
    tag = stream.keys.stream[: stream.keys.stream.index("}") + 1]
    assert all(key.decode().startswith(tag) for key in stream.redis.scan_iter(f"*{tag.strip('{}')}*"))


def test_refused_names_what_redis_raised(stream: Stream) -> None:
    stream.redis.set(stream.keys.stream, "not a stream")
    with pytest.raises(Refused, match="ResponseError") as caught:
        stream.park([a_document()], reason="")
    assert isinstance(caught.value.__cause__, redis.RedisError)


def test_a_document_is_not_changed_by_parking() -> None:
    assert Document.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_a_snoozed_message_is_left_alone_until_then_and_keeps_its_history(stream: Stream) -> None:
    first, second = parked(stream, 2)
    stream.fail(first, "Kind", "error", dead=True)
    assert stream.snooze([first.id], for_s=2 * 3600) == 1
    assert [message.id for message in stream.claim(9)] == [second.id]
    snoozed = reloaded(stream, first.id)
    assert (snoozed.state, snoozed.attempts) == ("waiting", 1)
    assert snoozed.next_try is not None
    assert 2 * 3600 - 60 < (snoozed.next_try - snoozed.seen_at).total_seconds() <= 2 * 3600


def test_the_account_balances_whatever_way_messages_go(stream: Stream) -> None:
    messages = parked(stream, 5)
    for message, way in zip(messages, ("drained", "duplicate", "quarantined", "discarded"), strict=False):
        assert stream.acknowledge([message], way) == 1  # type: ignore[arg-type]
    stats = stream.totals.stats()
    assert (stats.enqueued, stats.gone, stats.depth) == (5, 4, 1)
    assert (stats.quarantined, stats.discarded) == (1, 1)
    assert stats.balanced


def test_a_pause_names_who_and_when_until_it_ends(stream: Stream) -> None:
    assert stream.activity.paused() is None
    stream.activity.pause("somebody")
    pause = stream.activity.paused()
    assert pause is not None
    assert pause[0] == "somebody"
    assert abs((pause[1] - datetime.now(UTC)).total_seconds()) < 60
    stream.activity.resume()
    assert stream.activity.paused() is None


@pytest.mark.slow
def test_a_full_redis_is_seen_counted_paused_and_drained_to_empty(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    messages = parked(stream, 50)
    stream.redis.config_set("maxmemory", 1)
    with pytest.raises(Refused):
        parked(stream)
    assert stream.totals.stats().depth == 50 and stream.totals.stats().balanced
    stream.activity.beat("last_drain_at")
    stream.activity.pause("somebody")
    assert stream.activity.paused() is not None
    stream.activity.resume()
    assert history.sample(stream) is True
    assert stream.pages.oldest_age() > 0
    stream.alarms.remember("depth_told", "now")
    stream.fail(messages[0], "Kind", "error")
    stream.retry_now([messages[0].id])
    summary = drain(lambda batch: [Outcome("stored")] * len(batch), probe=lambda: True, stream=stream)
    assert (summary.stored, stream.totals.depth(), stream.totals.stats().balanced) == (50, 0, True)
    assert outage.follow(stream, database_up=lambda: True, keep=lambda closed: None) is not None
    assert stream.redis.dbsize() <= 8


def test_a_list_of_one_state_is_whole_while_messages_leave_it(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlq.selection.PAGE_MESSAGES", 3)
    messages = parked(stream, 9)
    selected = Selection(state="due").all(stream)
    seen = [next(selected).key for _ in range(2)]
    stream.acknowledge(messages[:3], "drained")
    seen += [message.key for message in selected]
    assert len(seen) == len(set(seen)) and set(seen) >= {message.key for message in messages[3:]}


@pytest.mark.slow
def test_more_messages_than_a_command_takes_are_claimed_and_taken_out_with_their_histories(stream: Stream) -> None:
    parked(stream, 1100)
    failed = stream.claim(1)[0]
    stream.fail(failed, "Broken", "once")
    stream.snooze([failed.id], for_s=0)
    messages = stream.claim(1100)
    assert len(messages) == 1100
    assert [(message.id, message.attempts) for message in messages if message.errors] == [(failed.id, 1)]
    assert stream.acknowledge(messages, "drained") == 1100
    assert (stream.totals.depth(), stream.claim(9)) == (0, [])
    assert list(stream.redis.scan_iter(stream.keys.history("*"))) == []


def test_each_that_leaves_is_counted_once_for_its_writer_also_of_many_of_whom_some_were_dead(stream: Stream) -> None:
    documents = [replace(a_document(), source=source) for source in ("one", "other") for _ in range(70)]
    stream.park(documents, reason="tests")
    messages = stream.pages.page(limit=200)
    for message in (messages[0], messages[1], messages[70]):
        stream.fail(message, "Broken", "for good", dead=True)
    assert stream.acknowledge(messages[60:80], "discarded") == 20
    assert stream.acknowledge([*messages, messages[0]], "drained") == 120
    counted = counters.read(stream)
    assert (counted.whole, stream.totals.stats().balanced) == (True, True)
    lines = {line.source: (line.drained, line.discarded, line.dead, line.here) for line in counted.all}
    assert lines == {"one": (60, 10, 0, 0), "other": (60, 10, 0, 0)}
