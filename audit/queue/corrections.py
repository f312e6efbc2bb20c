"""Send a parked event that can never be stored again, corrected, as a new event. The old one stays as it is."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from audit import visibility
from audit.errors import AuditError, Invalid
from audit.formats import canonical, event
from audit.formats.erasable import commitments
from audit.formats.erasable.commitments import MEMBER
from audit.ingest import erasure_rules, own_event
from audit.ingest.record import Recorded, record
from audit.models import OWN_WRITER, Record
from audit.queue.actions import CORRELATION
from audit.safe_text import storable
from dlq.message import Message

OWN_TYPES = "audit."
REASON_CHARACTERS = 1_000
CORRECTED = "audit.parked.corrected"
# A list looks at so many of the newest corrections, and a day further back: clocks may not agree.
CORRECTIONS_LOOKED_AT = 1_000
SLACK = timedelta(days=1)
# The id is new, since the content is; the number belongs to the writer.
FIELDS_DROPPED = ("event_id", "writer", "source_seq", "source_epoch", MEMBER)
log = structlog.get_logger(__name__)


class NotToCorrect(AuditError):
    """Only a dead event of a writer is corrected, and once."""


class Correction(NamedTuple):
    """A person's correction of a parked event, as the trail has it. `record_id` is that of the new record."""

    by: str
    at: datetime
    record_id: str
    # Of the event that was corrected.
    message_id: str
    key: str
    writer: str
    # Why it was corrected so; "" of those that were made before a reason was asked for.
    reason: str


def find(message: Message) -> Correction | None:
    """The correction of a message, where there is one."""
    return _first(message_id=message.id)


def among(messages: Sequence[Message]) -> dict[str, Correction]:
    """The corrections of those of these messages that are dead, by message id, of the newest corrections."""
    dead = {message.id: message.parked_at for message in messages if message.state == "dead"}
    if not dead:
        return {}
    with visibility.as_system():
        acts = Record.objects.filter(
            writer=OWN_WRITER, event_type=CORRECTED, event_timestamp__gte=min(dead.values()) - SLACK
        ).order_by("-event_timestamp", "-id")[:CORRECTIONS_LOOKED_AT]
        corrections = [_correction(act) for act in acts]
    return {correction.message_id: correction for correction in corrections if correction.message_id in dead}


def that_made(record: Record) -> Correction | None:
    """The correction that this record came from, where it did: only the store's own records do."""
    return _first(corrected_event_id=str(record.pk)) if is_corrected(record) else None


def is_corrected(record: Record) -> bool:
    """Whether a person wrote this record as the correction of a parked event: the store's own acts begin otherwise."""
    return record.writer == OWN_WRITER and not record.event_type.startswith(OWN_TYPES)


def _first(**facts: str) -> Correction | None:
    with visibility.as_system():
        act = Record.objects.filter(writer=OWN_WRITER, event_type=CORRECTED, event_data__contains=facts).first()
    return None if act is None else _correction(act)


def _correction(act: Record) -> Correction:
    message_id, key, writer, reason, new = (
        str(act.event_data.get(name, ""))
        for name in ("message_id", "event_id", "writer", "reason", "corrected_event_id")
    )
    return Correction(act.actor_id, act.event_timestamp, new, message_id, key, writer, reason)


def correct(message: Message, text: bytes, *, by: str, reason: str) -> Recorded:
    """Record the corrected event, which names the old one as its parent, and who corrected it why: both, or neither.

    It is the store's own record: what a person typed is not what the writer sent.
    Raises `NotToCorrect`, `Invalid` naming what is still wrong, `Conflict`, `NothingKept`.
    """
    _refuse_unless_due(message)
    reason = storable(reason.strip())
    if not 1 <= len(reason) <= REASON_CHARACTERS:
        raise Invalid({"reason": f"say why it is corrected so, in at most {REASON_CHARACTERS:,} characters"})
    corrected = event.accept(_document(message, text), writer=OWN_WRITER, erasing=erasure_rules.in_force())
    act = own_event.document(
        CORRECTED,
        actor=by,
        outcome="success",
        correlation=CORRELATION,
        event_id=storable(message.key),
        message_id=message.id,
        writer=storable(message.source),
        digest=message.digest.hex(),
        reason=reason,
        corrected_event_id=str(corrected.id),
        corrected_digest=corrected.digest.hex(),
    )
    # Together: were the act recorded first, a failure after it would forbid every further attempt.
    recorded, _ = record([corrected, event.accept(act, writer=OWN_WRITER)])
    log.warning("parked_event_corrected", event_id=message.key, corrected=str(corrected.id), by=by)
    return recorded


def as_sent(message: Message) -> bytes:
    """Return the event of a message with its values in their places; as it is where it cannot be read."""
    if not message.beside:
        return message.body
    try:
        document = canonical.loads(message.body)
        return canonical.canonical(commitments.opened(document, commitments.from_text(message.beside)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return message.body


def _refuse_unless_due(message: Message) -> None:
    if message.state != "dead":
        raise NotToCorrect("This event is not dead: the store may still take it as it is.")
    if message.source == OWN_WRITER:
        raise NotToCorrect("This is a record of the store's own acts: nobody corrects those.")
    if (before := find(message)) is not None:
        raise NotToCorrect(f"This event was corrected before, as {before.record_id}.")


def _document(message: Message, text: bytes) -> dict[str, Any]:
    try:
        document = canonical.loads(text)
    except canonical.NotCanonical as error:
        raise Invalid({"": str(error)}) from None
    if not isinstance(document, dict):
        raise Invalid({"": "an event is a JSON object"})
    if str(document.get("event_type", "")).startswith(OWN_TYPES):
        raise Invalid({"event_type": "types that begin with 'audit.' are the store's own"})
    document = {name: value for name, value in document.items() if name not in FIELDS_DROPPED}
    try:
        document["parent_event_id"] = str(UUID(message.key))
    except ValueError:
        document.pop("parent_event_id", None)
    return document
