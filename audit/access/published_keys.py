"""The copy of the writers' keys in Redis, for the time in which PostgreSQL does not answer.

One of the few modules that use Redis by themselves: the copy is a hash from a key's digest to its writer as JSON, each
entry signed with DLQ_ENTRY_KEY, which Redis does not have. So whoever can write to Redis can make no key.
That a key is not there says something only of a copy that is whole: one that Redis lost, or that was signed with a key
which this process does not know any more, knows nobody. So each copy has a mark, signed as its entries are.
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
# No digest is called so.
_MARK = "whole"


def hash_name() -> str:
    """Return the name of the hash in Redis; installations that share a Redis have one each."""
    return dlq.client.app_key("audit", "keys")


def replace(writers: Mapping[str, list[Any]]) -> None:
    """Make the copy hold exactly these writers, by the digest of their key. Raises `CopyUnavailable`."""
    signed = {digest: _signed(digest, json.dumps(writer)) for digest, writer in writers.items()}
    signed[_MARK] = _signed(_MARK, "")
    try:
        with dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit").pipeline(transaction=True) as pipe:
            pipe.delete(hash_name())
            pipe.hset(hash_name(), mapping=signed)  # type: ignore[arg-type]
            pipe.execute()
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error


def find(digest: str) -> list[Any] | None:
    """Return the writer whose key has this digest; None where the store itself published others, and not this one.

    Raises `CopyUnavailable`, also where what is there says nothing of this key.
    """
    try:
        found: Any = dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit").hmget(hash_name(), [digest, _MARK])
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error
    entry, mark = found
    if entry is not None and (text := _opened(digest, entry)) is not None:
        return list(json.loads(text))
    if mark is None or signed_copies.opened(_KIND, _MARK, mark) is None:
        raise CopyUnavailable("The copy is not there, or is not signed with a key that is known here.")
    return None


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
