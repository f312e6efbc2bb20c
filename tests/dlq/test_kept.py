"""What was drained stays in Redis for a while, within its bounds, and never in the way of parking."""

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from auditsite.embedded import Redis
from dlq import durability
from dlq.errors import Refused
from dlq.kept import FIELDS, VERSION, Kept
from dlq.message import Message
from dlq.scripts import LUA
from dlq.stream import Stream
from tests.dlq.conftest import a_document, new_stream, parked


def of(stream: Stream) -> list[Message]:
    return [message for portion in stream.kept.portions() for message in portion.messages]


def drained(stream: Stream, count: int, size: int = 2) -> list[Message]:
    """Park and drain so many documents of so many bytes, as one portion."""
    stream.park([a_document(body=b"x" * size) for _ in range(count)], reason="tests")
    messages = stream.claim(count)
    assert stream.acknowledge(messages, "drained") == count
    return messages


def fill(stream: Stream) -> None:
    stream.redis.config_set("maxmemory", stream.redis.info("memory")["used_memory"])


@pytest.mark.parametrize("way", ["drained", "duplicate"])
def test_what_leaves_for_the_store_is_kept_as_it_was(stream: Stream, way: Any) -> None:
    beside = replace(a_document(), beside=b"what its digest does not cover")
    stream.park([a_document(body=bytes(range(256))), a_document(body=b""), beside], reason="database-down")
    messages = stream.claim(9)
    stream.acknowledge(messages, way)
    assert stream.totals.depth() == 0
    names = [*FIELDS, "parked_at"]
    assert [[getattr(m, n) for n in names] for m in of(stream)] == [[getattr(m, n) for n in names] for m in messages]
    size = stream.kept.size()
    assert size.messages == 3 and size.bytes > 256 and size.since is not None
    assert stream.totals.stats().balanced


@pytest.mark.parametrize("way", ["quarantined", "discarded"])
def test_what_people_took_out_is_not_kept(stream: Stream, way: Any) -> None:
    stream.acknowledge(parked(stream), way)
    assert of(stream) == []


def test_nothing_is_kept_where_no_time_is_given(stream: Stream, settings: Any) -> None:
    drained(stream, 1)
    settings.DLQ_KEEP_DRAINED_S = 0
    drained(stream, 1)
    assert len(of(stream)) == 1
    assert stream.kept.trim() == 1
    assert stream.kept.size() == (0, 0, None)


def test_what_is_older_than_its_time_goes(stream: Stream, settings: Any) -> None:
    drained(stream, 3)
    (stays,) = drained(stream, 1)
    first, last = [portion.left_at for portion in stream.kept.portions()]
    while last == first:  # both in one millisecond
        (stays,) = drained(stream, 1)
        last = list(stream.kept.portions())[-1].left_at
    settings.DLQ_KEEP_DRAINED_S = stream.now_ms() / 1000 - (first.timestamp() + last.timestamp()) / 2
    stream.kept.trim()
    assert first not in [portion.left_at for portion in stream.kept.portions()]
    settings.DLQ_KEEP_DRAINED_S = 3600
    assert stays.key not in {message.key for message in of(stream)} or of(stream)[-1].key == stays.key


def test_the_oldest_goes_where_it_is_too_much(stream: Stream, settings: Any) -> None:
    settings.DLQ_KEEP_DRAINED_BYTES = 10_000
    batches = [drained(stream, 2, 2_000) for _ in range(4)]
    assert [m.key for m in of(stream)] == [m.key for batch in batches[-2:] for m in batch]
    assert stream.kept.size().messages == 4 and stream.kept.size().bytes <= 10_000
    drained(stream, 1, 20_000)  # more than may be kept at all
    assert stream.kept.size().bytes <= 10_000 and not [m for m in of(stream) if len(m.body) == 20_000]


def test_large_batches_go_part_by_part(stream: Stream, settings: Any) -> None:
    messages = drained(stream, 8, 100_000)
    portions = list(stream.kept.portions())
    assert [len(portion.messages) for portion in portions] == [2, 2, 2, 2]
    assert [m.key for m in of(stream)] == [m.key for m in messages]
    settings.DLQ_KEEP_DRAINED_BYTES = 500_000
    assert stream.kept.trim() == 4


