"""A rebuild: the stream alone is enough."""

import threading
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from dlq import counters, recovery
from dlq.drain import Outcome, drain
from dlq.errors import RebuildRunning
from dlq.pages import Entry
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


def drain_until_empty(url: str, prefix: str) -> None:
    with redis.Redis.from_url(url) as client:
        queue = Stream(client, prefix)
        while queue.totals.depth():
            drain(lambda batch: [Outcome("stored")] * len(batch), probe=lambda: True, stream=queue, limit=200)


@pytest.mark.slow
def test_beside_drainers_nothing_is_called_missing_that_was_stored(stream: Stream) -> None:
    for _ in range(4):
        parked(stream, 500)
    arguments = (settings.REDIS_URL, stream.keys.prefix)
    drainers = [threading.Thread(target=drain_until_empty, args=arguments) for _ in range(2)]
    for drainer in drainers:
        drainer.start()
    rebuilds = []
    while any(drainer.is_alive() for drainer in drainers):
        rebuilds.append(rebuild(stream))
    for drainer in drainers:
        drainer.join()
    assert rebuilds
    assert [rebuilt.missing for rebuilt in rebuilds if rebuilt.missing] == []
    stats = stream.totals.stats()
    assert (stats.lost, stats.depth, stats.drained, stats.balanced) == (0, 0, 2000, True)
    assert rebuild(stream) == (0, []) and stream.totals.stats() == stats
    assert counters.read(stream).whole


def test_two_rebuilds_are_never_at_work_at_once(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    parked(stream, 3)
    refused: list[str] = []
    entries = stream.pages.entries

    def meanwhile() -> Iterator[list[Entry]]:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            other = Stream(client, stream.keys.prefix)
            with pytest.raises(RebuildRunning) as caught:
                rebuild(other)
            refused.append(str(caught.value))
            assert recovery.mend(other) is None  # and it is tried again, for it is not noted as done
            assert recovery.SEEN_RUN not in other.alarms.read()
        yield from entries()

    with monkeypatch.context() as patch:
        patch.setattr(stream.pages, "entries", meanwhile)
        stream.redis.hincrby(stream.keys.stats, "enqueued", 1)  # so that there is something to mend
        assert rebuild(stream).messages == 3
    assert len(refused) == 1
    assert rebuild(stream).messages == 3


def test_a_rebuild_whose_lock_ended_stops(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    parked(stream, 3)
    entries = stream.pages.entries

    def meanwhile() -> Iterator[list[Entry]]:
        stream.redis.set(stream.keys.rebuild, "another process, after this one was hung for a minute")
        yield from entries()

    monkeypatch.setattr(stream.pages, "entries", meanwhile)
    with pytest.raises(RebuildRunning):
        rebuild(stream)
    assert stream.redis.get(stream.keys.rebuild) is not None  # the other one's lock stays
