"""record: keep events, in PostgreSQL or else in the dead letter queue. The only code that inserts records."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg
import structlog

import dlq.errors
import dlq.spool
import dlq.stream
from audit import metrics, tracing
from audit.errors import AuditError, Conflict, Invalid, NothingKept, Unavailable
from audit.formats import event as event_format
from audit.formats.erasable import commitments
from audit.formats.event import Accepted
from audit.ingest import again, own_event, parked_counts, statements
from audit.ingest.again import State
from audit.ingest.together import Together
from audit.models import OWN_WRITER
from audit.postgres.faults import RETRY_AT_ONCE, Fault, Overrun, fault, headline
from audit.postgres.gateway import BoundedConnection, gateway
from dlq.message import Document

log = structlog.get_logger(__name__)

# What each event and each MiB adds to the deadline: a large batch on a busy server is no sign of an outage, and
# PostgreSQL indexes every member of `event_data`.
SECONDS_PER_EVENT = 0.0005
SECONDS_PER_MIB = 0.3
QUEUE_TRUSTED_EMPTY_S = 0.5
# Events that one statement stores for the threads that sent them: more than a process has threads.
GROUP_EVENTS = 64
# Until so long after a group as many as had a part in it are waited for, while none is longer than GAP_S in coming.
GATHER_S, GAP_S = 0.008, 0.002


class Recorded(NamedTuple):
    """What the sender is promised for one event."""

    event: Accepted
    state: State


class _Write(NamedTuple):
    """One event that a thread wants stored, and since when (monotonic seconds)."""

    event: Accepted
    since: float


class Alone:
    """The event is to be stored by itself."""


ALONE = Alone()
# What became of one event of a group.
Outcome = Sequence[State | again.Again] | Exception | Alone
Stored = TypeVar("Stored")


class _QueueSeenEmpty:
    """When this process last saw the queue empty, so that not every request has to ask Redis."""

    def __init__(self) -> None:
        self._until = 0.0

    def note(self) -> None:
        self._until = time.monotonic() + QUEUE_TRUSTED_EMPTY_S

    def forget(self) -> None:
        self._until = 0.0

    def holds(self) -> bool:
        return time.monotonic() < self._until


_queue_seen_empty = _QueueSeenEmpty()
_store_together: Together[_Write, Outcome]
_park_together: Together[Document, str | None]


def record(events: Sequence[Accepted]) -> list[Recorded]:
    """Keep all of the events, or none, and say what is promised for each.

    1. Ask PostgreSQL, for as long as it answers others and at most RECORD_PATIENCE_MS, and a little more for what
       it has to write; not at all while the breaker is open. Single events of threads that wait are written by one
       statement, and each has the answer that it would have had alone.
    2. What it did not confirm, for any reason that is not the sender's fault, goes to the DLQ. What such
       a write did is unknown, and the drain may repeat it: the same id is never stored twice.

    Raises `Conflict` for an id used before with other content, once the attempt is recorded; `Invalid` where the
    database finds an event unstorable; `NothingKept` when Redis, and the spool if there is one, refuse as well.
    Nothing is kept then.
    """
    try:
        return record_new(events)
    except Conflict as conflict:
        record_conflicts([events[position] for position in conflict.positions])
        raise


@tracing.recording
def record_new(events: Sequence[Accepted]) -> list[Recorded]:
    """Do as `record` does, and record no `Conflict`: its caller finds out by more than digests what it means."""
    started = time.perf_counter()
    try:
        recorded = _store_or_park(events)
    finally:
        metrics.record_seconds.observe(time.perf_counter() - started)
    for state, count in Counter([item.state for item in recorded]).items():
        metrics.recorded.labels(state).inc(count)
    return recorded


def store(
    events: Sequence[Accepted], *, timeout_s: float, parked_at: Sequence[datetime | None] | None = None
) -> list[State | again.Again]:
    """Insert all of the events, or none; "duplicate" for those that are there already, `Again` with other salts.

    Raises `Conflict`, `Unavailable` while the breaker is open, else whatever psycopg raised.
    """
    with gateway().connection(timeout_s) as connection:
        if len(events) == 1:
            return _insert(connection, events, parked_at)
        with connection.transaction():
            return _insert(connection, events, parked_at)


def store_promised(
    events: Sequence[Accepted], *, timeout_s: float, parked_at: Sequence[datetime | None] | None = None
) -> list[State]:
    """Do as `store` does with events that were promised before.

    One that is there under another digest, since its salts are others, was promised under this one: that is recorded.
    """
    states = store(events, timeout_s=timeout_s, parked_at=parked_at)
    acts = [
        again.act(event, state.event.digest)
        for event, state in zip(events, states, strict=True)
        if isinstance(state, again.Again)
    ]
    if acts:
        store(acts, timeout_s=timeout_s)
    return ["duplicate" if isinstance(state, again.Again) else state for state in states]


def rehearse(event: Accepted, *, timeout_s: float) -> State:
    """What `store` would do with an event; nothing of it is kept. Raises as `store` does."""
    with gateway().connection(timeout_s) as connection, connection.transaction(force_rollback=True):
        (state,) = _insert(connection, [event], None)
        return "duplicate" if isinstance(state, again.Again) else state


def record_conflicts(refused: Sequence[Accepted]) -> None:
    """Record that ids were offered again with other content, all at once. Never raises: the refusal stands anyway."""
    metrics.conflicts.inc(len(refused))
    try:
        record([event_format.accept(_conflict(event), writer=OWN_WRITER) for event in refused])
    except AuditError as error:
        ids = [str(event.id) for event in refused]
        log.error("conflict_not_recorded", event_ids=ids, error=type(error).__name__)


def document(event: Accepted) -> Document:
    """An event as the queue takes it."""
    return Document(
        key=str(event.id),
        digest=event.digest,
        body=event.body,
        source=event.writer,
        kind=event.event_type,
        received_at=event.received_at,
        beside=commitments.to_text(event.beside) if event.beside else b"",
        trace=event.trace.encode(),
    )


def _conflict(event: Accepted) -> dict[str, Any]:
    return own_event.document(
        "audit.event.conflict",
        actor=OWN_WRITER,
        outcome="failure",
        correlation=event.correlation_id,
        event_id=str(event.id),
        offered_by=event.writer,
        offered_digest=event.digest.hex(),
    )


def _store_or_park(events: Sequence[Accepted]) -> list[Recorded]:
    if gateway().breaker.is_open:
        return _park(events, Fault.DOWN)
    events = _as_promised(events)
    outcome = _try_to_store(events)
    if isinstance(outcome, Conflict):
        raise outcome
    if isinstance(outcome, Exception):
        return _park_or_refuse(outcome, events)
    parked_counts.of_process().hand_over()
    return [
        Recorded(state.event, "duplicate") if isinstance(state, again.Again) else Recorded(event, state)
        for event, state in zip(events, outcome, strict=True)
    ]


def _as_promised(events: Sequence[Accepted]) -> Sequence[Accepted]:
    """An event that waits in the queue was promised first: its id is taken, and its salts hold. Raises `Conflict`.

    Asked while PostgreSQL answers; the queue itself compares what is parked. A process that cannot see the queue
    goes on: a Redis outage must not disturb what PostgreSQL keeps.
    """
    if _queue_seen_empty.holds():
        return events
    try:
        waiting = dlq.stream.default().pages.digests([str(event.id) for event in events])
    except dlq.errors.Refused:
        waiting = None
    if waiting is None:
        _queue_seen_empty.note()
        return events
    agrees = [waiting.get(str(event.id), event.digest) == event.digest for event in events]
    return events if all(agrees) else again.as_they_wait(events, agrees)


def _try_to_store(events: Sequence[Accepted]) -> Sequence[State | again.Again] | Exception:
    """What became of the events, or what went wrong, as a value: in a group several threads have the same."""
    try:
        if len(events) > 1:
            return _store_once_more(store, events)
        outcome = _store_together(_Write(events[0], time.monotonic()))
        return _store_once_more(store, events) if isinstance(outcome, Alone) else outcome
    except Exception as error:
        return error


def _store_group(writes: Sequence[_Write]) -> list[Outcome]:
    """Store single events of several threads by one statement, and say what became of each.

    The one that waits longest sets the deadline. Where PostgreSQL is away or too slow, it is so for all; whatever else
    went wrong may be the fault of one of them, so each is to be tried alone.
    """
    events, waited_s = [write.event for write in writes], time.monotonic() - writes[0].since
    if len(events) == 1:
        return [_store_once_more(store, events, waited_s)]
    try:
        states = _store_once_more(_store_each, events, waited_s)
    except Exception as error:
        if fault(error) is Fault.DOWN:
            gateway().breaker.open(type(error).__name__)  # before the next group asks
        return [error if _is_of_all(error) else ALONE] * len(events)
    return [Conflict([0]) if state is None else [state] for state in states]


def _is_of_all(error: Exception) -> bool:
    return isinstance(error, Unavailable | Overrun) or fault(error) is Fault.DOWN


def _store_once_more(
    write: Callable[..., list[Stored]], events: Sequence[Accepted], waited_s: float = 0.0
) -> list[Stored]:
    """Write, once more after a deadlock, within what the events may take less what they `waited_s`."""
    size_bytes = sum(len(event.body) for event in events)
    timeout_s = gateway().patience.seconds - waited_s
    timeout_s += len(events) * SECONDS_PER_EVENT + size_bytes / 2**20 * SECONDS_PER_MIB
    try:
        states = write(events, timeout_s=timeout_s)
    except psycopg.OperationalError as error:
        if error.sqlstate not in RETRY_AT_ONCE:
            raise
        states = write(events, timeout_s=timeout_s)
    gateway().patience.note(overrun=False)
    return states


def _park_or_refuse(error: Exception, events: Sequence[Accepted]) -> list[Recorded]:
    """Decide by what went wrong: only what is the sender's own fault is refused. Raises `Invalid`, `NothingKept`."""
    if isinstance(error, Unavailable):
        return _park(events, Fault.DOWN)
    verdict = fault(error)
    is_spent = isinstance(error, Overrun) and gateway().patience.note(overrun=True)
    if verdict is Fault.DOWN or is_spent:
        gateway().breaker.open(type(error).__name__)
    elif verdict is Fault.SENDER:
        # Validation should have caught it: the event is refused, and we hear of it.
        log.error("unstorable_event", error=type(error).__name__, event_ids=[str(event.id) for event in events])
        raise Invalid({"": "the database cannot hold this event: nothing was kept"}) from error
    elif verdict is Fault.REFUSED:
        log.error("database_refused", error=headline(error), event_ids=[str(event.id) for event in events])
    return _park(events, verdict)