def test_what_is_kept_is_let_go_before_parking_is_refused(own_redis: Redis, settings: Any) -> None:
    stream = new_stream(own_redis.url())
    for _ in range(20):
        drained(stream, 10, 50_000)
    assert stream.kept.size().messages == 200
    fill(stream)
    for _ in range(40):
        assert stream.park([a_document(body=b"x" * 50_000)], reason="tests").outcomes == ["parked"]
    assert 0 < stream.kept.size().messages < 200
    with pytest.raises(Refused):
        for _ in range(400):
            stream.park([a_document(body=b"x" * 50_000)], reason="tests")
    assert stream.kept.size().messages == 0 and stream.totals.depth() > 100
    assert stream.totals.stats().balanced


def test_a_redis_that_is_short_of_memory_keeps_nothing_and_drains(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    stream.park([a_document(body=b"x" * 1_000) for _ in range(10)], reason="tests")
    fill(stream)
    messages = stream.claim(10)
    assert stream.acknowledge(messages, "drained") == 10
    assert of(stream) == []


def test_a_turn_of_the_watcher_makes_room_before_redis_is_full(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    for _ in range(4):
        drained(stream, 10, 100_000)
    fill(stream)
    let_go = stream.kept.trim()
    assert let_go == 40 - stream.kept.size().messages > 0


def test_a_redis_that_fails_while_it_keeps_stops_no_drain(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise Refused("a test")

    monkeypatch.setattr(Kept, "_run", refuse)
    assert stream.acknowledge(parked(stream, 2), "drained") == 2


def test_the_room_that_is_kept_counts_as_room_for_parking(own_redis: Redis, settings: Any) -> None:
    settings.REDIS_URL, settings.DLQ_PREFIX = own_redis.url(), "room"
    stream = Stream(new_stream(own_redis.url()).redis, "room")
    drained(stream, 10, 100_000)
    stream.redis.config_set("maxmemory", stream.redis.info("memory")["used_memory"] + 1_000)
    room = durability._ask().room
    assert room is not None and room > 900_000 // durability.BYTES_A_MESSAGE


def test_a_later_minor_version_is_read_and_another_major_is_named_and_left(stream: Stream) -> None:
    (message,) = drained(stream, 1)
    ((_, fields),) = stream.redis.xrange(stream.keys.kept)
    assert fields[b"version"] == VERSION.encode()
    more = {"lengths": fields[b"lengths"] + (4).to_bytes(4, "big"), "values": fields[b"values"] + b"more"}
    stream.redis.xadd(stream.keys.kept, fields | {"version": "1.7", "unknown": "x"} | more)
    stream.redis.xadd(stream.keys.kept, fields | {"version": "2.0"})
    portions = list(stream.kept.portions())
    assert [[m.key for m in portion.messages] for portion in portions] == [[message.key], [message.key], []]
    assert [portion.unreadable for portion in portions] == [0, 0, 1]


def test_what_a_release_before_kept_is_read_with_nothing_beside_it(stream: Stream) -> None:
    (message,) = drained(stream, 1)
    ((_, fields),) = stream.redis.xrange(stream.keys.kept)
    stream.redis.xadd(stream.keys.kept, fields | {"version": "1.0", "lengths": fields[b"lengths"][:-4]})
    portions = list(stream.kept.portions())
    assert [[(m.key, m.mac, m.beside) for m in portion.messages] for portion in portions] == (
        [[(message.key, message.mac, b"")]] * 2
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"lengths": b"abc"},
        {"lengths": b""},
        {"values": b"short"},
        {"messages": b"0"},
        {"messages": b"7"},
    ],
    ids=str,
)
def test_what_other_hands_changed_is_unreadable_and_stops_nothing(stream: Stream, damage: dict[str, bytes]) -> None:
    drained(stream, 1)
    ((_, fields),) = stream.redis.xrange(stream.keys.kept)
    stream.redis.xadd(stream.keys.kept, fields | damage)
    good, bad = list(stream.kept.portions())
    assert (len(good.messages), bad.messages) == (1, []) and bad.unreadable >= 1


def test_what_was_counted_wrong_by_a_kill_is_right_once_nothing_is_kept(stream: Stream, settings: Any) -> None:
    drained(stream, 1)
    stream.redis.hincrby(stream.keys.stats, "kept_bytes", 5_000)
    time.sleep(0.002)
    settings.DLQ_KEEP_DRAINED_S = 0.001
    stream.kept.trim()
    assert stream.kept.size() == (0, 0, None)


def test_the_script_is_written_for_redis_6_2_as_well() -> None:
    """Redis before 7.0 lets a full server add once a script has written what adds nothing: that comes first."""
    text = (LUA / "keep.lua").read_text(encoding="utf-8")
    writes = re.findall(r"redis\.call\('(HDEL|XDEL|XADD|HINCRBY)'", text)
    assert writes[0] == "HDEL"
