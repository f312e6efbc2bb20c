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
from audit import trail
from dlq import policy
from dlq.message import EPOCH, Message

log = structlog.get_logger(__name__)

BATCH = 500
NAMED = 100
"""How many event ids the record of the act names."""
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
    trail.add(
        "audit.parked.quarantined",
        actor=by,
        correlation="quarantine",
        cause=cause,
        count=len(messages),
        event_ids=[_text(message.key) for message in messages[:NAMED]],
    )
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.executemany(INSERT, [_row(message, cause, by) for message in messages])
    moved = dlq.stream.for_drain().acknowledge(messages, "quarantined")
    log.warning("dlq_quarantined", messages=moved, cause=cause)
    return moved


def quarantine_old(*, by: str) -> int:
    """Move what has waited for seven days; return how many. What was never tried yet is left to the drain."""
    queue, moved = dlq.stream.for_drain(), 0
    paused = queue.paused() is not None
    for page in queue.older_than(policy.LONGEST_WAIT, chunk=BATCH):
        if old := [one for one in page if paused or one.attempts or one.state != "due"]:
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
        json.dumps(message.errors),
        None if message.received_at == EPOCH else message.received_at,
        message.parked_at,
        cause,
        by,
    ]


def _text(value: str) -> str:
    """Text as PostgreSQL can hold it; the bytes that count are kept beside it untouched."""
    return value.replace("\x00", "\ufffd")
