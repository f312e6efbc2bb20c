"""A rebuild: the stream alone is enough."""

import pytest

from dlq.drain import Outcome, drain
from dlq.rebuild import rebuild
from dlq.stream import Stream
from tests.dlq.conftest import parked


def test_indexes_that_were_lost_are_made_again_and_no_message_is_lost(stream: Stream) -> None:
    keys = [message.key for message in parked(stream, 1200)]
    stream.redis.delete(stream.keys.due, stream.keys.leased, stream.keys.dead, stream.keys.ids, stream.keys.stats)
    assert rebuild(stream) == (1200, [])
    assert stream.totals.stats().balanced
    assert stream.pages.find(keys[0]) is not None
    stored = drain(lambda batch: [Outcome("stored")] * len(batch), probe=lambda: True, stream=stream).stored
    assert (stored, stream.totals.depth()) == (1200, 0)


def test_places_that_are_known_are_kept(stream: Stream) -> None:
    messages = parked(stream, 3)
    stream.fail(messages[0], "Kind", "", dead=True)
    stream.fail(messages[1], "Kind", "")
    before = stream.pages.page(limit=9)
    assert rebuild(stream) == (3, [])
    assert stream.pages.page(limit=9) == before


@pytest.mark.parametrize("index", ["due", "leased", "dead"])
def test_places_without_a_message_are_dropped(stream: Stream, index: str) -> None:
    stream.redis.zadd(getattr(stream.keys, index), {"1-1": 5})
    assert not stream.totals.stats().balanced
    rebuild(stream)
    assert stream.totals.stats().balanced


def test_what_was_removed_by_other_hands_is_lost_for_good_and_named(stream: Stream) -> None:
    first, second, third = parked(stream, 3)
    stream.redis.xdel(stream.keys.stream, first.id, third.id)
    assert not stream.totals.stats().balanced
    rebuilt = rebuild(stream)
    assert (rebuilt.messages, sorted(rebuilt.missing)) == (1, sorted([first.key, third.key]))
    stats = stream.totals.stats()
    assert (stats.lost, stats.enqueued, stats.balanced) == (2, 3, True)
    assert rebuild(stream) == (1, []) and stream.totals.stats().lost == 2
    assert stream.pages.find(second.key) is not None
