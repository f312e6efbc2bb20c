"""The API keys of writers: issued once, stored as digests, checked without PostgreSQL.

PostgreSQL is authoritative and asked first, in bounded time, so that revoking a key works; a process trusts the answer
for WRITER_KEY_TTL_S. While PostgreSQL does not answer, the copy in Redis does; while neither does, a process keeps
trusting the keys that were valid when it last asked.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import psycopg
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from audit.access import published_keys
from audit.access.budget import Budget
from audit.errors import AuditError, Unavailable
from audit.ingest import entry_keys, erasure_rules
from audit.ingest.signed_copies import CopyUnavailable
from audit.models import OWN_WRITER, Writer, WriterKey
from audit.postgres.faults import Fault, fault
from audit.postgres.gateway import gateway
from audit.visibility import EVERYTHING, Scope, Scopes

log = structlog.get_logger(__name__)

# Unknown keys that a process remembers, so that one that is sent again costs nothing.
UNKNOWN_KEYS = 10_000
_FIND = b"""
SELECT w.name, w.scopes, extract(epoch FROM k.expires_at)::float8, w.reads_writers, w.reads_categories,
       ARRAY[w.quota_events, w.quota_bytes, w.quota_epochs, w.quota_manifests, w.quota_exports], w.is_lenient,
       k.entry_key, k.revoked_at IS NOT NULL
FROM audit_writerkey k JOIN audit_writer w ON w.id = k.writer_id
WHERE k.digest = %s
"""
# To the minute, and without waiting for anybody who is changing the row.
_USED = b"""
UPDATE audit_writerkey SET used_at = now() WHERE id IN (
    SELECT id FROM audit_writerkey WHERE digest = %s AND (used_at IS NULL OR used_at < now() - interval '1 minute')
    FOR UPDATE SKIP LOCKED)
"""


class Quotas(NamedTuple):
    """What a writer may send in a UTC day, and have open at once; None without a limit."""

    events: int | None = None
    bytes: int | None = None
    epochs: int | None = None
    manifests: int | None = None
    exports: int | None = None


NO_QUOTAS = Quotas()


@dataclass(frozen=True)
class Principal:
    name: str
    scopes: frozenset[str]
    expires_at: float | None = None
    sight: Scopes = EVERYTHING  # which records it may read
    quotas: Quotas = NO_QUOTAS
    is_lenient: bool = False  # whether its invalid events are kept, for a person to correct

    is_authenticated: ClassVar = True

    @property
    def pk(self) -> str:
        return self.name


class Ended(NamedTuple):
    """A key that was this writer's, and has been revoked or has expired."""

    name: str


class Unanswerable(Exception):
    """Whose key this is cannot be said now."""

    def __init__(self, why: str = "The key cannot be checked: neither Redis nor PostgreSQL answers."):
        super().__init__(why)


def issue(writer: Writer, *, expires_at: datetime | None = None) -> str:
    """Create and publish a new key of `writer`; return it: it is seen only here."""
    prefix = f"aw_{secrets.token_hex(4)}"
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    entry_key = entry_keys.sealed(key, digest(key))
    WriterKey.objects.create(
        writer=writer, prefix=prefix, digest=digest(key), entry_key=entry_key, expires_at=expires_at
    )
    publish()
    return key


def admit_subject(writer: Writer, subject: str) -> None:
    """Let tokens of JWT_ISSUER with this subject speak as the writer. Raises `SubjectTaken`."""
    try:
        with transaction.atomic():
            subject_key = subject_digest(settings.JWT_ISSUER, subject)
            WriterKey.objects.filter(digest=subject_key).exclude(revoked_at=None).delete()
            WriterKey.objects.create(writer=writer, prefix="token", digest=subject_key, subject=subject)
    except IntegrityError:
        raise SubjectTaken from None
    publish()


def is_taken(subject: str) -> bool:
    """Whether tokens with this subject speak as a writer now."""
    keys = WriterKey.objects.filter(digest=subject_digest(settings.JWT_ISSUER, subject), revoked_at=None)
    return bool(keys.exists())


class SubjectTaken(AuditError):
    """This subject speaks as a writer already: revoke that first."""


def overlap() -> timedelta:
    """Return how long the old keys work beside a new one, unless somebody says otherwise."""
    return timedelta(hours=settings.KEY_OVERLAP_HOURS)


