"""quarantine: keep parked events for good that must not stay in Redis, exactly as they were. Nothing is lost by it.

1. Record the act: what cannot be recorded is not done.
2. Write the raw bytes and the whole history to an append-only table, in one transaction.
3. Only then take the messages out of the queue, counted as quarantined.

A crash in between leaves a message in both places; the next run writes it once more, and readers see one.
"""

import json
from collections.abc import Sequence
from typing import Any

import structlog
from django.db import connections, transaction

import dlq.stream
from audit.ingest import trail
from audit.models import Quarantined
from dlq import policy
from dlq.authenticity import FORGED, is_authentic
from dlq.message import EPOCH, Attempt, Document, Message

log = structlog.get_logger(__name__)

BATCH = 500
RELEASED = "released from the quarantine"
SEVEN_DAYS = "seven days in the queue"
INSERT = """
INSERT INTO audit_quarantine
    (message_id, key, digest, body, source, kind, reason, attempts, errors, received_at, parked_at, cause,
     quarantined_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def quarantine(messages: Sequence[Message], *, cause: str, by: str) -> int:
    """Move messages from the queue to the quarantine; return how many.

    Raises `NothingKept`, `Refused`, and what the database raises.
    """
    portions = [messages[first : first + BATCH] for first in range(0, len(messages), BATCH)]
    return sum(_quarantine(portion, cause, by) for portion in portions)


def release(found: Quarantined, *, by: str) -> str:
    """Park a quarantined event again, for the drain to try; return "parked", "duplicate" or "conflict".

    The row stays. Where a record of it exists by now, the drain finds a duplicate. Raises `NothingKept`, `Refused`.
    """
    facts = {"event_id": found.key, "digest": bytes(found.digest).hex(), "message_id": found.message_id}
    trail.add("audit.parked.released", actor=by, correlation="quarantine", **facts)
    document = Document(
        key=found.key,
        digest=bytes(found.digest),
        body=bytes(found.body),
        source=found.source,
        kind=found.kind,
        received_at=found.received_at or EPOCH,
        # What was forged when it came here stays so: it is dead again at the next drain.
        mac=b"" if any(attempt["kind"] == FORGED for attempt in json.loads(found.errors or "[]")) else None,
    )
    return dlq.stream.for_drain().park([document], reason=RELEASED, again=True).outcomes[0]


def _quarantine(messages: Sequence[Message], cause: str, by: str) -> int:
    """One portion, with its record: that names each event and its digest, so that a missing row shows."""
    trail.add(
        "audit.parked.quarantined",
        actor=by,
        correlation="quarantine",
        cause=cause,
        count=len(messages),
        events={message.id: [_text(message.key), message.digest.hex()] for message in messages},
    )
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.executemany(INSERT, [_row(message, cause, by) for message in messages])
    moved = dlq.stream.for_drain().acknowledge(messages, "quarantined")
    log.warning("dlq_quarantined", messages=moved, cause=cause)
    return moved


def quarantine_old(*, by: str) -> int:
    """Move what has waited for seven days; return how many.

    What was never tried is left to the drain, also while a person has paused it: the store would take it.
    """
    queue, moved = dlq.stream.for_drain(), 0
    for page in queue.pages.older_than(policy.LONGEST_WAIT_S, chunk=BATCH):
        if old := [one for one in page if one.state == "dead" or (one.state == "waiting" and one.attempts)]:
            moved += quarantine(old, cause=SEVEN_DAYS, by=by)
    return moved


def _row(message: Message, cause: str, by: str) -> list[Any]:
    return [
        message.id,
        _text(message.key),
        message.digest,
        message.body,
        _text(message.source),
        _text(message.kind),
        _text(message.reason),
        message.attempts,
        json.dumps([*message.errors, *_doubts(message)]),
        None if message.received_at == EPOCH else message.received_at,
        message.parked_at,
        cause,
        by,
    ]


def _doubts(message: Message) -> list[Attempt]:
    """Note that a message was forged, should it be put aside before a drain found that out."""
    if is_authentic(message):
        return []
    return [{"at": message.seen_at.isoformat(), "kind": FORGED, "error": "its signature is missing or wrong"}]


def _text(value: str) -> str:
    """Text as PostgreSQL can hold it; the bytes that count are kept beside it untouched."""
    return value.replace("\x00", "\ufffd")
