"""Samples of the queue by the minute, and what Redis says of its own durability."""

from typing import Any

import pytest
import redis

from audit.admin.charts import queue as queue_charts
from auditsite.embedded import Redis
from dlq import durability, history
from dlq.stream import Stream
from tests.dlq.conftest import parked


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of Redis in seconds, as a test has it go."""
    now = [1_790_000_000.0]
    monkeypatch.setattr(Stream, "now_ms", lambda queue: int(now[0] * 1000))
    return now


def test_a_minute_is_sampled_once_whoever_is_first(stream: Stream, clock: list[float]) -> None:
    parked(stream, 3)
    assert [history.sample(stream), history.sample(stream)] == [True, False]
    clock[0] += 60
    stream.acknowledge(stream.claim(2), "drained")
    assert history.sample(stream)
    first, second = history.samples(stream, 60)
    assert (first.depth, first.enqueued, first.gone) == (3, 3, 0)
    assert (second.depth, second.enqueued, second.gone) == (1, 3, 2)
    assert second.minute == first.minute + 1


def test_seven_days_are_kept_and_no_more(stream: Stream, clock: list[float]) -> None:
    history.sample(stream)
    clock[0] += (history.KEPT_MINUTES + 1) * 60
    history.sample(stream)
    assert len(history.samples(stream, 10**6)) == 1


def test_the_rate_is_that_of_the_last_hour(stream: Stream, clock: list[float]) -> None:
    assert history.arrivals_a_minute(stream) == 0
    history.sample(stream)
    parked(stream, 30)
    clock[0] += 600
    history.sample(stream)
    assert history.arrivals_a_minute(stream) == 3


def test_the_chart_draws_what_was_sampled() -> None:
    found = [history.Sample(1000 + n, n * 10, n * 20, n * 10, 5) for n in range(60)]
    svg = queue_charts.queue_chart(found, 60)
    assert "at most 590 parked" in svg
    assert "at most 20 a minute" in svg
    assert svg.count("polyline") == 2
    assert queue_charts.queue_chart(found[:1], 60) == ""
    flat = [history.Sample(1000, 0, 5, 5, 0), history.Sample(1001, 0, 5, 5, 0)]
    assert "polygon" in queue_charts.queue_chart(flat, 60)


@pytest.fixture
def asked(own_redis: Redis, monkeypatch: pytest.MonkeyPatch, settings: Any) -> redis.Redis:
    settings.REDIS_URL = own_redis.url()
    monkeypatch.setattr(durability, "TRUSTED_FOR_S", -1)
    return redis.Redis.from_url(own_redis.url())


def test_what_redis_would_lose_is_named(asked: redis.Redis) -> None:
    assert durability.durability().ok
    asked.config_set("maxmemory-policy", "allkeys-lru")
    asked.config_set("appendonly", "no")
    durable = durability.durability()
    assert not durable.ok
    assert {text.partition(":")[0] for text in durable.findings} == {"dlq.E002", "dlq.E003"}


def test_a_setting_that_may_not_be_read_is_no_fault(asked: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise redis.ResponseError("NOPERM")

    monkeypatch.setattr(redis.Redis, "config_get", refused)
    durable = durability.durability()
    assert durable.ok and [text.partition(":")[0] for text in durable.findings] == ["dlq.W002"]
    asked.config_set("maxmemory-policy", "allkeys-lru")
    assert not durability.durability().ok


def test_the_room_that_is_left_is_counted_and_in_hours(asked: redis.Redis, clock: list[float]) -> None:
    assert durability.durability().room is None
    used = int(asked.info("memory")["used_memory"])
    asked.config_set("maxmemory", used + 100_000_000)
    room = durability.durability().room
    assert room is not None
    assert 50_000 < room < 60_000
    queue = Stream(asked, "hours")
    assert durability.hours_left(queue) is None
    history.sample(queue)
    parked(queue, 60)
    clock[0] += 60
    history.sample(queue)
    hours = durability.hours_left(queue)
    assert hours is not None
    assert 10 < hours < 20
