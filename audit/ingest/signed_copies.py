"""What the store keeps in Redis for the time without PostgreSQL is signed, under the name that it is kept by.

The key is DLQ_ENTRY_KEY, which Redis does not have: so who writes to Redis makes no copy, and moves none to another
name.
"""

import hashlib
import hmac
from typing import Any

import redis
from django.conf import settings

import dlq.client


class CopyUnavailable(Exception):
    """Redis did not answer."""


def sign(kind: bytes, name: str, text: bytes) -> bytes:
    """Return the entry that keeps a text under a name; `kind`, which ends in a newline, is all else that it hangs on.

    Names have no newline, so no two kinds, names and texts give the same bytes.
    """
    return _mac(settings.DLQ_ENTRY_KEY, kind, name, text) + b" " + text


def opened(kind: bytes, name: str, entry: bytes) -> bytes | None:
    """Return the text of an entry, if the store itself signed it as this kind under this name, with any of its keys."""
    mac, _, text = entry.partition(b" ")
    keys = (settings.DLQ_ENTRY_KEY, *settings.DLQ_ENTRY_OLD_KEYS)
    return text if any(hmac.compare_digest(mac, _mac(key, kind, name, text)) for key in keys) else None


def put(name: str, entry: bytes) -> None:
    """Put an entry into Redis under a name that no other kind uses. Raises `CopyUnavailable`."""
    try:
        dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit").set(dlq.client.app_key("audit", name), entry)
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error


def get(name: str) -> bytes | None:
    """Return what stands in Redis under a name; nothing of it is believed before it is opened.

    Raises `CopyUnavailable`.
    """
    try:
        entry: Any = dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit").get(dlq.client.app_key("audit", name))
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error
    return None if entry is None else bytes(entry)


def _mac(key: bytes, kind: bytes, name: str, text: bytes) -> bytes:
    return hmac.digest(key, kind + name.encode() + b"\n" + text, hashlib.sha256).hex().encode()
