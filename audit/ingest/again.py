"""again: whether an event that comes again is the one that is here, where members of it can be erased.

Each acceptance draws salts of its own, so the same event has another digest. What is here has salts too: the event that
came is committed to with these, and compared. Of what was erased meanwhile the commitment is taken as it is.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings

import dlq.errors
import dlq.stream
from audit import visibility
from audit.errors import Conflict
from audit.formats import canonical, times
from audit.formats import event as event_format
from audit.formats.erasable import commitments
from audit.formats.erasable.commitments import MEMBER, Beside, Gone
from audit.formats.event import Accepted, another_id
from audit.ingest import own_event
from audit.models.erasure.values import read_values
from audit.models.records import OWN_WRITER, Record
from audit.postgres.gateway import BoundedConnection
from dlq.authenticity import is_authentic
from dlq.message import Message

AGAIN = "audit.event.again"
State = Literal["stored", "duplicate", "parked"]
DIGESTS = b"SELECT id, digest, erasable FROM audit_record WHERE id = ANY(%s)"
# What is found here may be on this server alone, where a commit waits for a standby that is away: a commit after it has
# to be confirmed by the standby before anything is promised upon it. It leaves no row. Behind a pooler the session's
# own setting is whatever others made it.
CONFIRM = b"SELECT set_config('synchronous_commit', %s, true), pg_logical_emit_message(true, 'auditsite', 'again')"
# Asked for where an id is there with another digest, and one of both events has members that can be erased.
BESIDE = b"""
SELECT (SELECT json_object_agg(path, json_build_array(encode(salt, 'hex'), value))::text
        FROM audit_erasable WHERE record_id = %s),
       ARRAY(SELECT path::text FROM audit_erased WHERE record_id = %s)
"""


class Again(NamedTuple):
    """The event is stored already, with other salts: as it is there."""

    event: Accepted


def beside_of(events: Sequence[Accepted]) -> bytes:
    """What stands beside the events, as record_beside.sql reads it."""
    return msgspec.json.encode(
        [
            {
                "id": event.id,
                "digest": event.digest.hex(),
                "path": path,
                "salt": kept.salt.hex(),
                "value": kept.value.decode(),
            }
            for event in {(event.id, event.digest): event for event in events}.values()
            for path, kept in (event.beside or {}).items()
        ]
    )


def compare(
    connection: BoundedConnection, events: Sequence[Accepted], inserted: set[UUID]
) -> list[State | Again | None]:
    """Tell replays from conflicts, in a second statement: the first could not see a commit beside it."""
    rows = connection.execute(DIGESTS, ([event.id for event in events],), prepare=True, binary=True).fetchall()
    found = {row[0]: (row[1], row[2]) for row in rows}
    states: list[State | Again | None] = []
    for event in events:
        digest, named = found.get(event.id, (None, None))
        if digest != event.digest:
            is_known = digest is not None and (named or event.beside)
            states.append(_compare_values(connection, event, digest, named) if is_known else None)
            continue
        states.append("stored" if event.id in inserted else "duplicate")
        inserted.discard(event.id)
    if any(state is not None and state != "stored" for state in states):
        connection.execute(CONFIRM, [settings.SYNCHRONOUS_COMMIT], prepare=True)
    return states


def _compare_values(connection: BoundedConnection, event: Accepted, digest: bytes, named: Any) -> Again | None:
    """Whether the record with its id is this event under other salts."""
    row = connection.execute(BESIDE, (event.id, event.id), prepare=True).fetchone()
    assert row is not None
    same = as_it_is_here(event, digest, named, read_values(row[0]), row[1])
    return None if same is None else Again(same)


def as_they_wait(events: Sequence[Accepted], agrees: Sequence[bool]) -> list[Accepted]:
    """The events, each that does not agree as it is parked. Raises `Conflict` where another event has its id there."""
    ids = [str(event.id) for event, same in zip(events, agrees, strict=True) if not same]
    try:
        parked = dlq.stream.default().pages.find_all(ids)
    except dlq.errors.Refused:
        parked = {}
    found = [
        event if same else _as_it_waits(event, parked.get(str(event.id)))
        for event, same in zip(events, agrees, strict=True)
    ]
    if positions := [position for position, event in enumerate(found) if event is None]:
        raise Conflict(positions)
    return [event for event in found if event is not None]


def as_it_is_here(
    event: Accepted, digest: bytes, named: Mapping[str, str] | None, beside: Beside, erased: Collection[str] = ()
) -> Accepted | None:
    """Return the event with the digest that it has here; None where another event is here."""
    if digest == event.digest:
        return event
    if not named and not event.beside:
        return None
    sent = commitments.whole(canonical.loads(event.body), event.beside or {})
    try:
        same = commitments.same_as(sent, named or {}, beside, erased) == digest
    except Gone:
        return None
    return msgspec.structs.replace(event, digest=digest) if same else None


def _as_it_waits(event: Accepted, message: Message | None) -> Accepted | None:
    """Return the event as it waits in the queue, to be stored as it was promised; None where another one waits.

    One that was drained meanwhile is compared where it is stored.
    """
    if message is None:
        return event if event.beside else None
    if not (is_authentic(message) and message.digest_ok):
        return None
    try:
        named = canonical.loads(message.body).get(MEMBER)
        beside = commitments.from_text(message.beside) if message.beside else {}
        same = as_it_is_here(event, message.digest, named, beside)
    except (ValueError, AttributeError, TypeError):
        return None
    return None if same is None else msgspec.structs.replace(same, body=message.body, beside=beside or None)


def is_same(first: Accepted, second: Accepted) -> bool:
    """Whether two events, accepted one after the other, are the same."""
    if first.digest == second.digest:
        return True
    named = canonical.loads(first.body).get(MEMBER)
    return as_it_is_here(second, first.digest, named, first.beside or {}) is not None


def act(promised: Accepted, digest: bytes) -> Accepted:
    """Return the record that an event was promised under another digest than it is stored with: the same each time.

    With the commitments that it names, whoever has the record computes the digest that was promised.
    """
    document: dict[str, Any] = own_event.document(
        AGAIN,
        actor=OWN_WRITER,
        outcome="success",
        correlation=promised.correlation_id,
        event_id=str(promised.id),
        promised_digest=promised.digest.hex(),
        stored_digest=digest.hex(),
        erasable=canonical.loads(promised.body).get(MEMBER),
    )
    document |= {
        "event_id": str(another_id(promised.id, promised.digest)),
        "event_timestamp": times.timestamp_text(promised.received_at),
    }
    return event_format.accept(document, writer=OWN_WRITER)


def is_recorded(event_id: str, promised_digest: str) -> bool:
    """Whether the store has recorded that an event is here once, and was promised under this digest as well.

    The digest is computed anew from the record as it is stored, with the commitments that were promised.
    """
    with visibility.as_system():
        known = Record.objects.filter(id=another_id(UUID(event_id), bytes.fromhex(promised_digest))).first()
        stored = Record.objects.filter(id=event_id).first()
    if known is None or stored is None or (known.writer, known.event_type) != (OWN_WRITER, AGAIN):
        return False
    document = stored.document() | {MEMBER: known.event_data.get(MEMBER)}
    promised = {name: value for name, value in document.items() if value is not None}
    return canonical.digest(canonical.canonical(promised)).hex() == promised_digest
