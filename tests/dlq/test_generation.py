"""A queue that was restored from an older file, or replaced, is known as such."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from auditsite.embedded import Redis
from dlq import generation
from dlq.errors import Refused
from dlq.generation import Generation
from dlq.stream import Stream
from tests.dlq.conftest import new_stream, parked


def test_a_queue_that_moves_on_is_the_same(stream: Stream) -> None:
    empty = generation.read(stream)
    assert empty == generation.read(stream)
    messages = parked(stream, 3)
    filled = generation.read(stream)
    assert (filled.last_id, filled.enqueued, filled.gone) == (messages[-1].id, 3, 0)
    stream.acknowledge(messages, "drained")
    drained = generation.read(stream)
    assert (drained.id, drained.last_id, drained.gone) == (empty.id, messages[-1].id, 3)
    assert [generation.compare(known, drained) for known in (empty, filled, drained)] == ["same"] * 3


def test_a_queue_that_other_hands_emptied_is_another(stream: Stream) -> None:
    parked(stream, 3)
    known = generation.read(stream)
    stream.redis.delete(*stream.redis.scan_iter(f"*{stream.keys.prefix}*"))
    parked(stream, 3)
    assert generation.compare(known, generation.read(stream)) == "other"


@pytest.mark.parametrize(
    ("known", "now", "relation"),
    [
        (Generation("a", "9-0", 1, 0), Generation("a", "10-0", 2, 0), "same"),
        (Generation("a", "10-0", 2, 0), Generation("a", "9-0", 2, 0), "older"),
        (Generation("a", "9-10", 2, 0), Generation("a", "9-9", 2, 0), "older"),
        (Generation("a", "9-0", 2, 0), Generation("a", "9-0", 1, 0), "older"),
        (Generation("a", "9-0", 2, 1), Generation("a", "9-0", 2, 0), "older"),
        (Generation("a", "9-0", 2, 1), Generation("b", "9-0", 2, 1), "other"),
    ],
)
def test_a_queue_that_has_come_less_far_is_older(known: Generation, now: Generation, relation: str) -> None:
    assert generation.compare(known, now) == relation


def drain_all(stream: Stream) -> None:
    stream.acknowledge(stream.pages.page(limit=99), "drained")


def park_more(stream: Stream) -> None:
    parked(stream, 2)


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", [drain_all, park_more])
def test_a_queue_restored_from_an_older_file_is_known(
    own_redis: Redis, tmp_path: Path, meanwhile: Callable[[Stream], None]
) -> None:
    stream = new_stream(own_redis.url())
    parked(stream, 5)
    before = generation.read(stream)
    own_redis.stop()
    shutil.copytree(own_redis.data, tmp_path / "backup")
    own_redis.start()
    assert generation.compare(before, generation.read(stream)) == "same"  # a restart is no restore
    meanwhile(stream)
    known = generation.read(stream)
    own_redis.kill()
    shutil.rmtree(own_redis.data)
    shutil.copytree(tmp_path / "backup", own_redis.data)
    own_redis.start()
    restored = generation.read(stream)
    assert generation.compare(known, restored) == "older"
    renewed = generation.renew(stream)
    assert generation.compare(known, renewed) == "other"
    assert generation.compare(renewed, generation.read(stream)) == "same"


@pytest.mark.slow
def test_a_full_redis_tells_its_generation(own_redis: Redis) -> None:
    stream = new_stream(own_redis.url())
    parked(stream, 5)
    stream.redis.config_set("maxmemory", 1)
    with pytest.raises(Refused):
        parked(stream)
    assert generation.read(stream).enqueued == 5
