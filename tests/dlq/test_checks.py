"""System checks tell a Redis that would lose messages from one that keeps them."""

from pathlib import Path

import pytest
import redis
from django.conf import settings

from auditsite.embedded import Redis
from dlq.checks import durability


def ids(url: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setattr(settings, "REDIS_URL", url)
    return {str(message.id) for message in durability(None, databases=["default"])}


def test_the_redis_of_the_tests_keeps_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(settings.REDIS_URL, monkeypatch) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("appendonly", "no", "dlq.E002"),
        ("maxmemory-policy", "allkeys-lru", "dlq.E003"),
        ("appendfsync", "everysec", "dlq.W003"),
        ("replicaof", "127.0.0.1 1", "dlq.E004"),
    ],
)
def test_each_way_to_lose_messages_is_found(
    own_redis: Redis, monkeypatch: pytest.MonkeyPatch, name: str, value: str, finding: str
) -> None:
    with redis.Redis.from_url(own_redis.url()) as connection:
        connection.replicaof(*value.split()) if name == "replicaof" else connection.config_set(name, value)
    assert ids(own_redis.url(), monkeypatch) == {finding}


def test_without_redis_it_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids("unix:///nowhere/redis.sock", monkeypatch) == {"dlq.W001"}


def test_a_spool_that_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "DLQ_SPOOL_DIR", tmp_path)
    assert ids(settings.REDIS_URL, monkeypatch) == set()
    monkeypatch.setattr(settings, "DLQ_SPOOL_DIR", tmp_path / "missing")
    assert ids(settings.REDIS_URL, monkeypatch) == {"dlq.E006"}


def test_a_cache_in_the_database_of_the_queue_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CACHE_URL", settings.REDIS_URL)
    assert ids(settings.REDIS_URL, monkeypatch) == {"dlq.E007"}


def test_nothing_is_checked_unless_asked_for() -> None:
    assert durability(None) == []
