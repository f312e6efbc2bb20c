"""A claim reads what it leased, gives back what it has no room for, and overrides nobody who acts meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from dlq import counters
from dlq.authenticity import FORGED, is_authentic
from dlq.drain import Outcome, drain
from dlq.message import EPOCH, LATEST, Message, label_of
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


def changed(stream: Stream, message: Message, **fields: bytes) -> str:
    """Put an entry with other fields into the queue, as who can write to Redis would; return its id."""
    ((_, entry),) = stream.redis.xrange(stream.keys.stream, message.id, message.id)
    message_id: bytes = stream.redis.xadd(stream.keys.stream, {**entry, **{n.encode(): v for n, v in fields.items()}})
    stream.redis.zadd(stream.keys.due, {message_id: 0})
    return message_id.decode()


def drained(stream: Stream) -> list[str]:
    """Drain once, and return what was stored: all that is authentic."""
    stored: list[str] = []

    def store(messages: Sequence[Message]) -> list[Outcome]:
        sound = [is_authentic(message) for message in messages]
        stored.extend(message.id for message, is_sound in zip(messages, sound, strict=True) if is_sound)
        return [Outcome("stored") if is_sound else Outcome("dead", FORGED, "no signature") for is_sound in sound]

    drain(store, probe=lambda: True, stream=stream)
    return stored


@pytest.mark.parametrize("received_at", [b"9999999999999999999", b"9" * 5000, b"253402300800000000", b"x", b"-1", b""])
def test_an_entry_of_no_time_is_dead_at_once_and_keeps_no_other_back(
    stream: Stream, received_at: bytes, settings: Any
) -> None:
    settings.DLQ_UNSIGNED_UNTIL = LATEST  # not even then is it taken for one of 1970
    (sound,) = parked(stream)
    message_id = changed(stream, sound, received_at=received_at, mac=b"")
    assert drained(stream) == [sound.id]
    dead = reloaded(stream, message_id)
    assert (dead.state, dead.received_at, dead.last_error_class) == ("dead", EPOCH, "Unparsable")
    assert 0 <= stream.pages.oldest_age() < 60
    ((_, entry),) = stream.redis.xrange(stream.keys.stream, message_id, message_id)
    (line,) = [line for line in counters.read(stream).all if line.dead]
    assert (line.label, line.day) == (label_of(entry), EPOCH.date()), "it is counted where it is read to be"


DEEP = b"[" * 100_000 + b"]" * 100_000
HISTORIES = [
    *({"attempts": text} for text in (b"x", b"", b"9999999999999999999", b"9" * 5000, b"-1", b"007")),
    *({"errors": text} for text in (b"x", b"", b"5", b"{}", b"[5]", b'[{"at":1}]', b"\xff", DEEP)),
    {"errors": rb'[{"at":"","kind":"\ud800","error":""}]'},
    {"attempts": b"x", "errors": b"x"},
]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: str(history)[:40])
def test_a_history_that_cannot_be_read_changes_no_verdict(stream: Stream, history: dict[str, bytes]) -> None:
    sound, damaged = parked(stream, 2)
    forged_id = changed(stream, damaged, mac=b"f" * 32)
    for message_id in (damaged.id, forged_id):
        stream.redis.hset(stream.keys.history(message_id), mapping=history)
        read = reloaded(stream, message_id)
        assert (read.attempts, read.errors, read.last_error) == (0, [], "")
    with capture_logs() as logs:
        assert drained(stream) == [sound.id, damaged.id]
    assert [line["damaged"] for line in logs if line["event"] == "dlq_history_damaged"] == [[*history]] * 2
    forged = reloaded(stream, forged_id)
    assert (forged.state, forged.attempts, forged.last_error_class) == ("dead", 1, FORGED)


@pytest.mark.parametrize("score", [float("inf"), 1e300, 1e17, 253402300800000.0])
@pytest.mark.parametrize("index", ["due", "leased", "dead"])
def test_a_score_beyond_all_time_keeps_no_other_back(stream: Stream, index: str, score: float) -> None:
    sound, other = parked(stream, 2)
    forged_id = changed(stream, other, mac=b"f" * 32)
    stream.redis.zrem(stream.keys.due, forged_id)
    stream.redis.zadd(getattr(stream.keys, index), {forged_id: score})
    forged = reloaded(stream, forged_id)
    assert forged.next_try == (None if index == "dead" else LATEST)
    assert drained(stream) == [sound.id, other.id]
    assert stream.retry_now([forged_id]) == 1
    assert drained(stream) == []
    assert reloaded(stream, forged_id).state == "dead"


def test_a_score_before_1970_is_of_1970(stream: Stream) -> None:
    (message,) = parked(stream)
    stream.redis.zadd(stream.keys.due, {message.id: float("-inf")})
    assert reloaded(stream, message.id).next_try == EPOCH
    assert drained(stream) == [message.id]


def test_an_entry_parked_beyond_all_time_is_read(stream: Stream) -> None:
    (sound,) = parked(stream)
    last = f"{2**64 - 1}-1"
    stream.redis.xadd(stream.keys.stream, {"key": "k"}, id=last)
    stream.redis.zadd(stream.keys.due, {last: 0})
    assert reloaded(stream, last).parked_at == LATEST
    assert drained(stream) == [sound.id]
    assert reloaded(stream, last).state == "dead"
