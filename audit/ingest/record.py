"""record: keep events, in PostgreSQL or else in the dead letter queue. The only code that inserts records."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

import psycopg
import structlog
from django.conf import settings

import dlq.errors
import dlq.spool
import dlq.stream
from audit import metrics
from audit.errors import Conflict, Invalid, NothingKept, Unavailable
from audit.formats.event import Accepted
from audit.ingest import parked_counts
from audit.postgres.faults import RETRY_AT_ONCE, Fault, fault, headline
from audit.postgres.gateway import BoundedConnection, gateway
from dlq.message import Document

log = structlog.get_logger(__name__)

State = Literal["stored", "duplicate", "parked"]
INSERT = Path(__file__).with_name("record.sql").read_bytes()
DIGESTS = b"SELECT id, digest FROM audit_record WHERE id = ANY(%s)"
SECONDS_AN_EVENT = 0.0005
"""What each event adds to the deadline: a large batch on a busy server is no sign of an outage."""
TRUSTED_EMPTY_S = 0.5
SECONDS_A_MEBIBYTE = 0.3
"""What its bytes add: PostgreSQL indexes every member of `event_data`."""


class Receipt(NamedTuple):
    """What the sender is promised for one event."""

    event: Accepted
    state: State


def record(events: Sequence[Accepted]) -> list[Receipt]:
    """Keep all of the events, or none, and say what is promised for each.

    1. Ask PostgreSQL, for at most RECORD_TIMEOUT_MS and a little for what it has to write; not at all while
       the breaker is open.
    2. What it did not confirm, for any reason that is not the sender's fault, goes to the DLQ. What such
       a write did is unknown, and the drain may repeat it: the same id is never stored twice.

    Raises `Conflict` for an id used before with other content, `Invalid` where the database finds an event
    unstorable, `NothingKept` when Redis, and the spool if there is one, refuse as well. Nothing is kept then.
    """
    started = time.perf_counter()
    try:
        receipts = _store_or_park(events)
    finally:
        metrics.record_seconds.observe(time.perf_counter() - started)
    for receipt in receipts:
        metrics.recorded.labels(state=receipt.state).inc()
    return receipts


def store(
    events: Sequence[Accepted], *, timeout_s: float, parked_at: Sequence[datetime | None] | None = None
) -> list[State]:
    """Insert all of the events, or none; "duplicate" for those that are there already.

    Raises `Conflict`, `Unavailable` while the breaker is open, else whatever psycopg raised.
    """
    with gateway().connection(timeout_s) as connection:
        if len(events) == 1:
            return _insert(connection, events, parked_at)
        with connection.transaction():
            return _insert(connection, events, parked_at)


def rehearse(event: Accepted, *, timeout_s: float) -> State:
    """What `store` would do with an event; nothing of it is kept. Raises as `store` does."""
    with gateway().connection(timeout_s) as connection, connection.transaction(force_rollback=True):
        return _insert(connection, [event], None)[0]


def document(event: Accepted) -> Document:
    """An event as the queue takes it."""
    return Document(
        key=str(event.id),
        digest=event.digest,
        body=event.body,
        source=event.writer,
        kind=event.event_type,
        received_at=event.received_at,
    )


def _store_or_park(events: Sequence[Accepted]) -> list[Receipt]:
    try:
        _refuse_to_overtake(events)
        states = _store_once_more(events)
    except Conflict:
        raise
    except Unavailable:
        return _park(events, Fault.DOWN)
    except Exception as error:
        return _after(error, events)
    parked_counts.of_process().hand_over()
    return [Receipt(event, state) for event, state in zip(events, states, strict=True)]


def _refuse_to_overtake(events: Sequence[Accepted]) -> None:
    """An event that waits in the queue was promised first: its id is taken. Raises `Conflict`.

    Asked while PostgreSQL answers, for the queue itself compares what is parked. A process that saw the queue empty
    trusts that for a moment, and one that cannot see it goes on: a Redis outage must not disturb what PostgreSQL keeps.
    """
    global _empty_until
    if gateway().breaker.is_open or time.monotonic() < _empty_until:
        return
    try:
        waiting = dlq.stream.default().pages.digests([str(event.id) for event in events])
    except dlq.errors.Refused:
        waiting = None
    if waiting is None:
        _empty_until = time.monotonic() + TRUSTED_EMPTY_S
        return
    if at := [place for place, event in enumerate(events) if waiting.get(str(event.id), event.digest) != event.digest]:
        raise Conflict(at)


_empty_until = 0.0


def _store_once_more(events: Sequence[Accepted]) -> list[State]:
    size = sum(len(event.body) for event in events)
    timeout_s = settings.RECORD_TIMEOUT_MS / 1000 + len(events) * SECONDS_AN_EVENT + size / 2**20 * SECONDS_A_MEBIBYTE
    try:
        return store(events, timeout_s=timeout_s)
    except psycopg.OperationalError as error:
        if error.sqlstate not in RETRY_AT_ONCE:
            raise
        return store(events, timeout_s=timeout_s)


def _after(error: Exception, events: Sequence[Accepted]) -> list[Receipt]:
    verdict = fault(error)
    if verdict is Fault.DOWN:
        gateway().breaker.open(type(error).__name__)
    elif verdict is Fault.SENDER:
        # Validation should have caught it: the event is refused, and we hear of it.
        log.error("unstorable_event", error=type(error).__name__, event_ids=[str(event.id) for event in events])
        raise Invalid({"": "the database cannot hold this event: nothing was kept"}) from error
    elif verdict is Fault.REFUSED:
        log.error("database_refused", error=headline(error), event_ids=[str(event.id) for event in events])
    return _park(events, verdict)


def _park(events: Sequence[Accepted], verdict: Fault) -> list[Receipt]:
    global _empty_until
    _empty_until = 0.0
    metrics.parked.labels(fault=verdict.value).inc(len(events))
    documents = [document(event) for event in events]
    try:
        parked = dlq.stream.default().park(documents, reason=verdict.value, real_failure=verdict is Fault.REFUSED)
    except dlq.errors.Refused:
        return _spool(events, documents, verdict)
    if at := [place for place, outcome in enumerate(parked.outcomes) if outcome == "conflict"]:
        raise Conflict(at)
    pairs = zip(events, parked.outcomes, strict=True)
    parked_counts.of_process().note(event for event, outcome in pairs if outcome == "parked")
    return [Receipt(event, "parked") for event in events]


def _spool(events: Sequence[Accepted], documents: Sequence[Document], verdict: Fault) -> list[Receipt]:
    """The third tier, where there is one: local files."""
    try:
        dlq.spool.append(documents, reason=verdict.value)
    except dlq.errors.Refused as error:
        metrics.nothing_kept.inc(len(events))
        log.error("nothing_kept", fault=verdict.value, events=len(events), spool=str(error))
        raise NothingKept([str(event.id) for event in events]) from error
    return [Receipt(event, "parked") for event in events]


def _insert(
    connection: BoundedConnection,
    events: Sequence[Accepted],
    parked_at: Sequence[datetime | None] | None,
) -> list[State]:
    parameters = (
        "[" + b",".join([event.body for event in events]).decode() + "]",
        [event.digest for event in events],
        [event.received_at for event in events],
        parked_at or [None] * len(events),
    )
    inserted = {row[0] for row in connection.execute(INSERT, parameters, prepare=True, binary=True).fetchall()}
    if len(inserted) == len(events):
        return ["stored"] * len(events)
    return _compare(connection, events, inserted)


def _compare(connection: BoundedConnection, events: Sequence[Accepted], inserted: set[UUID]) -> list[State]:
    """Tell replays from conflicts, in a second statement: the first could not see a commit beside it."""
    rows = connection.execute(DIGESTS, ([event.id for event in events],), prepare=True, binary=True).fetchall()
    digests = {row[0]: row[1] for row in rows}
    if at := [place for place, event in enumerate(events) if digests.get(event.id) != event.digest]:
        raise Conflict(at)
    states: list[State] = []
    for event in events:
        states.append("stored" if event.id in inserted else "duplicate")
        inserted.discard(event.id)
    return states