def _park(events: Sequence[Accepted], verdict: Fault, *, compared: bool = False) -> list[Recorded]:
    _queue_seen_empty.forget()
    metrics.parked.labels(fault=verdict.value).inc(len(events))
    documents = [document(event) for event in events]
    try:
        outcomes = _put_into_queue(documents, verdict)
    except dlq.errors.Refused:
        return _spool(events, documents, verdict)
    agrees = [outcome != "conflict" for outcome in outcomes]
    if not all(agrees) and not compared:
        return _park(again.as_they_wait(events, agrees), verdict, compared=True)
    _refuse(agrees)
    pairs = zip(events, outcomes, strict=True)
    parked_counts.of_process().note(event for event, outcome in pairs if outcome == "parked")
    return [Recorded(event, "parked") for event in events]


def _put_into_queue(documents: Sequence[Document], verdict: Fault) -> Sequence[str]:
    """What became of the documents. Single ones of threads that wait, while PostgreSQL is away, go in one call."""
    if len(documents) > 1 or verdict is not Fault.DOWN:
        parked = dlq.stream.default().park(documents, reason=verdict.value, real_failure=verdict is Fault.REFUSED)
        return parked.outcomes
    outcome = _park_together(documents[0])
    if outcome is None:
        raise dlq.errors.Refused
    return [outcome]


