"""The figures of an outage are exact, however seldom somebody looks."""

from datetime import UTC, datetime, timedelta

import pytest

from dlq import outage
from dlq.errors import Refused
from dlq.outage import QueueOutage
from dlq.stream import Stream
from tests.dlq.conftest import a_document, new_stream, parked


def up() -> bool:
    return True


def down() -> bool:
    return False


def never() -> bool:
    raise AssertionError("nobody needs to ask the database while no outage is open")


class OutageKeeper:
    def __init__(self) -> None:
        self.kept: list[QueueOutage] = []

    def __call__(self, closed: QueueOutage) -> None:
        self.kept.append(closed)


def test_a_queue_that_nothing_was_parked_in_has_none(stream: Stream) -> None:
    assert outage.current(stream) is None
    assert outage.follow(stream, database_up=never, keep=OutageKeeper()) is None


def test_the_first_park_opens_one_and_it_lasts_until_nothing_is_left_to_try(stream: Stream) -> None:
    keep, before = OutageKeeper(), datetime.now(UTC) - timedelta(seconds=1)
    messages = parked(stream, 3)
    stream.park([a_document()], reason="another")
    assert outage.follow(stream, database_up=down, keep=keep) is None
    opened = outage.current(stream)
    assert opened is not None and opened.parked == 4 and opened.up_at is None and opened.emptied_at is None
    assert opened.reasons == {"tests": 3, "another": 1}
    assert outage.follow(stream, database_up=up, keep=keep) is None  # up, and still something to try
    stream.acknowledge(messages[:1], "drained")
    stream.acknowledge(messages[1:2], "duplicate")
    stream.acknowledge(messages[2:], "quarantined")
    (last,) = stream.pages.page(limit=9)
    stream.fail(last, "DataError", "can never be stored", dead=True)
    closed = outage.follow(stream, database_up=up, keep=keep)
    assert closed == keep.kept[0]
    assert (closed.parked, closed.stored, closed.quarantined, closed.left, closed.dead) == (4, 2, 1, 1, 1)
    assert (closed.deepest, closed.lost) == (4, 0)
    assert closed.up_at is not None and closed.emptied_at is not None
    assert before < closed.began_at <= closed.up_at <= closed.emptied_at
    assert outage.current(stream) is None
    assert outage.follow(stream, database_up=never, keep=keep) is None


def test_the_next_one_counts_from_where_the_last_one_ended(stream: Stream) -> None:
    keep = OutageKeeper()
    (poison,) = parked(stream)
    stream.fail(poison, "DataError", "can never be stored", dead=True)
    outage.follow(stream, database_up=up, keep=keep)
    stream.acknowledge(parked(stream, 2), "drained")
    stream.acknowledge([poison], "discarded")
    second = outage.follow(stream, database_up=up, keep=keep)
    assert second is not None and second.began_at >= keep.kept[0].began_at
    assert (second.parked, second.stored, second.discarded) == (2, 2, 1)
    assert (second.left, second.dead, second.lost, second.reasons) == (-1, -1, 0, {"tests": 2})


def test_what_waits_for_its_next_try_does_not_keep_it_open(stream: Stream) -> None:
    (message,) = parked(stream)
    stream.fail(message, "DataError", "try again")
    closed = outage.follow(stream, database_up=up, keep=OutageKeeper())
    assert closed is not None and (closed.left, closed.dead) == (1, 0)


def test_an_outage_that_comes_back_before_the_queue_is_empty_is_the_same_one(stream: Stream) -> None:
    keep = OutageKeeper()
    messages = parked(stream, 2)
    outage.follow(stream, database_up=up, keep=keep)
    outage.follow(stream, database_up=down, keep=keep)
    opened = outage.current(stream)
    assert opened is not None and opened.up_at is None
    stream.acknowledge(messages, "drained")
    assert outage.follow(stream, database_up=up, keep=keep) is not None
    assert len(keep.kept) == 1


def test_what_is_parked_while_the_outage_is_being_kept_belongs_to_it(stream: Stream) -> None:
    stream.acknowledge(parked(stream), "drained")
    kept: list[QueueOutage] = []

    def keep(closed: QueueOutage) -> None:
        kept.append(closed)
        if len(kept) == 1:
            parked(stream)

    assert outage.follow(stream, database_up=up, keep=keep) is None
    stream.acknowledge(stream.pages.page(limit=9), "drained")
    closed = outage.follow(stream, database_up=up, keep=keep)
    assert closed is not None and (closed.parked, closed.stored) == (2, 2)
    assert closed.began_at == kept[0].began_at


def test_what_cannot_be_kept_stays_open(stream: Stream) -> None:
    stream.acknowledge(parked(stream), "drained")

    def fail(closed: QueueOutage) -> None:
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        outage.follow(stream, database_up=up, keep=fail)
    assert outage.current(stream) is not None
    assert outage.follow(stream, database_up=up, keep=OutageKeeper()) is not None


def test_a_message_that_other_hands_removed_is_counted_as_lost(stream: Stream) -> None:
    messages = parked(stream, 3)
    stream.redis.xdel(stream.keys.stream, messages[0].id)
    stream.redis.zrem(stream.keys.due, messages[0].id)
    stream.acknowledge(messages[1:], "drained")
    closed = outage.follow(stream, database_up=up, keep=OutageKeeper())
    assert closed is not None and closed.lost == 1


def test_reasons_are_counted_for_good(stream: Stream) -> None:
    stream.acknowledge(parked(stream, 2), "drained")
    outage.follow(stream, database_up=up, keep=OutageKeeper())
    stream.park([a_document()], reason="another")
    assert outage.reasons(stream) == {"tests": 2, "another": 1}


def test_without_redis_it_is_refused() -> None:
    with pytest.raises(Refused):
        outage.current(new_stream("unix:///nowhere/redis.sock"))
