"""What the store keeps in Redis for the time without PostgreSQL is signed, under the name that it is kept by.

The key is DLQ_ENTRY_KEY, which Redis does not have: so who writes to Redis makes no copy, and moves none to another
name.
"""

import hashlib
import hmac

from django.conf import settings


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


def _mac(key: bytes, kind: bytes, name: str, text: bytes) -> bytes:
    return hmac.digest(key, kind + name.encode() + b"\n" + text, hashlib.sha256).hex().encode()
