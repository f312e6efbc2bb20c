"""Sign what is parked, so that who can write to Redis, or to a file of the spool, cannot speak as a writer.

An entry carries an HMAC-SHA256 under a key that Redis does not have (DLQ_ENTRY_KEY). It covers what the store takes
from an entry: source, key, kind, digest of the body, time of receipt, and what is kept beside it. An entry with nothing
beside it is signed as all were before there was such a thing: old entries verify, and a release that does not know the
other kind finds those forged, and never stores them without what belongs to them. What does not verify is never
stored: it stays in the queue, dead, with an alarm.
"""

import hmac
import struct
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from django.conf import settings

from dlq import metrics
from dlq.message import Document, Message, microseconds

log = structlog.get_logger(__name__)

# The kind of error of a message that does not verify.
FORGED = "Forged"
# With its length before it, as all fields have.
_LENGTHS = struct.Struct(">5Q").pack
_BESIDE = len(b"dlq entry 2").to_bytes(8, "big") + b"dlq entry 2"
_DOMAIN = len(b"dlq entry 1").to_bytes(8, "big") + b"dlq entry 1"


def sign(document: Document | Message) -> bytes:
    """Return the 32 bytes that an entry of this document carries."""
    return _mac(settings.DLQ_ENTRY_KEY, document)


def is_authentic(message: Message) -> bool:
    """Whether this store parked the message, as it is now. The body is not looked at: its digest is (`digest_ok`).

    A message without a signature is from before they were made, or forged: it passes only until DLQ_UNSIGNED_UNTIL, and
    that is logged and counted.
    """
    if not message.mac:
        return _passes_unsigned(message)
    return signed_by(message, [settings.DLQ_ENTRY_KEY, *settings.DLQ_ENTRY_OLD_KEYS]) is not None


def signed_by(message: Message, keys: Iterable[bytes]) -> int | None:
    """Return the place of the key that has signed a message, from 0; None where none of them has."""
    fitting = (at for at, key in enumerate(keys) if hmac.compare_digest(_mac(key, message), message.mac))
    return next(fitting, None)


def _passes_unsigned(message: Message) -> bool:
    until = settings.DLQ_UNSIGNED_UNTIL
    if until is None or datetime.now(UTC) >= until:
        return False
    metrics.unsigned.inc()
    log.warning("dlq_unsigned_accepted", key=message.key, source=message.source, until=until.isoformat())
    return True


def _mac(key: bytes, document: Document | Message) -> bytes:
    source = document.source.encode(errors="replace")
    name = document.key.encode(errors="replace")
    kind = document.kind.encode(errors="replace")
    digest = document.digest
    received = b"%d" % microseconds(document.received_at)
    lengths = _LENGTHS(len(source), len(name), len(kind), len(digest), len(received))
    # Each after its length, so that no two documents give the same bytes.
    parts: tuple[bytes, ...] = (
        *(_DOMAIN, lengths[:8], source, lengths[8:16], name, lengths[16:24], kind),
        *(lengths[24:32], digest, lengths[32:], received),
    )
    if document.beside:
        parts = (_BESIDE, *parts[1:], len(document.beside).to_bytes(8, "big"), document.beside)
    return hmac.digest(key, b"".join(parts), "sha256")
