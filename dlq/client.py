"""Connections to Redis: short timeouts, and never a retry behind the caller's back.

redis-py retries ten times by default: a stopped server then costs seconds, and a stalled one can write the
same message twice.
"""

import os

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

DRAIN_TIMEOUT_MS = 5_000


def connect(timeout_ms: int) -> redis.Redis:
    """This process's client with this timeout; a forked child gets one of its own."""
    place = (os.getpid(), settings.REDIS_URL, timeout_ms)
    if (client := _clients.get(place)) is None:
        client = _clients.setdefault(place, _new(timeout_ms))
    return client


_clients: dict[tuple[int, str, int], redis.Redis] = {}


def _new(timeout_ms: int) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(
        settings.REDIS_URL,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        socket_timeout=timeout_ms / 1000,
        socket_connect_timeout=timeout_ms / 1000,
    )
    return client
