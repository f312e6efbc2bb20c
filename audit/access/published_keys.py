"""The copy of the writers' keys in Redis, for the time in which PostgreSQL does not answer.

One of the few modules that use Redis by themselves: the copy is a hash from a key's digest to its writer as JSON, each
entry signed with DLQ_ENTRY_KEY, which Redis does not have. So whoever can write to Redis can make no key.
The public keys of the issuer of tokens are kept so, too.
"""

import json
from collections.abc import Mapping
from typing import Any

import redis
import structlog
from django.conf import settings

import dlq.client
from audit.ingest import signed_copies
from audit.ingest.signed_copies import CopyUnavailable

log = structlog.get_logger(__name__)

_KIND = b"published key 1\n"


def hash_name() -> str:
    """Return the name of the hash in Redis; installations that share a Redis have one each."""
    return dlq.client.app_key("audit", "keys")


def replace(writers: Mapping[str, list[Any]]) -> None:
    """Make the copy hold exactly these writers, by the digest of their key. Raises `CopyUnavailable`."""
    signed = {digest: _signed(digest, json.dumps(writer)) for digest, writer in writers.items()}
    try:
        with dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit").pipeline(transaction=True) as pipe:
            pipe.delete(hash_name())
            if signed:
                pipe.hset(hash_name(), mapping=signed)  # type: ignore[arg-type]
            pipe.execute()
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error


def find(digest: str) -> list[Any] | None:
    """Return the writer whose key has this digest, if the store itself published it. Raises `CopyUnavailable`."""
    try:
        entry: Any = dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit").hget(hash_name(), digest)
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error
    if entry is None:
        return None
    text = _opened(digest, entry)
    return None if text is None else list(json.loads(text))


def keep(name: str, text: str) -> None:
    """Keep a text under a name that is no digest. Raises `CopyUnavailable`."""
    signed_copies.put(name, _signed(name, text))


def kept(name: str) -> str | None:
    """Return the text, if the store itself kept it. Raises `CopyUnavailable`."""
    entry = signed_copies.get(name)
    text = None if entry is None else _opened(name, entry)
    return None if text is None else text.decode()


def _opened(name: str, entry: bytes) -> bytes | None:
    """The text of an entry that the store itself signed under this name."""
    text = signed_copies.opened(_KIND, name, entry)
    if text is None:
        log.error("published_key_forged", digest=name[:12])
    return text


def _signed(name: str, text: str) -> bytes:
    return signed_copies.sign(_KIND, name, text.encode())
