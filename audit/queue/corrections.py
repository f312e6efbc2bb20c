"""Send a parked event that can never be stored again, corrected, as a new event. The old one stays as it is."""

from typing import Any
from uuid import UUID

import structlog

from audit import visibility
from audit.errors import AuditError, Invalid
from audit.formats import canonical, event
from audit.ingest import own_event
from audit.ingest.record import Recorded, record
from audit.models import OWN_WRITER, Record
from audit.queue.actions import CORRELATION
from audit.safe_text import storable
from dlq.message import Message

OWN_TYPES = "audit."
# The id is new, since the content is; the number belongs to the writer.
FIELDS_DROPPED = ("event_id", "writer", "source_seq", "source_epoch")
log = structlog.get_logger(__name__)


class NotToCorrect(AuditError):
    """Only a dead event of a writer is corrected, and once."""


def correct(message: Message, text: bytes, *, by: str) -> Recorded:
    """Record the corrected event, which names the old one as its parent, and who corrected it: both, or neither.

    It is the store's own record: what a person typed is not what the writer sent.
    Raises `NotToCorrect`, `Invalid` naming what is still wrong, `Conflict`, `NothingKept`.
    """
    _refuse_unless_due(message)
    corrected = event.accept(_document(message, text), writer=OWN_WRITER)
    act = own_event.document(
        "audit.parked.corrected",
        actor=by,
        outcome="success",
        correlation=CORRELATION,
        event_id=storable(message.key),
        message_id=message.id,
        writer=storable(message.source),
        digest=message.digest.hex(),
        corrected_event_id=str(corrected.id),
        corrected_digest=corrected.digest.hex(),
    )
    # Together: were the act recorded first, a failure after it would forbid every further attempt.
    recorded, _ = record([corrected, event.accept(act, writer=OWN_WRITER)])
    log.warning("parked_event_corrected", event_id=message.key, corrected=str(corrected.id), by=by)
    return recorded


def _refuse_unless_due(message: Message) -> None:
    if message.state != "dead":
        raise NotToCorrect("This event is not dead: the store may still take it as it is.")
    if message.source == OWN_WRITER:
        raise NotToCorrect("This is a record of the store's own acts: nobody corrects those.")
    with visibility.as_system():
        before = Record.objects.filter(
            writer=OWN_WRITER,
            event_type="audit.parked.corrected",
            event_data__contains={"message_id": message.id},
        ).first()
    if before is not None:
        raise NotToCorrect(f"This event was corrected before, as {before.event_data['corrected_event_id']}.")


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
