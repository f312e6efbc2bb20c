"""Texts that are kept in Redis for the time in which PostgreSQL does not answer, signed with DLQ_ENTRY_KEY.

Redis does not have that key: whoever can write to it can make none of them.
"""

import hashlib
import hmac
from typing import Any

import redis
import structlog
from django.conf import settings

import dlq.client

log = structlog.get_logger(__name__)

_DOMAIN = b"published key 1\n"


class CopyUnavailable(Exception):
    """Redis did not answer."""


def keep(name: str, text: str) -> None:
    """Keep a text under a name that is no digest. Raises `CopyUnavailable`."""
    try:
        dlq.client.connect(settings.DLQ_TIMEOUT_MS).set(dlq.client.app_key("audit", name), signed(name, text))
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error


def kept(name: str) -> str | None:
    """Return the text, if the store itself kept it. Raises `CopyUnavailable`."""
    try:
        entry: Any = dlq.client.connect(settings.DLQ_TIMEOUT_MS).get(dlq.client.app_key("audit", name))
    except redis.RedisError as error:
        raise CopyUnavailable(type(error).__name__) from error
    text = None if entry is None else opened(name, entry)
    return None if text is None else text.decode()


def opened(name: str, entry: bytes) -> bytes | None:
    """Return the text of an entry that the store itself signed under this name."""
    mac, _, text = entry.partition(b" ")
    keys = (settings.DLQ_ENTRY_KEY, *settings.DLQ_ENTRY_OLD_KEYS)
    if not any(hmac.compare_digest(mac, _mac(key, name, text)) for key in keys):
        log.error("published_key_forged", digest=name[:12])
        return None
    return text


def signed(name: str, text: str) -> bytes:
    """Return a text as Redis keeps it."""
    return _mac(settings.DLQ_ENTRY_KEY, name, text.encode()) + b" " + text.encode()


def _mac(key: bytes, name: str, text: bytes) -> bytes:
    # Digests and names have no newline, so no two pairs give the same bytes.
    return hmac.digest(key, _DOMAIN + name.encode() + b"\n" + text, hashlib.sha256).hex().encode()
