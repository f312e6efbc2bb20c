"""drain: move what waits in the dead letter queue, and in the spool, into PostgreSQL."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from django.conf import settings
from django.db import DatabaseError

import dlq.errors
import dlq.recovery
import dlq.restore
import dlq.spool
import dlq.stream
from audit import tracing
from audit.accounting import restored, stored_counts
from audit.errors import AuditError, Conflict, Invalid, RulesUnknown, Unavailable
from audit.formats import canonical
from audit.formats import event as event_format
from audit.formats.erasable import commitments
from audit.formats.event import Accepted
from audit.imports import originals
from audit.imports.take import accept_again
from audit.ingest import entry_keys, invalid, trail
from audit.ingest.record import record_conflicts, store_promised
from audit.ingest.record import rehearse as rehearse_event
from audit.models import OWN_WRITER
from audit.postgres.faults import Fault, Overrun, fault, headline, spares_events
from audit.postgres.gateway import is_up
from audit.queue import client_entries, renamed
from audit.queue.actions import CORRELATION, EVENTS_NAMED
from audit.safe_text import storable
from dlq.authenticity import FORGED, is_authentic
from dlq.drain import DatabaseDown, Outcome, Summary
from dlq.drain import drain as drain_queue
from dlq.generation import Generation
from dlq.inbox import KIND
from dlq.message import Message

log = structlog.get_logger(__name__)

DRAIN_TIMEOUT_S = 10.0
NOTED_EVERY_S = 2.0
# The inbox has so much of the time of a drain that has a time: the queue is not to wait for it.
INBOX_SHARE = 0.5
AT_HOME = ("stored", "duplicate")


def drain(
    *,
    limit: int | None = None,
    seconds: float | None = None,
    inbox_seconds: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Move parked events into PostgreSQL, as far as they go: first those of the spool, which are on one disk only.

    Without `seconds` there is no end but that of what is there, for the inbox `inbox_seconds`.
    """
    began = time.monotonic()
    empty_spool()
    empty_inbox(inbox_seconds if seconds is None else INBOX_SHARE * seconds, stop)
    start = restored.settle(dlq.stream.for_drain()) if is_up() else None
    noted, ahead = _Noted(start, progress), _ReadAhead()
    left = None if seconds is None else max(seconds - (time.monotonic() - began), 0.0)
    try:
        return drain_queue(
            ahead.store, probe=is_up, prepare=ahead.read, limit=limit, seconds=left, stop=stop, progress=noted
        )
    finally:
        noted.note()


class _ReadAhead:
    """Reads and verifies messages while PostgreSQL stores those before: the drain waits for one of the two."""

    def __init__(self) -> None:
        self._read: dict[str, Accepted | Outcome] = {}

    def read(self, messages: Sequence[Message]) -> None:
        """Read what needs no server for it."""
        self._read |= {message.id: read_message(message) for message in messages if message.kind != KIND}

    def store(self, messages: Sequence[Message]) -> list[Outcome]:
        already = {message.id: self._read.pop(message.id, None) for message in messages}
        return store_parked(messages, already)


class _Facts(msgspec.Struct):
    """What has to be known of an event to store it, beside its body."""

    event_id: UUID
    writer: str
    event_type: str
    event_timestamp: datetime
    correlation_id: str


_FACTS = msgspec.json.Decoder(_Facts)


class _Noted:
    """Notes in PostgreSQL how many a drain took out of the queue: every few seconds, and at its end.

    Should Redis be restored from an older file right after, that is known. Redis is not asked: it may be away.
    """

    def __init__(self, start: Generation | None, progress: Callable[[Summary], None] | None):
        self._start, self._progress = start, progress
        self._left = self._noted = 0
        self._noted_at = time.monotonic()

    def __call__(self, summary: Summary) -> None:
        self._left = summary.stored + summary.duplicate
        if time.monotonic() - self._noted_at > NOTED_EVERY_S:
            self.note()
        if self._progress is not None:
            self._progress(summary)

    def note(self) -> None:
        """Note it now; while PostgreSQL is away, the next copy of the counters does."""
        self._noted_at = time.monotonic()
        if self._start is not None and self._left > self._noted:
            with suppress(DatabaseError):
                restored.note_left(self._start, self._left)
            self._noted = self._left


def empty_spool() -> int:
    """Bring what local files hold to PostgreSQL, else to the queue; return how many. What neither takes stays there."""
    try:
        return 0 if _paused() else dlq.spool.empty(_bring_home, answers=_anyone_answers)
    except (DatabaseDown, dlq.errors.Refused) as error:
        log.warning("spool_waits", error=str(error))
    except Exception:
        log.exception("spool_failed")  # one tier must not stop the next
    return 0


