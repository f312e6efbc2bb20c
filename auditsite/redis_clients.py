"""Have django-redis and django-q2 open their Redis by `dlq.servers`, so that they take every form of an address."""

from typing import Any

import redis
from django.conf import settings
from django_q.brokers.redis_broker import Redis as RedisBroker
from django_redis.pool import ConnectionFactory
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from dlq import servers

# The keys of the cache and of django-q2 on a cluster: what the names of `settings.py` have in braces.
CACHE_TAG, QUEUE_TAG = "cache", "auditsite"
# django-q2 waits a second for a task.
QUEUE_TIMEOUT_S = 5.0
# What redis-py does by itself: a worker survives a failover.
QUEUE_TRIES = 10


class CacheConnections(ConnectionFactory[Any, Any, Any]):  # type: ignore[misc]
    """What django-redis makes its connections with."""

    def get_or_create_connection_pool(self, params: dict[str, Any]) -> Any:
        url = params["url"]
        if url not in self._pools:
            self._pools[url] = servers.pool(url, tag=CACHE_TAG, timeout_s=params["socket_timeout"])
        return self._pools[url]


class Broker(RedisBroker):  # type: ignore[misc]
    """The queue of django-q2 in the Redis of QUEUE_URL."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> redis.Redis:
        """Return a client that tries again for a while, as redis-py does by itself."""
        retry = Retry(ExponentialWithJitterBackoff(base=1, cap=10), QUEUE_TRIES)
        return servers.client(settings.QUEUE_URL, tag=QUEUE_TAG, timeout_s=QUEUE_TIMEOUT_S, retry=retry)
