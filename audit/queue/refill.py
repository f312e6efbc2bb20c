"""refill: bring back what was drained and is in no record, after PostgreSQL was restored from a backup.

1. What Redis keeps of drained events (`dlq.kept`) is read, the oldest first, one portion at a time.
2. What the store has, by id and digest, is left alone; so is what it has under another id.
3. The rest is stored as a drain stores it: its signature and digest are checked, its times are those of then.
4. What was brought back is recorded.

Safe to be cut off anywhere, and to run again, or beside drains: each event becomes a record once.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

import dlq.stream
from audit import metrics
from audit.accounting import restored
from audit.formats.event import Accepted
from audit.ingest import trail
from audit.postgres.gateway import is_up
from audit.queue import renamed
from audit.queue.actions import CORRELATION, EVENTS_NAMED
from audit.queue.drain import read_message, store_parked
from audit.safe_text import storable
from dlq.drain import DatabaseDown, Outcome
from dlq.message import Message

log = structlog.get_logger(__name__)

REFUSALS_NAMED = 100


@dataclass
class Refilled:
    """What one run did, so far."""

    # How many are kept, as was counted at the start.
    kept: int = 0
    looked_at: int = 0
    # In the store already.
    here: int = 0
    # Brought back; in a dry run: to be brought back.
    stored: int = 0
    # Kept, and not taken: forged, damaged, of a form that is not known, or refused by PostgreSQL.
    refused: int = 0
    # Of the first of them: id and why.
    refusals: list[tuple[str, str]] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    by_writer: Counter[str] = field(default_factory=Counter)


def refill(
    *,
    by: str,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    progress: Callable[[Refilled], None] | None = None,
) -> Refilled:
    """Bring back what is kept and not in the store, until `stop` is set; a dry run stores and records nothing.

    Raises `DatabaseDown` while PostgreSQL is away, `Refused` while Redis is: run it again then.
    """
    if not is_up():
        raise DatabaseDown
    kept = dlq.stream.for_drain().kept
    so_far = Refilled(kept=kept.size().messages)
    try:
        for portion in kept.portions():
            if stop is not None and stop.is_set():
                break
            if portion.unreadable:
                _refuse(
                    so_far,
                    "",
                    f"{portion.unreadable} in a form that is not known: update the store",
                    portion.unreadable,
                )
            _refill(so_far, portion.messages, dry_run)
            so_far.looked_at += len(portion.messages) + portion.unreadable
            if progress is not None:
                progress(so_far)
    finally:
        if not dry_run and (so_far.stored or so_far.refused):
            _record(so_far, by)
    return so_far


def _refill(so_far: Refilled, messages: Sequence[Message], dry_run: bool) -> None:
    read = [(message, read_message(message)) for message in messages]
    events = [(message, event) for message, event in read if isinstance(event, Accepted)]
    stored = restored.stored_digests([str(event.id) for _, event in events])
    missing: list[Message] = []
    for message, event in events:
        digest = stored.get(str(event.id))
        if digest == event.digest or (digest is not None and renamed.kept_as(event.id, event.digest)):
            so_far.here += 1
        else:
            missing.append(message)
    for message, outcome in read:
        if isinstance(outcome, Outcome):
            _refuse(so_far, message.key, outcome.error)
    if dry_run:
        _count_stored(so_far, missing)
    elif missing:
        _store(so_far, missing)


def _store(so_far: Refilled, missing: Sequence[Message]) -> None:
    brought: list[Message] = []
    for message, outcome in zip(missing, store_parked(missing), strict=True):
        if outcome.verdict == "stored":
            brought.append(message)
        elif outcome.verdict == "duplicate":
            so_far.here += 1  # another drain or refill was there first, or it was kept twice
        else:
            _refuse(so_far, message.key, f"{outcome.kind}: {outcome.error}")
    _count_stored(so_far, brought)
    metrics.refilled.labels(outcome="stored").inc(len(brought))


def _count_stored(so_far: Refilled, messages: Sequence[Message]) -> None:
    so_far.stored += len(messages)
    so_far.by_writer.update(message.source for message in messages)
    room = EVENTS_NAMED - len(so_far.event_ids)
    so_far.event_ids += [storable(message.key) for message in messages[: max(room, 0)]]


def _refuse(so_far: Refilled, key: str, why: str, count: int = 1) -> None:
    so_far.refused += count
    metrics.refilled.labels(outcome="refused").inc(count)
    log.error("refill_refused", key=key, reason=why)
    if len(so_far.refusals) < REFUSALS_NAMED:
        so_far.refusals.append((storable(key), why))


def _record(so_far: Refilled, by: str) -> None:
    log.warning("refilled", stored=so_far.stored, here=so_far.here, refused=so_far.refused)
    trail.add(
        "audit.queue.refilled",
        actor=by,
        outcome="failure" if so_far.refused else "success",
        correlation=CORRELATION,
        looked_at=so_far.looked_at,
        here=so_far.here,
        stored=so_far.stored,
        refused=so_far.refused,
        by_writer={storable(writer): count for writer, count in so_far.by_writer.most_common(EVENTS_NAMED)},
        event_ids=so_far.event_ids or None,
        refused_ids=[key for key, _ in so_far.refusals] or None,
    )
