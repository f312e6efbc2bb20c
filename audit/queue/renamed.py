"""Keep an acknowledged event whose id another event took meanwhile: as a record under a new id that names the old one.

It was answered 202, so it has to become a record. Its id was free then and is not now: its writer or another one used
it while nobody could compare. The new id is made of the old one and of the content, so that a drain that is cut off
and repeats stores nothing twice.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from audit import metrics, visibility
from audit.errors import Conflict
from audit.formats import canonical, times
from audit.formats import event as event_format
from audit.formats.event import Accepted, another_id
from audit.ingest import own_event
from audit.ingest.record import store_promised
from audit.models import OWN_WRITER, Record
from dlq.message import Message


def store_under_new_id(message: Message, event: Accepted, *, timeout_s: float) -> UUID:
    """Store the event under another id, and with it the record that says so; return the id. Raises as `store` does."""
    renamed = _renamed(event)
    both = [renamed, _act(event, renamed, message.parked_at)]
    try:
        states = store_promised(both, timeout_s=timeout_s, parked_at=[message.parked_at, None])
    except Conflict:
        # It was kept with the time of another message of the same event: of a file, of a park that was not answered.
        if kept_as(event.id, event.digest) is None:
            raise
        states = store_promised([renamed], timeout_s=timeout_s, parked_at=[message.parked_at])
    if states[0] == "stored":
        metrics.conflicts.inc()
    return renamed.id


def kept_as(event_id: UUID, digest: bytes) -> Record | None:
    """Return the record of an event with this id and content that had to be stored under another id."""
    with visibility.as_system():
        record = Record.objects.filter(id=another_id(event_id, digest)).first()
    if record is None:
        return None
    document = record.document() | {"event_id": str(event_id)}
    orphan = {name: value for name, value in document.items() if (name, value) != ("parent_event_id", str(event_id))}
    digests = [canonical.digest(canonical.canonical(original)) for original in (orphan, document)]
    return record if digest in digests else None


def _renamed(event: Accepted) -> Accepted:
    document = canonical.loads(event.body)
    new_id = another_id(event.id, event.digest)
    # A parent that the writer named stays: the act beside it names both ids.
    body = canonical.canonical({"parent_event_id": str(event.id), **document, "event_id": str(new_id)})
    return msgspec.structs.replace(event, id=new_id, body=body, digest=canonical.digest(body))


def _act(event: Accepted, renamed: Accepted, parked_at: datetime) -> Accepted:
    """The record of it: the same each time that it is made."""
    document = own_event.document(
        "audit.event.conflict",
        actor=OWN_WRITER,
        outcome="failure",
        correlation=event.correlation_id,
        event_id=str(event.id),
        offered_by=event.writer,
        offered_digest=event.digest.hex(),
        kept_as=str(renamed.id),
    )
    document |= {
        "event_id": str(another_id(renamed.id, renamed.digest)),
        "event_timestamp": times.timestamp_text(parked_at),
    }
    return event_format.accept(document, writer=OWN_WRITER)
