"""Move parked events that must not stay in Redis to an append-only table, exactly as they were.

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
from audit.accounting import restored
from audit.ingest import trail
from audit.models import Quarantined
from audit.safe_text import storable
from dlq import policy
from dlq.authenticity import FORGED, is_authentic
from dlq.message import EPOCH, Attempt, Document, Message

log = structlog.get_logger(__name__)

MESSAGES_PER_BATCH = 500
RELEASED = "released from the quarantine"
SEVEN_DAYS = "seven days in the queue"
INSERT = """
INSERT INTO audit_quarantine
    (message_id, key, digest, body, source, kind, reason, attempts, errors, received_at, parked_at, cause,
     quarantined_by, beside)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def quarantine(messages: Sequence[Message], *, cause: str, by: str) -> int:
    """Move messages from the queue to the quarantine; return how many.

    Raises `NothingKept`, `Refused`, and what the database raises.
    """
    starts = range(0, len(messages), MESSAGES_PER_BATCH)
    return sum(_quarantine(messages[start : start + MESSAGES_PER_BATCH], cause, by) for start in starts)


def release(row: Quarantined, *, by: str) -> str:
    """Park a quarantined event again, for the drain to try; return "parked", "duplicate" or "conflict".

    The row stays. Where a record of it exists by now, the drain finds a duplicate. Raises `NothingKept`, `Refused`.
    """
    facts = {"event_id": row.key, "digest": bytes(row.digest).hex(), "message_id": row.message_id}
    trail.add("audit.parked.released", actor=by, correlation="quarantine", **facts)
    document = Document(
        key=row.key,
        digest=bytes(row.digest),
        body=bytes(row.body),
        source=row.source,
        kind=row.kind,
        received_at=row.received_at or EPOCH,
        beside=bytes(row.beside or b""),
        # What was forged when it came here stays so: it is dead again at the next drain.
        mac=b"" if any(attempt["kind"] == FORGED for attempt in json.loads(row.errors or "[]")) else None,
    )
    return dlq.stream.for_drain().park([document], reason=RELEASED, again=True).outcomes[0]


def _quarantine(messages: Sequence[Message], cause: str, by: str) -> int:
    """Move one batch. Its record names each event and its digest, so that a missing row can be noticed."""
    trail.add(
        "audit.parked.quarantined",
        actor=by,
        correlation="quarantine",
        cause=cause,
        count=len(messages),
        events={message.id: [storable(message.key), message.digest.hex()] for message in messages},
    )
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.executemany(INSERT, [_row(message, cause, by) for message in messages])
    moved = dlq.stream.for_drain().acknowledge(messages, "quarantined")
    restored.note_progress(dlq.stream.for_drain())
    log.warning("dlq_quarantined", messages=moved, cause=cause)
    return moved


def quarantine_old(*, by: str) -> int:
    """Move what has waited for seven days; return how many.

    A message that was never tried is left to the drain, also while it is paused: the store would take it.
    """
    queue, moved = dlq.stream.for_drain(), 0
    for page in queue.pages.older_than(policy.LONGEST_WAIT_S, chunk=MESSAGES_PER_BATCH):
        tried = (message for message in page if message.attempts or message.state == "dead")
        if old := [message for message in tried if message.state in ("dead", "waiting")]:
            moved += quarantine(old, cause=SEVEN_DAYS, by=by)
    return moved


def _row(message: Message, cause: str, by: str) -> list[Any]:
    return [
        message.id,
        storable(message.key),
        message.digest,
        message.body,
        storable(message.source),
        storable(message.kind),
        storable(message.reason),
        message.attempts,
        json.dumps([*message.errors, *_doubts(message)]),
        None if message.received_at == EPOCH else message.received_at,
        message.parked_at,
        cause,
        by,
        message.beside or None,
    ]


def _doubts(message: Message) -> list[Attempt]:
    """Note that a message was forged, should it be put aside before a drain found that out."""
    if is_authentic(message):
        return []
    return [{"at": message.seen_at.isoformat(), "kind": FORGED, "error": "its signature is missing or wrong"}]
