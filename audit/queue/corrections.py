"""corrections: send a parked event that can never be stored again, mended, as a new event. The old one stays."""

from typing import Any
from uuid import UUID

import structlog

from audit import visibility
from audit.errors import AuditError, Invalid
from audit.formats import canonical, event
from audit.ingest import trail
from audit.ingest.record import Receipt, record
from audit.models import OWN_WRITER, Record
from dlq.message import Message

OWN_TYPES = "audit."
NOT_KEPT = ("event_id", "writer", "source_seq", "source_epoch")
"""The id is new, for the content is; the number was the writer's own."""
log = structlog.get_logger(__name__)


class NotToCorrect(AuditError):
    """Only a dead event of a writer is corrected, and once."""


def correct(message: Message, text: bytes, *, by: str) -> Receipt:
    """Record the mended event, which names the old one as its parent, and that it was mended, by whom.

    It is the store's own record, for what a person typed is not what the writer sent.
    Raises `NotToCorrect`, `Invalid` naming what is still wrong, `Conflict`, `NothingKept`.
    """
    _refuse_unless_due(message)
    accepted = event.accept(_document(message, text), writer=OWN_WRITER)
    trail.add(
        "audit.parked.corrected",
        actor=by,
        correlation="dead-letter-queue",
        event_id=_text(message.key),
        message_id=message.id,
        writer=_text(message.source),
        digest=message.digest.hex(),
        corrected_event_id=str(accepted.id),
        corrected_digest=accepted.digest.hex(),
    )
    (receipt,) = record([accepted])
    log.warning("parked_event_corrected", event_id=message.key, corrected=str(accepted.id), by=by)
    return receipt


def _refuse_unless_due(message: Message) -> None:
    if message.state != "dead":
        raise NotToCorrect("This event is not dead: the store may still take it as it is.")
    if message.source == OWN_WRITER:
        raise NotToCorrect("This is a record of the store's own acts: nobody corrects those.")
    with visibility.own_account():
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
        raise Invalid({"event_type": "what the store says of its own acts nobody else writes"})
    document = {name: value for name, value in document.items() if name not in NOT_KEPT}
    try:
        document["parent_event_id"] = str(UUID(message.key))
    except ValueError:
        document.pop("parent_event_id", None)
    return document


def _text(value: str) -> str:
    return value.replace("\x00", "\ufffd")
