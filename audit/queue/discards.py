"""Give a parked event up for good: one person asks and says why, another one approves. Both acts are recorded."""

from datetime import UTC, datetime

from django.db import transaction

import dlq.stream
from audit import visibility
from audit.accounting import restored
from audit.errors import AuditError
from audit.ingest import trail
from audit.models import OWN_WRITER, Discard, Record
from audit.queue.actions import CORRELATION
from audit.safe_text import storable
from dlq.message import Message

# Decisions that leave the event where it is.
LEFT = ("discard_declined", "discard_withdrawn")


class NotYours(AuditError):
    """Whoever asked for a discard cannot approve it: a second person has to."""


class Gone(AuditError):
    """The event is not in the queue any more: there is nothing to discard."""


class Decided(AuditError):
    """Somebody has decided this meanwhile."""


def request(message: Message, *, reason: str, by: str) -> Discard:
    """Ask for a message to be discarded. Raises `NothingKept`."""
    facts = {"event_id": storable(message.key), "digest": message.digest.hex(), "reason": reason}
    trail.add("audit.parked.discard_asked", actor=by, correlation=CORRELATION, **facts)
    return Discard.objects.create(
        key=storable(message.key),
        message_id=message.id,
        digest=message.digest.hex(),
        source=storable(message.source),
        kind=storable(message.kind),
        reason=reason,
        asked_by=by,
        asked_at=datetime.now(UTC),
    )


def decide(discard: Discard, *, approve: bool, by: str) -> None:
    """Approve or decline. An approved message leaves the queue, once that is recorded. One decision stands for good.

    Raises `NotYours`, `Gone`, `Decided`, `NothingKept`, and `Refused` where Redis does not do it.
    """
    if by == discard.asked_by:
        raise NotYours
    with transaction.atomic():
        row = Discard.objects.select_for_update().get(pk=discard.pk)
        if row.decision:
            raise Decided
        row.decision, row.decided_by = _decided_before_crash(row) or _decide(row, approve, by)
        row.decided_at = datetime.now(UTC)
        row.save(update_fields=["decision", "decided_by", "decided_at"])


def withdraw(discard: Discard, *, by: str) -> None:
    """Take a request back, as whoever made it: nobody can approve it then. Raises `NotYours`, `Decided`, `NothingKept`.

    One that was approved before a crash is noted as approved.
    """
    if by != discard.asked_by:
        raise NotYours("Only whoever requested a discard withdraws it; others decline it.")
    with transaction.atomic():
        row = Discard.objects.select_for_update().get(pk=discard.pk)
        if row.decision:
            raise Decided
        row.decision, row.decided_by = _decided_before_crash(row) or _withdrawn(row, by)
        row.decided_at = datetime.now(UTC)
        row.save(update_fields=["decision", "decided_by", "decided_at"])


def waiting(message: Message) -> Discard | None:
    """The request to discard a message that nobody has decided yet."""
    return Discard.objects.filter(message_id=message.id, decision="").first()


def recorded(row: Discard) -> Record | None:
    """The record of the act that discarded the message, where there is one."""
    with visibility.as_system():
        return Record.objects.filter(
            writer=OWN_WRITER,
            event_type="audit.parked.discarded",
            event_data__contains={"message_id": row.message_id},
        ).first()


def _decide(row: Discard, approve: bool, by: str) -> tuple[str, str]:
    facts = {"event_id": row.key, "digest": row.digest, "message_id": row.message_id, "reason": row.reason}
    message = dlq.stream.for_drain().pages.get(row.message_id) if approve else None
    if approve and (message is None or message.digest.hex() != row.digest):
        raise Gone
    act = "discarded" if approve else "discard_declined"
    trail.add(f"audit.parked.{act}", actor=by, correlation=CORRELATION, asked_by=row.asked_by, **facts)
    if message is not None:
        dlq.stream.for_drain().acknowledge([message], "discarded")
        restored.note_progress(dlq.stream.for_drain())
    return act, by


def _withdrawn(row: Discard, by: str) -> tuple[str, str]:
    facts = {"event_id": row.key, "digest": row.digest, "message_id": row.message_id, "reason": row.reason}
    trail.add("audit.parked.discard_withdrawn", actor=by, correlation=CORRELATION, asked_by=row.asked_by, **facts)
    return "discard_withdrawn", by


def _decided_before_crash(row: Discard) -> tuple[str, str] | None:
    """The decision of a run that crashed after the message had left the queue: the trail knows who approved."""
    if dlq.stream.for_drain().pages.get(row.message_id) is not None:
        return None
    act = recorded(row)
    return None if act is None else ("discarded", act.actor_id)