def empty_inbox(seconds: float | None = None, stop: threading.Event | None = None) -> int:
    """Bring what writers parked by themselves to PostgreSQL, else to the queue; return how many.

    What comes meanwhile, and what is left when the seconds are over or `stop` is set, is the next drain's.
    """
    ends_at = math.inf if seconds is None else time.monotonic() + seconds

    def is_over() -> bool:
        return bool(stop and stop.is_set()) or time.monotonic() >= ends_at

    try:
        return 0 if _paused() else client_entries.move(_bring_home, is_over=is_over)
    except (DatabaseDown, dlq.errors.Refused) as error:
        log.warning("inbox_waits", error=str(error))
    except Exception:
        log.exception("inbox_failed")  # what is in the queue already must not wait for it
    return 0


def mend_queue() -> None:
    """After each start of Redis, mend what a kill left half done; record it where indexes had to be rebuilt."""
    if (rebuilt := dlq.recovery.mend(dlq.stream.for_drain())) is None:
        return
    trail.add(
        "audit.parked.indexes_rebuilt",
        actor=OWN_WRITER,
        correlation=CORRELATION,
        reason="Redis was started again and the account did not balance",
        here=rebuilt.messages,
        **_missing(rebuilt.missing),
    )


def _missing(keys: list[str]) -> dict[str, Any]:
    """What is missing from the queue and nowhere else; while PostgreSQL cannot be asked, what may be stored."""
    try:
        missing = restored.not_kept(keys)
    except DatabaseError:
        return {"missing_or_stored": len(keys), "event_ids": [storable(key) for key in keys[:EVENTS_NAMED]] or None}
    return {"missing": len(missing), "event_ids": [storable(key) for key in missing[:EVENTS_NAMED]] or None}


def copy_old_to_spool() -> int:
    """While PostgreSQL is away and the quarantine with it: copy what waits for seven days to the spool."""
    return 0 if settings.DLQ_SPOOL_DIR is None or is_up() else dlq.spool.keep_old(dlq.stream.for_drain())


def _bring_home(messages: list[Message]) -> None:
    left = messages
    if is_up():
        pairs = list(zip(messages, store_parked(messages), strict=True))
        left = [message for message, outcome in pairs if outcome.verdict not in AT_HOME]
        home = [message for message, outcome in pairs if outcome.verdict in AT_HOME]
        stored_counts.add_spooled((message.source, message.received_at) for message in home)
        dlq.stream.for_drain().kept.keep(home)
    dlq.restore.restore(dlq.stream.for_drain(), left)


def _anyone_answers() -> bool:
    if is_up():
        return True
    try:
        dlq.stream.for_drain().ping()
    except dlq.errors.Refused:
        return False
    return True


def _paused() -> bool:
    try:
        return dlq.stream.for_drain().activity.paused() is not None
    except dlq.errors.Refused:
        return False


def store_parked(
    messages: Sequence[Message], already: Mapping[str, Accepted | Outcome | None] = MappingProxyType({})
) -> list[Outcome]:
    """Store a batch of parked messages: together if that works, else each by itself.

    `already` holds what was read of some. Raises `DatabaseDown` when PostgreSQL is the reason; no message is to
    blame then.
    """
    seen_at = time.monotonic()
    read = [already.get(message.id) or read_message(message, seen_at=seen_at) for message in messages]
    readable = [(message, event) for message, event in zip(messages, read, strict=True) if isinstance(event, Accepted)]
    with tracing.work("drain", (event.trace for _, event in readable)):
        outcomes = iter(_store_or_halve(readable))
    return [event if isinstance(event, Outcome) else next(outcomes) for event in read]


Readable = tuple[Message, Accepted]


def read_message(message: Message, *, seen_at: float | None = None) -> Accepted | Outcome:
    """The event as it was accepted, or why the message is dead; `seen_at`: here since then (monotonic seconds)."""
    if not is_authentic(message):
        return Outcome("dead", FORGED, "this store did not park it as it is: its signature is missing or wrong")
    if not message.digest_ok:
        return Outcome("dead", "Damaged", "the body does not match its digest: it was changed after it was parked")
    if name := invalid.mapping_of(message.kind):
        return _read_foreign(message, name)
    if invalid.is_kept(message.kind):
        return Outcome("dead", "Invalid", _what_is_wrong(message))
    if message.kind == KIND:
        return _read_entry(message, seen_at)
    try:
        # What this store signed is as it wrote it; what it did not has to be read strictly.
        if message.mac:
            return _accepted(message, _FACTS.decode(message.body))
    except msgspec.MsgspecError:
        pass  # the words of the strict reader are known to people
    try:
        return _accepted(message, _facts(canonical.loads(message.body)))
    except (KeyError, TypeError, ValueError) as error:
        return Outcome("dead", "Unreadable", f"the body is no event: {type(error).__name__} {error}")


