"""The keys with which writers sign what they park by themselves, so that a drain knows whose it is.

Each is derived from an API key (`dlq.inbox.mac_key`), of which only a digest is kept: so the derived key is kept
beside that, encrypted with DLQ_ENTRY_KEY. Who reads PostgreSQL or Redis can sign for nobody.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from audit.models import WriterKey
from dlq.inbox import Entry, key_id, mac_key

log = structlog.get_logger(__name__)

TRUSTED_FOR_S = 10.0
NONCE_BYTES = 12
_PURPOSE = b"entry keys of writers 1"


class Unknown(Exception):
    """PostgreSQL has to be asked about this key, and does not answer."""


class Signature(NamedTuple):
    """Whose signature an entry carries, and why it is not taken all the same; no writer where it is nobody's."""

    writer: str
    fault: str = ""


class _Known(NamedTuple):
    mac_key: bytes | None
    writer: str
    fault: str


def sealed(api_key: str, digest: str) -> bytes:
    """Return the entry key of an API key as PostgreSQL keeps it."""
    return _encrypted(mac_key(api_key), digest)


def learn(api_key: str, digest: str, known: bytes | None) -> None:
    """Keep the entry key of an API key that is used, where what PostgreSQL has is not of the DLQ_ENTRY_KEY of today.

    So it is for a key that was issued before there were entry keys. Never raises: the next call does it.
    """
    if known is not None and _opened(known, digest, [settings.DLQ_ENTRY_KEY]) is not None:
        return
    try:
        WriterKey.objects.filter(digest=digest).update(entry_key=sealed(api_key, digest))
    except DatabaseError as error:
        log.warning("entry_key_not_learned", error=type(error).__name__)


def renew() -> int:
    """Encrypt with the DLQ_ENTRY_KEY of today what is encrypted with one of before; return how many were.

    `learn` does it for a key that is used: without this, a key that sends nothing through a rotation could sign no
    entry once the old key is gone. Raises `DatabaseError`.
    """
    if not settings.DLQ_ENTRY_OLD_KEYS:
        return 0
    count = 0
    for key in WriterKey.objects.filter(revoked_at=None).exclude(entry_key=None).iterator(chunk_size=1000):
        if _opened(key.entry_key, key.digest, [settings.DLQ_ENTRY_KEY]) is not None:
            continue
        if (found := _opened(key.entry_key, key.digest, settings.DLQ_ENTRY_OLD_KEYS)) is not None:
            # Not where another process has learned it meanwhile.
            same = WriterKey.objects.filter(pk=key.pk, entry_key=key.entry_key)
            count += same.update(entry_key=_encrypted(found, key.digest))
    return count


def signature(entry: Entry, *, seen_at: float | None = None) -> Signature:
    """Return who has signed an entry, which is here since `seen_at` (monotonic seconds; now). Raises `Unknown`.

    A key that was issued after the entry came has not signed it: of many entries with unknown keys that came
    together, PostgreSQL is asked once.
    """
    candidates = _of_process.candidates(entry.key_id, time.monotonic() if seen_at is None else seen_at)
    for known in candidates:
        if known.mac_key is not None and entry.is_signed_with(known.mac_key):
            return Signature(known.writer, known.fault)
    if any(known.mac_key is None for known in candidates):
        return Signature("", "its key has not been used with the API since keys sign entries: send one event there")
    return Signature("", "no key that this store has issued has signed it")


class _Keys:
    """All keys, for the threads of a process: asked for anew after a while, and for an id that is not among them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, list[_Known]] = {}
        self._read_at: float | None = None

    def candidates(self, entry_key_id: str, seen_at: float) -> list[_Known]:
        with self._lock:
            age_s = TRUSTED_FOR_S if self._read_at is None else time.monotonic() - self._read_at
            known = self._known.get(entry_key_id, [])
            is_new = not known and (self._read_at is None or self._read_at < seen_at)
            if age_s >= TRUSTED_FOR_S or is_new:
                self._read(must=is_new)
            return self._known.get(entry_key_id, [])

    def forget(self) -> None:
        with self._lock:
            self._known, self._read_at = {}, None

    def _read(self, *, must: bool) -> None:
        """Ask PostgreSQL; while it is away, nobody can revoke a key, so a known one is trusted. Raises `Unknown`."""
        asked_at = time.monotonic()
        try:
            keys = list(WriterKey.objects.select_related("writer"))
        except DatabaseError as error:
            if must:
                raise Unknown from error
            return
        self._known, self._read_at = {}, asked_at
        secrets_known = [settings.DLQ_ENTRY_KEY, *settings.DLQ_ENTRY_OLD_KEYS]
        for key in keys:
            known = _Known(_opened(key.entry_key, key.digest, secrets_known), key.writer.name, _fault(key))
            self._known.setdefault(key_id(key.digest), []).append(known)


_of_process = _Keys()


def forget() -> None:
    """Trust nothing that was read before."""
    _of_process.forget()


def _fault(key: WriterKey) -> str:
    if key.revoked_at is not None:
        return "its key has been revoked"
    if key.expires_at is not None and key.expires_at < timezone.now():
        return "its key has expired"
    return "" if "write" in key.writer.scopes else "its key may not write"


def _encrypted(entry_key: bytes, digest: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(_encryption_key(settings.DLQ_ENTRY_KEY)).encrypt(nonce, entry_key, digest.encode())


def _opened(data: bytes | memoryview | None, digest: str, with_secrets: Iterable[bytes]) -> bytes | None:
    """Decrypt an entry key; None where there is none, or it was encrypted with a key that is gone."""
    if data is None:
        return None
    nonce, text = bytes(data[:NONCE_BYTES]), bytes(data[NONCE_BYTES:])
    for secret in with_secrets:
        with suppress(InvalidTag):
            return AESGCM(_encryption_key(secret)).decrypt(nonce, text, digest.encode())
    return None


def _encryption_key(secret: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE, hashlib.sha256)
