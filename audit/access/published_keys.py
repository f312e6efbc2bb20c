"""The copy of the writers' keys in Redis, for the time in which PostgreSQL does not answer.

One of the few modules that use Redis by themselves: the copy is a hash from a key's digest to its writer as JSON.
"""

import json
from collections.abc import Mapping
from typing import Any

import redis
from django.conf import settings

import dlq.client


class CopyUnavailable(Exception):
    """Redis did not answer."""


def hash_name() -> str:
    """Return the name of the hash in Redis; installations that share a Redis have one each."""
    return dlq.client.app_key("audit", "keys")


def replace(writers: Mapping[str, list[Any]]) -> None:
    """Make the copy hold exactly these writers, by the digest of their key. Raises `CopyUnavailable`."""
    try:
        with dlq.client.connect(settings.DLQ_TIMEOUT_MS).pipeline(transaction=True) as pipe:
            pipe.delete(hash_name())
            if writers:
                pipe.hset(hash_name(), mapping={digest: json.dumps(writer) for digest, writer in writers.items()})
            pipe.execute()
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error


def find(digest: str) -> list[Any] | None:
    """Return the writer whose key has this digest. Raises `CopyUnavailable`."""
    try:
        text = dlq.client.connect(settings.DLQ_TIMEOUT_MS).hget(hash_name(), digest)
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error
    return None if text is None else list(json.loads(text))
