"""discard: give a parked event up for good. One person asks and says why, another one approves; both are recorded."""

from datetime import UTC, datetime

import dlq.stream
from audit import trail
from audit.errors import AuditError
from audit.models import Discard
from dlq.message import Message


class NotYours(AuditError):
    """Whoever asked for a discard cannot approve it: a second person has to."""


class Gone(AuditError):
    """The event is not in the queue any more: there is nothing to discard."""


def ask(message: Message, *, reason: str, by: str) -> Discard:
    """Ask for a message to be discarded. Raises `NothingKept`."""
    facts = {"event_id": _text(message.key), "digest": message.digest.hex(), "reason": reason}
    trail.add("audit.parked.discard_asked", actor=by, correlation="dead-letter-queue", **facts)
    return Discard.objects.create(
        key=_text(message.key),
        message_id=message.id,
        digest=message.digest.hex(),
        source=_text(message.source),
        kind=_text(message.kind),
        reason=reason,
        asked_by=by,
        asked_at=datetime.now(UTC),
    )


def decide(asked: Discard, *, approve: bool, by: str) -> None:
    """Approve or decline. An approved message leaves the queue, once that is recorded.

    Raises `NotYours`, `Gone`, `NothingKept`, and `Refused` where Redis does not do it.
    """
    if by == asked.asked_by:
        raise NotYours
    message = dlq.stream.for_drain().get(asked.message_id)
    if approve and message is None:
        raise Gone
    act = "discarded" if approve else "discard_declined"
    facts = {"event_id": asked.key, "digest": asked.digest, "reason": asked.reason, "asked_by": asked.asked_by}
    trail.add(f"audit.parked.{act}", actor=by, correlation="dead-letter-queue", **facts)
    if approve and message is not None:
        dlq.stream.for_drain().acknowledge([message], "discarded")
    asked.decision, asked.decided_by, asked.decided_at = act, by, datetime.now(UTC)
    asked.save(update_fields=["decision", "decided_by", "decided_at"])


def _text(value: str) -> str:
    return value.replace("\x00", "\ufffd")
