"""A claim reads what it leased, gives back what it has no room for, and overrides nobody who acts meanwhile."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from dlq.pages import Entry
from dlq.stream import Stream
from tests.dlq.conftest import a_document, parked, reloaded


def test_a_claim_takes_fewer_where_messages_are_large(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlq.stream.CLAIM_BYTES", 3_000)
    stream.park([a_document(body=b"x" * 1_000) for _ in range(10)], reason="tests")
    assert [len(stream.claim(10)) for _ in range(4)] == [3, 3, 3, 1]


def test_what_a_claim_has_no_room_for_comes_before_what_was_parked_after_it(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlq.stream.CLAIM_BYTES", 3_000)
    stream.park([a_document(body=b"x" * 1_000) for _ in range(6)], reason="tests")
    ids = [message.id for message in stream.pages.page(limit=6)]
    stream.claim(6)
    stream.park([a_document(body=b"x" * 1_000)], reason="tests")
    assert [message.id for message in stream.claim(6)] == ids[3:]


def test_a_claim_reads_what_is_due_whether_much_or_little_stands_between(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlq.pages.READ_MOST", 8)
    messages = parked(stream, 60)
    due = {message.id for message in [*messages[:12:2], *messages[12::11]]}
    stream.snooze([message.id for message in messages if message.id not in due], for_s=3600)
    assert [message.id for message in stream.claim(99)] == [message.id for message in messages if message.id in due]


def claimed_with_room_for_one(stream: Stream, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Claim, and have something happen after entries were read, before the others are given back."""
    monkeypatch.setattr("dlq.stream.CLAIM_BYTES", 0)
    entries_of = stream.pages.entries_of

    def then(ids: list[str]) -> list[Entry]:
        entries = [*entries_of(ids)]
        meanwhile()
        return entries

    with monkeypatch.context() as patch:
        patch.setattr(stream.pages, "entries_of", then)
        assert len(stream.claim(9)) == 1


def test_what_a_person_snoozes_while_it_is_claimed_stays_snoozed(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = parked(stream, 2)
    claimed_with_room_for_one(stream, monkeypatch, lambda: stream.snooze([second.id], for_s=3600))
    assert reloaded(stream, second.id).state == "waiting"


def test_what_died_while_a_claim_stood_still_stays_dead(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    _, second = parked(stream, 2)
    claimed_with_room_for_one(stream, monkeypatch, lambda: stream.fail(second, "Kind", "error", dead=True))
    assert reloaded(stream, second.id).state == "dead"


def test_what_is_given_back_is_due_whatever_clock_its_id_is_of(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    document = a_document()
    tomorrow = f"{int(time.time() + 86400) * 1000}-0"
    stream.redis.xadd(stream.keys.stream, {"key": "old", "body": "x"}, id=tomorrow)
    stream.redis.xdel(stream.keys.stream, tomorrow)
    stream.park([document, a_document()], reason="tests")  # by ids after that one
    claimed_with_room_for_one(stream, monkeypatch, lambda: None)
    assert sorted(message.state for message in stream.pages.page(limit=9)) == ["due", "leased"]


def test_few_large_entries_are_read_at_a_time(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    xrange = stream.redis.xrange

    def counted(*arguments: Any, **options: Any) -> Any:
        counts.append(options["count"])
        return xrange(*arguments, **options)

    monkeypatch.setattr("dlq.pages.READ_BYTES", 5_000)
    stream.park([a_document(body=b"x" * 1_000) for _ in range(20)], reason="tests")
    monkeypatch.setattr(stream.redis, "xrange", counted)
    assert len(stream.claim(20)) == 20
    assert counts == [8, 5, 5, 5]


def test_what_a_person_takes_out_while_it_is_claimed_has_not_vanished(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = parked(stream, 3)
    stream.redis.xdel(stream.keys.stream, third.id)
    entries_of = stream.pages.entries_of

    def discard_before(ids: list[str]) -> Iterator[Entry]:
        stream.acknowledge([first], "discarded")
        return entries_of(ids)

    monkeypatch.setattr(stream.pages, "entries_of", discard_before)
    with capture_logs() as logs:
        assert [message.id for message in stream.claim(9)] == [second.id]
    assert [(line["event"], line["message_id"]) for line in logs] == [("dlq_message_vanished", third.id)]
    assert stream.redis.zrange(stream.keys.leased, 0, -1) == [second.id.encode()]


def test_what_is_no_id_in_the_index_keeps_no_message_back(stream: Stream) -> None:
    (message,) = parked(stream)
    stream.redis.zadd(stream.keys.due, {"no id": 0, b"\xff": 0})
    assert [claimed.id for claimed in stream.claim(9)] == [message.id]