def _read_entry(message: Message, seen_at: float | None) -> Accepted | Outcome:
    """An entry that was not taken as it came from its writer: it may be by now. Raises `DatabaseDown`."""
    try:
        return client_entries.read(message.body, message.received_at, seen_at=seen_at)
    except (entry_keys.Unknown, RulesUnknown) as error:
        raise DatabaseDown from error


def _read_foreign(message: Message, name: str) -> Accepted | Outcome:
    """What a mapping could not convert: it may by now, for its file may be another one. Raises `DatabaseDown`."""
    try:
        return accept_again(message.body, name, writer=message.source)
    except RulesUnknown as error:
        raise DatabaseDown from error
    except AuditError as error:
        return Outcome("dead", "Invalid", str(error))


def _what_is_wrong(message: Message) -> str:
    """Why an event was kept as invalid, as far as the rules of now say so."""
    try:
        event_format.accept(canonical.read(message.body), writer=message.source)
    except Invalid as error:
        return str(error)
    except canonical.NotCanonical as error:
        return str(error)
    return "its id had other content, or its fault is none by now: correct it, and send it again"


def _facts(document: dict[str, Any]) -> _Facts:
    return _Facts(
        event_id=UUID(document["event_id"]),
        writer=document["writer"],
        event_type=document["event_type"],
        event_timestamp=datetime.fromisoformat(document["event_timestamp"]),
        correlation_id=document["correlation_id"],
    )


def _accepted(message: Message, facts: _Facts) -> Accepted:
    return Accepted(
        id=facts.event_id,
        writer=facts.writer,
        event_type=facts.event_type,
        event_timestamp=facts.event_timestamp,
        correlation_id=facts.correlation_id,
        body=message.body,
        digest=message.digest,
        received_at=message.received_at,
        beside=commitments.from_text(message.beside) if message.beside else None,
        trace=tracing.known(message.trace),
    )


def rehearse(message: Message) -> Outcome:
    """What a drain would do with a message now; nothing of it is kept."""
    event = read_message(message)
    if isinstance(event, Outcome):
        return event
    try:
        return Outcome("duplicate" if rehearse_event(event, timeout_s=DRAIN_TIMEOUT_S) == "duplicate" else "stored")
    except Conflict:
        return Outcome("stored", "Conflict", "the store has this id with other content: it would get a new one")
    except (AuditError, psycopg.Error) as error:
        return Outcome("failed", type(error).__name__, headline(error))


def _store_or_halve(readable: Sequence[Readable], *, again: bool = True) -> list[Outcome]:
    if not readable:
        return []
    try:
        return _store(readable)
    except Exception as error:
        _give_up_if_down(error)
        if len(readable) > 1:
            # The batch holds a message that PostgreSQL refuses: halving finds it in few round trips.
            middle = len(readable) // 2
            return _store_or_halve(readable[:middle]) + _store_or_halve(readable[middle:])
        if again and fault(error) is Fault.DOWN:
            return _store_or_halve(readable, again=False)  # the connection was from before a restart
        return [_outcome(error, *readable[0])]


def _store(readable: Sequence[Readable]) -> list[Outcome]:
    events = [event for _, event in readable]
    states = store_promised(events, timeout_s=DRAIN_TIMEOUT_S, parked_at=[message.parked_at for message, _ in readable])
    return [Outcome("duplicate" if state == "duplicate" else "stored") for state in states]


def _give_up_if_down(error: Exception) -> None:
    """Raise `DatabaseDown` unless PostgreSQL answers others: then the batch was only too much for its deadline."""
    is_doubtful = isinstance(error, Overrun) or fault(error) is Fault.DOWN
    if isinstance(error, Unavailable) or spares_events(error) or (is_doubtful and not is_up()):
        log.warning("drain_interrupted", error=type(error).__name__)
        raise DatabaseDown from error


def _outcome(error: Exception, message: Message, event: Accepted) -> Outcome:
    if isinstance(error, Conflict):
        return _stored_under_new_id(message, event)
    return Outcome("dead" if fault(error) is Fault.SENDER else "failed", type(error).__name__, headline(error))


def _stored_under_new_id(message: Message, event: Accepted) -> Outcome:
    try:
        if originals.is_stored(event):
            return Outcome("duplicate")
        new_id = renamed.store_under_new_id(message, event, timeout_s=DRAIN_TIMEOUT_S)
    except Conflict:
        record_conflicts([event])
        return Outcome("dead", "Conflict", "the store has this event id, and the one made from it, with other content")
    except Exception as error:
        _give_up_if_down(error)
        return Outcome("failed", type(error).__name__, headline(error))
    log.error("event_stored_under_new_id", event_id=str(event.id), new_id=str(new_id))
    return Outcome("stored")