def _park_group(documents: Sequence[Document]) -> Sequence[str | None]:
    try:
        return dlq.stream.default().park(documents, reason=Fault.DOWN.value, each=True).outcomes
    except dlq.errors.Refused:
        return [None] * len(documents)


def _spool(events: Sequence[Accepted], documents: Sequence[Document], verdict: Fault) -> list[Recorded]:
    try:
        dlq.spool.append(documents, reason=verdict.value)
    except dlq.errors.Refused as error:
        metrics.nothing_kept.inc(len(events))
        log.error("nothing_kept", fault=verdict.value, events=len(events), spool=str(error))
        raise NothingKept([str(event.id) for event in events]) from error
    return [Recorded(event, "parked") for event in events]


def _store_each(events: Sequence[Accepted], *, timeout_s: float) -> list[State | again.Again | None]:
    """Insert the events; None for one whose id is used with other content. Raises what else `store` does."""
    with gateway().connection(timeout_s) as connection:
        return _insert_each(connection, events, None)


def _insert(
    connection: BoundedConnection,
    events: Sequence[Accepted],
    parked_at: Sequence[datetime | None] | None,
) -> list[State | again.Again]:
    states = _insert_each(connection, events, parked_at)
    _refuse([state is not None for state in states])
    return [state for state in states if state is not None]


def _insert_each(
    connection: BoundedConnection,
    events: Sequence[Accepted],
    parked_at: Sequence[datetime | None] | None,
) -> list[State | again.Again | None]:
    parameters = (
        b"[%b]" % b",".join([event.body for event in events]),
        _array([f"\\\\x{event.digest.hex()}" for event in events]),
        _array([event.received_at.isoformat() for event in events]),
        _array([at.isoformat() if at else None for at in parked_at or [None] * len(events)]),
    )
    statement, more = statements.of(events)
    result = connection.run(statement, (*parameters, *more))
    if result.ntuples == len(events):
        return ["stored"] * len(events)
    ids = [result.get_value(row, 0) for row in range(result.ntuples)]
    return again.compare(connection, events, {UUID(bytes=id_bytes) for id_bytes in ids})


def _array(values: Sequence[str | None]) -> bytes:
    """An array as PostgreSQL reads it. The values hold nothing that would have to be escaped more than it is."""
    return ("{" + ",".join(["NULL" if value is None else f'"{value}"' for value in values]) + "}").encode()


def _refuse(agrees: Sequence[bool]) -> None:
    """Raise `Conflict` naming the positions of events that do not agree with what has their id."""
    if positions := [position for position, same in enumerate(agrees) if not same]:
        raise Conflict(positions)


def _begin_together() -> None:
    """At first, and in a forked child, where the threads that waited are not."""
    global _store_together, _park_together
    _park_together = Together(_park_group, most=GROUP_EVENTS)
    _store_together = Together(_store_group, most=GROUP_EVENTS, gather_s=GATHER_S, gap_s=GAP_S)


_begin_together()
os.register_at_fork(after_in_child=_begin_together)
