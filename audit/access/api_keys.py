"""The API keys of writers: issued once, stored as digests, checked without PostgreSQL.

PostgreSQL is authoritative and asked first, in bounded time, so that revoking a key works; a process trusts the answer
for WRITER_KEY_TTL_S. While PostgreSQL does not answer, the copy in Redis does; while neither does, a process keeps
trusting the keys that were valid when it last asked.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import psycopg
import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.access import published_keys
from audit.access.published_keys import CopyUnavailable
from audit.errors import Unavailable
from audit.models import OWN_WRITER, Writer, WriterKey
from audit.postgres.faults import Fault, fault
from audit.postgres.gateway import gateway
from audit.visibility import EVERYTHING, Scope, Scopes

log = structlog.get_logger(__name__)

CACHED_KEYS = 10_000

_FIND = b"""
SELECT w.name, w.scopes, extract(epoch FROM k.expires_at)::float8, w.reads_writers, w.reads_categories
FROM audit_writerkey k JOIN audit_writer w ON w.id = k.writer_id
WHERE k.digest = %s AND k.revoked_at IS NULL
"""


@dataclass(frozen=True)
class Principal:
    """The writer that a key authenticates."""

    name: str
    scopes: frozenset[str]
    expires_at: float | None = None
    sight: Scopes = EVERYTHING  # which records it may read

    is_authenticated: ClassVar = True

    @property
    def pk(self) -> str:
        return self.name


class Unanswerable(Exception):
    """Neither Redis nor PostgreSQL can say whose key this is."""


def issue(writer: Writer, *, expires_at: datetime | None = None) -> str:
    """Create and publish a new key of `writer`; return it: it is seen only here."""
    prefix = f"aw_{secrets.token_hex(4)}"
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    WriterKey.objects.create(writer=writer, prefix=prefix, digest=digest(key), expires_at=expires_at)
    publish()
    return key


def rotate(writer: Writer) -> str:
    """Replace every key of `writer` by a new one."""
    with transaction.atomic():
        writer.keys.filter(revoked_at=None).update(revoked_at=timezone.now())
        return issue(writer)


def revoke(writer: Writer) -> int:
    """Revoke every key of `writer`; return how many."""
    count: int = writer.keys.filter(revoked_at=None).update(revoked_at=timezone.now())
    publish()
    return count


def publish() -> None:
    """Copy all valid keys to Redis, once the transaction at hand is committed."""
    transaction.on_commit(_publish)


def digest(key: str) -> str:
    """Return what is stored of a key. It has 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def check(key: str) -> Principal | None:
    """Return whose key it is; None when it is unknown, revoked or expired. Raises `Unanswerable`."""
    key_digest, now = digest(key), time.monotonic()
    cached = _checked.get(key_digest)
    if cached is None or cached[0] < now:
        if len(_checked) > CACHED_KEYS:
            _forget_the_unknown()  # a flood of wrong keys must not fill the memory, nor push out the good ones
        cached = _checked[key_digest] = (now + settings.WRITER_KEY_TTL_S, _look_up_or_trust(key_digest, cached))
    principal = cached[1]
    if principal is None or (principal.expires_at is not None and principal.expires_at < time.time()):
        return None
    return principal


def forget() -> None:
    """Trust nothing that was checked before."""
    _checked.clear()


_checked: dict[str, tuple[float, Principal | None]] = {}


def _forget_the_unknown() -> None:
    for key_digest in [key for key, (_, principal) in _checked.items() if principal is None]:
        del _checked[key_digest]


def _publish() -> None:
    keys = WriterKey.objects.filter(revoked_at=None).select_related("writer")
    try:
        published_keys.replace({key.digest: _published(key) for key in keys})
    except CopyUnavailable as error:
        # The schedule publishes again each minute; until then PostgreSQL is asked.
        log.error("keys_not_published", error=str(error))
    forget()


def _published(key: WriterKey) -> list[Any]:
    writer, ends = key.writer, key.expires_at and key.expires_at.timestamp()
    return [writer.name, writer.scopes, ends, writer.reads_writers, writer.reads_categories]


def _look_up_or_trust(key_digest: str, cached: tuple[float, Principal | None] | None) -> Principal | None:
    """Viewer a key up; while neither server answers nobody can revoke one, so a key that was valid stays valid.

    Raises `Unanswerable` for a key that this process has not seen.
    """
    try:
        return _look_up(key_digest)
    except Unanswerable:
        if cached is None or cached[1] is None:
            raise
        return cached[1]


def _look_up(key_digest: str) -> Principal | None:
    with suppress(Unanswerable):
        return _ask_postgres(key_digest)
    try:
        writer = published_keys.find(key_digest)
    except CopyUnavailable as error:
        raise Unanswerable from error
    # A key that Redis does not know is refused while PostgreSQL is down.
    return None if writer is None else _principal(*writer)


def _ask_postgres(key_digest: str) -> Principal | None:
    try:
        with gateway().connection(settings.RECORD_TIMEOUT_MS / 1000) as connection:
            row = connection.execute(_FIND, (key_digest,)).fetchone()
    except (psycopg.Error, Unavailable) as error:
        if fault(error) is Fault.DOWN:
            gateway().breaker.open(type(error).__name__)  # else the write that follows would wait once more
        raise Unanswerable from error
    return None if row is None else _principal(*row)


def _principal(
    name: str, scopes: list[str], expires_at: Any, writers: Sequence[str] = (), categories: Sequence[str] = ()
) -> Principal | None:
    if name == OWN_WRITER:
        return None  # no key speaks as the store itself, whatever a row or a copy in Redis says
    sight = (Scope(tuple(writers), tuple(categories)),) if writers or categories else EVERYTHING
    return Principal(name, frozenset(scopes), expires_at, sight)
