"""client_entries: move what writers have parked by themselves to where all events are, checked as POST would."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings

import dlq.stream
from audit.access import limits
from audit.errors import Invalid, RulesUnknown
from audit.formats import canonical, event
from audit.formats.event import Accepted
from audit.ingest import entry_keys, erasure_rules, record
from audit.postgres import clock
from dlq.authenticity import FORGED, sign
from dlq.drain import Outcome
from dlq.inbox import KIND, Entry, NotAnEntry
from dlq.message import Document, Message, digest_of, moment

log = structlog.get_logger(__name__)

# Why it is in the queue, as all pages and counters show it.
REASON = "parked-by-client"
# Stands for the writer of an entry whose writer is not known. No writer can be called so.
NOBODY = "?"
HASH_DIGITS = 16


def move(bring: Callable[[list[Message]], None], *, is_over: Callable[[], bool]) -> int:
    """Hand what is in the inbox to `bring`, the oldest first, then remove it; return how many.

    In portions of a few MiB, and as many as there are now, for entries may come as fast as they are moved; until
    `is_over` between two.

    Where PostgreSQL is needed to say whose an entry is, or what of it must be erasable, and does not answer, it waits
    in the inbox with all after it.
    A crash in between brings them twice, which is harmless. Raises what `bring` raises, and `Refused`.
    """
    queue, count = dlq.stream.for_drain(), 0
    left = queue.inbox.depth()
    while left > 0 and not is_over():
        entries, seen_at = (
            queue.inbox.first(min(left, settings.DLQ_BATCH), most_bytes=dlq.stream.CLAIM_BYTES),
            time.monotonic(),
        )
        left -= max(len(entries), 1)
        messages: list[Message] = []
        try:
            for place, raw in enumerate(entries):
                messages.append(_message(raw, queue.now_ms(), place, seen_at))
        except (entry_keys.Unknown, RulesUnknown):
            log.warning("client_entries_wait", entries=queue.inbox.depth())
        if messages:
            bring(messages)
            if queue.inbox.take(entries[: len(messages)]):
                count += len(messages)
                _charge(messages)
        if len(messages) < len(entries):
            break
    if count:
        log.info("client_entries_moved", entries=count)
    return count


def _charge(messages: list[Message]) -> None:
    """Count them to the quotas of their writers, as what they send by HTTP."""
    sizes: dict[str, list[int]] = {}
    for message in messages:
        if message.source != NOBODY:
            sizes.setdefault(message.source, []).append(len(message.body))
    for writer, of_writer in sizes.items():
        limits.count(writer, len(of_writer), sum(of_writer))


def read(raw: bytes, now: datetime | None = None, *, seen_at: float | None = None) -> Accepted | Outcome:
    """Return the event of an entry as its writer's POST would make it, or why it is dead.

    `seen_at`: since when it is known to be there (monotonic seconds). Raises `Unknown`, `RulesUnknown`.
    """
    try:
        entry = Entry.parse(raw)
    except NotAnEntry as error:
        return Outcome("dead", "Unreadable", f"what a client parked cannot be read: {error}")
    signed = entry_keys.signature(entry, seen_at=seen_at)
    if not signed.writer:
        return Outcome("dead", FORGED, f"what a client parked is nobody's: {signed.fault}")
    if signed.fault:
        return Outcome("dead", "Forbidden", f"what {signed.writer} parked is not taken: {signed.fault}")
    try:
        payload = canonical.loads(entry.payload)
        if not isinstance(payload, dict) or "event" not in payload:
            raise Invalid({"": "the payload has no event"})
        return _identified(payload["event"], signed.writer, now)
    except Invalid as invalid:
        faults = "; ".join(f"{field}: {message}" for field, message in invalid.errors.items())
        return Outcome("dead", "Invalid", f"what {signed.writer} parked is not valid: {faults}")
    except canonical.NotCanonical as error:
        return Outcome("dead", "Invalid", f"what {signed.writer} parked is not valid: {error}")


def _identified(document: Any, writer: str, now: datetime | None) -> Accepted:
    """Accept an event that has an id of its writer, as the contract says. Raises `Invalid`, with all that is wrong.

    One that POST would give an id would get another each time it is read, and be stored as often.
    """
    has_id = not isinstance(document, dict) or document.get("event_id") is not None
    missing = {} if has_id else {"event_id": "this field is required"}
    try:
        accepted = _accepted(document, writer, now)
    except Invalid as invalid:
        raise Invalid(missing | invalid.errors) from None
    if missing:
        raise Invalid(missing)
    return accepted


def _accepted(document: Any, writer: str, now: datetime | None) -> Accepted:
    """Accept it, as the API does: by the clock that is furthest ahead."""
    try:
        return event.accept(document, writer=writer, now=now or clock.local_now(), erasing=erasure_rules.in_force())
    except Invalid as invalid:
        if not any(event.AHEAD in message for message in invalid.errors.values()):
            raise
    return event.accept(document, writer=writer, now=clock.latest_now(), erasing=erasure_rules.in_force())


def _message(raw: bytes, now_ms: int, place: int, seen_at: float | None = None) -> Message:
    """An entry as a parked message, signed by this store: its event, or what cannot be one as it came."""
    taken = read(raw, seen_at=seen_at)
    if isinstance(taken, Accepted):
        document = record.document(taken)
    else:
        log.error("client_entry_refused", kind=taken.kind, error=taken.error)
        digest = digest_of(raw)
        key = f"entry#{digest.hex()[:HASH_DIGITS]}"
        document = Document(key, digest, raw, _writer(raw, seen_at), KIND, moment(now_ms))
    return Message(
        id=f"{now_ms}-{place}",
        key=document.key,
        digest=document.digest,
        body=document.body,
        source=document.source,
        kind=document.kind,
        received_at=document.received_at,
        reason=REASON,
        mac=sign(document),
        beside=document.beside,
        trace=document.trace,
    )


def _writer(raw: bytes, seen_at: float | None) -> str:
    """Whose an entry is that is not taken."""
    try:
        return entry_keys.signature(Entry.parse(raw), seen_at=seen_at).writer or NOBODY
    except NotAnEntry:
        return NOBODY
