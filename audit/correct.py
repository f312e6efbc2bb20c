"""correct: send a parked event that can never be stored again, mended, as a new event. The old one stays as it is."""

from typing import Any
from uuid import UUID

import structlog

from audit import canonical, event, trail
from audit.event import Invalid
from audit.record import Receipt, record
from dlq.message import Message

log = structlog.get_logger(__name__)


def correct(message: Message, text: bytes, *, by: str) -> Receipt:
    """Record the mended event, which names the old one as its parent, and that it was mended.

    Raises `Invalid` naming what is still wrong, `Conflict`, `NothingKept`.
    """
    accepted = event.accept(_document(message, text), writer=message.source or "unknown")
    trail.add(
        "audit.parked.corrected",
        actor=by,
        correlation="dead-letter-queue",
        event_id=message.key.replace("\x00", "\ufffd"),
        digest=message.digest.hex(),
        corrected_event_id=str(accepted.id),
        corrected_digest=accepted.digest.hex(),
    )
    (receipt,) = record([accepted])
    log.warning("parked_event_corrected", event_id=message.key, corrected=str(accepted.id), by=by)
    return receipt


def _document(message: Message, text: bytes) -> dict[str, Any]:
    try:
        document = canonical.loads(text)
    except canonical.NotCanonical as error:
        raise Invalid({"": str(error)}) from None
    if not isinstance(document, dict):
        raise Invalid({"": "an event is a JSON object"})
    # What the store adds by itself is not the sender's to say; the id is new, for the content is.
    document = {name: value for name, value in document.items() if name not in ("event_id", "writer")}
    try:
        document["parent_event_id"] = str(UUID(message.key))
    except ValueError:
        document.pop("parent_event_id", None)
    return document
