"""erasure_rules: which members of events are stored so that they can be erased, as every acceptance asks.

PostgreSQL is asked once in RULES_TRUSTED_S; while it does not answer, what was known holds on, and a process that knows
nothing yet takes the signed copy in Redis, which is there for no rules, too. A process with neither accepts nothing:
what an officer has named would be stored in plain, and could never be erased.
"""

import threading
import time

import msgspec
import psycopg
import structlog
from django.conf import settings

from audit.errors import RulesUnknown, Unavailable
from audit.formats.erasable.rules import Rule, Rules
from audit.ingest import signed_copies
from audit.ingest.signed_copies import CopyUnavailable
from audit.postgres.gateway import gateway

log = structlog.get_logger(__name__)

RULES_TRUSTED_S = 10.0
# A process that knows nothing refuses events, so it asks again soon.
UNKNOWN_AGAIN_S = 1.0
COPY, _KIND = "erasure-rules", b"erasure rules 1\n"
_FIND = b"SELECT name, path, event_type, only_sensitive FROM audit_erasurerule WHERE active ORDER BY name"


class _Known:
    """The rules that this process knows, as text and ready to be applied, and until when they are trusted."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.rules: Rules | None = None
        self.until = 0.0
        self.lock = threading.Lock()


_known = _Known()


def in_force() -> Rules | None:
    """Return the rules; None where there are none. Asks PostgreSQL in one thread alone. Raises `RulesUnknown`."""
    if time.monotonic() >= _known.until and _known.lock.acquire(blocking=_known.text is None):
        try:
            if time.monotonic() >= _known.until:
                _learn()
        finally:
            _known.lock.release()
    if _known.text is None:
        raise RulesUnknown
    return _known.rules


def publish() -> None:
    """Copy the rules to Redis, also where there are none, and know them. Never raises: the schedule does it again."""
    if (text := _from_postgres()) is not None:
        with _known.lock:
            _take(text)
        _keep(text)


def forget() -> None:
    """Ask again at the next event."""
    _known.until = 0.0


def _learn() -> None:
    text = _from_postgres()
    if text is not None and text != _known.text:
        _keep(text)
    if text is None and _known.text is None:
        # A process that has just begun still has to connect, and the copy may be lost or of before a rotation.
        text = _from_copy() or _from_postgres(settings.RECORD_PATIENCE_MS)
    if text is not None:
        _take(text)
    _known.until = time.monotonic() + (UNKNOWN_AGAIN_S if _known.text is None else RULES_TRUSTED_S)


def _take(text: str) -> None:
    if text != _known.text:
        rules = msgspec.json.decode(text, type=list[Rule])
        _known.rules, _known.text = Rules(rules) if rules else None, text


def _from_postgres(timeout_ms: int | None = None) -> str | None:
    """The rules as text; None where they are not read within the time, RECORD_TIMEOUT_MS where none is given."""
    try:
        with gateway().connection((timeout_ms or settings.RECORD_TIMEOUT_MS) / 1000) as connection:
            rows = connection.execute(_FIND).fetchall()
    except (psycopg.Error, Unavailable) as error:
        log.warning("erasure_rules_unknown", error=type(error).__name__, trusts_what_it_knew=_known.text is not None)
        return None
    names = ("name", "path", "event_type", "only_sensitive")
    return msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows]).decode()


def _keep(text: str) -> None:
    try:
        signed_copies.put(COPY, _signed(text))
    except CopyUnavailable as error:
        log.warning("erasure_rules_not_copied", error=str(error))


def _from_copy() -> str | None:
    try:
        entry = signed_copies.get(COPY)
    except CopyUnavailable as error:
        log.warning("erasure_rules_not_read", error=str(error))
        return None
    text = None if entry is None else _opened(entry)
    return None if text is None else text.decode()


def _opened(entry: bytes) -> bytes | None:
    """The text of a copy, if the store itself signed it."""
    text = signed_copies.opened(_KIND, COPY, entry)
    if text is None:
        log.error("erasure_rules_forged")
    return text


def _signed(text: str) -> bytes:
    return signed_copies.sign(_KIND, COPY, text.encode())