def rotate(writer: Writer, *, overlap: timedelta) -> str:
    """Make a new key; the old ones stop after `overlap`, or sooner where they would. Subjects of tokens stay."""
    with transaction.atomic():
        now, old = timezone.now(), writer.keys.filter(revoked_at=None, subject="")
        if overlap:
            old.filter(Q(expires_at=None) | Q(expires_at__gt=now + overlap)).update(expires_at=now + overlap)
        else:
            old.update(revoked_at=now)
        return issue(writer)


def revoke_old(writer: Writer) -> int:
    """Stop all keys but the newest; return how many. Subjects of tokens stay."""
    keys = writer.keys.filter(revoked_at=None, subject="")
    newest = keys.order_by("-created_at", "-pk").values("pk")[:1]
    count: int = keys.exclude(pk__in=newest).update(revoked_at=timezone.now())
    publish()
    return count


def revoke(writer: Writer) -> int:
    count: int = writer.keys.filter(revoked_at=None).update(revoked_at=timezone.now())
    publish()
    return count


def publish() -> None:
    """Copy all valid keys to Redis, once the transaction at hand is committed; and the rules of erasure.

    A process that begins in an outage takes nothing without both.
    """
    transaction.on_commit(_publish)


def digest(key: str) -> str:
    """Return what is stored of a key. It has 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def subject_digest(issuer: str, subject: str) -> str:
    """Return what stands for a subject of tokens among the digests of keys. No key has such a digest: it is no hex."""
    text = f"{issuer}\n{subject}".encode(errors="replace")
    return f"jwt:{hashlib.sha256(text).hexdigest()[:60]}"


class TooManyUnknown(Exception):
    """The network has sent so many unknown keys that the next one is not looked up."""


def check(key: str, network: str = "") -> Principal | None:
    """Return whose key it is; None when it is unknown, revoked or expired.

    A network that sent too many unknown keys costs no query: its next one is looked for in the copy alone.
    Raises `Unanswerable`, and `TooManyUnknown` where the copy does not answer either.
    """
    return check_digest(digest(key), network, key)


def check_digest(key_digest: str, network: str = "", key: str = "") -> Principal | None:
    """As `check`, by the digest of a key or of a subject; a `key` gives its entry key on the way."""
    if _cache.is_unknown(key_digest):
        return None
    cached = _cache.principal(key_digest)
    if cached is None or cached[0] < time.monotonic():
        answer = _look_up_or_trust(key_digest, network, cached, key)
        _cache.remember(key_digest, answer)
        if answer is None and network:
            unknown_keys.spend(network)
    else:
        answer = cached[1]
    return answer if isinstance(answer, Principal) and not _has_expired(answer) else None


def whose_ended(key: str) -> str | None:
    """Return whose key it was that `check` has refused just now, because it is revoked or has expired."""
    return _cache.ended(digest(key))


def _has_expired(principal: Principal) -> bool:
    return principal.expires_at is not None and principal.expires_at < time.time()


def forget() -> None:
    """Trust nothing that was checked before."""
    _cache.clear()


class _Cache:
    """The keys that were checked lately, for all threads of a process. Unknown ones never push out a good one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Principal]] = {}
        self._unknown: OrderedDict[str, tuple[float, Ended | None]] = OrderedDict()

    def principal(self, key_digest: str) -> tuple[float, Principal] | None:
        """Return a valid key, and until when (monotonic) it is trusted."""
        with self._lock:
            return self._known.get(key_digest)

    def is_unknown(self, key_digest: str) -> bool:
        with self._lock:
            return self._unknown.get(key_digest, (0.0, None))[0] > time.monotonic()

    def ended(self, key_digest: str) -> str | None:
        """Return whose key it was, of one that is refused."""
        with self._lock:
            _, principal = self._known.get(key_digest, (0.0, None))
            _, ended = self._unknown.get(key_digest, (0.0, None))
        if principal is not None and _has_expired(principal):
            return principal.name
        return ended and ended.name

    def remember(self, key_digest: str, answer: Principal | Ended | None) -> None:
        until = time.monotonic() + settings.WRITER_KEY_TTL_S
        with self._lock:
            if isinstance(answer, Principal):
                self._known[key_digest] = (until, answer)
                self._unknown.pop(key_digest, None)
                return
            self._known.pop(key_digest, None)
            self._unknown[key_digest] = until, answer
            self._unknown.move_to_end(key_digest)
            if len(self._unknown) > UNKNOWN_KEYS:
                self._unknown.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self._unknown.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._known) + len(self._unknown)


_cache = _Cache()
# A burst of 20 unknown keys from a network is looked up, then one a second.
unknown_keys = Budget(burst=20, per_second=1)


