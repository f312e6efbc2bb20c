"""What a person may do with parked events from the list: each act is a record before it is done."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import dlq.stream
from audit.ingest import trail
from audit.queue.quarantine import quarantine
from dlq.message import Message

NAMED = 100
CAP = 5_000
"""How many one act takes; the rest is left for the next, so that a slip stays small."""


def retry(messages: Sequence[Message], by: str) -> int:
    """Make messages due, with all retries before them: few at once, many over a minute."""
    _record("retried", messages, by)
    return dlq.stream.for_drain().retry_now([message.id for message in messages])


def snooze(messages: Sequence[Message], by: str) -> int:
    """Leave messages alone for a day."""
    _record("snoozed", messages, by)
    return dlq.stream.for_drain().snooze([one.id for one in messages], for_s=timedelta(days=1).total_seconds())


def put_aside(messages: Sequence[Message], by: str) -> int:
    """Keep messages in the quarantine instead of Redis."""
    return quarantine(messages, cause="put aside by a person", by=by)


ACTS: dict[str, tuple[str, Callable[[Sequence[Message], str], int]]] = {
    "retry": ("Retry now", retry),
    "snooze": ("Snooze for a day", snooze),
    "quarantine": ("Quarantine", put_aside),
}
"""Name in the form, name on the button, act."""


def _record(act: str, messages: Sequence[Message], by: str) -> None:
    ids = [message.key.replace("\x00", "\ufffd") for message in messages[:NAMED]]
    trail.add(f"audit.parked.{act}", actor=by, correlation="dead-letter-queue", count=len(messages), event_ids=ids)