def _publish() -> None:
    keys = WriterKey.objects.filter(revoked_at=None).select_related("writer")
    try:
        published_keys.replace({key.digest: _published(key) for key in keys})
    except CopyUnavailable as error:
        # The schedule publishes again each minute; until then PostgreSQL is asked.
        log.error("keys_not_published", error=str(error))
    forget()
    erasure_rules.publish()


def _published(key: WriterKey) -> list[Any]:
    writer, ends = key.writer, key.expires_at and key.expires_at.timestamp()
    return [
        writer.name,
        writer.scopes,
        ends,
        writer.reads_writers,
        writer.reads_categories,
        writer.quotas,
        writer.is_lenient,
    ]


def _look_up_or_trust(
    key_digest: str, network: str, cached: tuple[float, Principal] | None, key: str
) -> Principal | Ended | None:
    """Look a key up; while neither server answers nobody can revoke one, so a key that was valid stays valid.

    Raises `Unanswerable` for a key that this process has not seen.
    """
    try:
        if network and cached is None and unknown_keys.is_spent(network):
            return _ask_copy(key_digest)
        with suppress(Unanswerable):
            return _ask_postgres(key_digest, key)
        return _ask_copy_then_longer(key_digest, key, is_trusted=cached is not None)
    except Unanswerable:
        if cached is None:
            if network and unknown_keys.is_spent(network):
                raise TooManyUnknown from None
            raise
        return cached[1]


def _ask_copy_then_longer(key_digest: str, key: str, *, is_trusted: bool) -> Principal | Ended | None:
    """Look up a key of which PostgreSQL did not say in time whose it is: in the copy, then in PostgreSQL for longer.

    A process that has just begun still has to connect, and the copy may be lost or of before a rotation. A writer who
    is refused for that loses what they send, so PostgreSQL is given the time that a write has, unless the key
    `is_trusted` anyway. Raises `Unanswerable`.
    """
    said: Unanswerable | None = None
    try:
        if (principal := _ask_copy(key_digest)) is not None:
            return principal
    except Unanswerable as error:
        if is_trusted:
            raise
        said = error
    try:
        return _ask_postgres(key_digest, key, settings.RECORD_PATIENCE_MS)
    except Unanswerable:
        if said is not None:
            raise said from None
        return None  # the copy has all that are valid


def _ask_copy(key_digest: str) -> Principal | None:
    """Look a key up in Redis, which knows every valid one: another is refused while PostgreSQL is not asked."""
    try:
        writer = published_keys.find(key_digest)
    except CopyUnavailable as error:
        raise Unanswerable from error
    return None if writer is None else _principal(*writer)


def _ask_postgres(key_digest: str, key: str, wait_ms: int | None = None) -> Principal | Ended | None:
    """Look a key up, for RECORD_TIMEOUT_MS at most, or for `wait_ms`. Raises `Unanswerable`."""
    try:
        with gateway().connection((wait_ms or settings.RECORD_TIMEOUT_MS) / 1000) as connection:
            row = connection.execute(_FIND, (key_digest,)).fetchone()
    except (psycopg.Error, Unavailable) as error:
        if fault(error) is Fault.DOWN:
            gateway().breaker.open(type(error).__name__)  # else the write that follows would wait once more
        raise Unanswerable from error
    if row is None:
        return None
    *found, entry_key, is_revoked = row
    if is_revoked:
        return Ended(found[0])
    principal = _principal(*found)
    if principal is not None and not _has_expired(principal):
        _note_use(key_digest)
    if key:
        entry_keys.learn(key, key_digest, entry_key)
    return principal


def _note_use(key_digest: str) -> None:
    """Keep when a key was used; what cannot be kept is left out, and stops nobody."""
    with suppress(psycopg.Error, Unavailable), gateway().connection(settings.RECORD_TIMEOUT_MS / 1000) as connection:
        connection.execute(_USED, (key_digest,))


def _principal(
    name: str,
    scopes: list[str],
    expires_at: Any,
    writers: Sequence[str] = (),
    categories: Sequence[str] = (),
    quotas: Sequence[int | None] = (),
    is_lenient: bool = False,
) -> Principal | None:
    if name == OWN_WRITER:
        return None  # no key speaks as the store itself, whatever a row or a copy in Redis says
    sight = (Scope(tuple(writers), tuple(categories)),) if writers or categories else EVERYTHING
    return Principal(name, frozenset(scopes), expires_at, sight, Quotas(*quotas), is_lenient)
