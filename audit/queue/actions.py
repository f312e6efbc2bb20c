"""What a person may do with the queue, from a page, from a list or by a command: recorded first, with the same facts.

An act that cannot be recorded is not done: each function raises `NothingKept` then, and `Refused` where Redis refuses.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import DatabaseError

import dlq.rebuild
import dlq.stream
from audit.accounting import restored
from audit.ingest import trail
from audit.queue.quarantine import quarantine
from audit.safe_text import storable
from dlq.message import Message
from dlq.rebuild import Rebuilt

# A record names this many events of an act one by one; it counts all.
EVENTS_NAMED = 100
# An act on all that match takes this many; the rest is left for the next, so that a slip stays small.
MESSAGES_PER_ACT = 5_000
SNOOZE = timedelta(days=1)
# What a page offers, by the name in its form. A parked event is quarantined after seven days, snoozed or not.
SNOOZES = {
    "1h": ("1 hour", timedelta(hours=1)),
    "4h": ("4 hours", timedelta(hours=4)),
    "24h": ("1 day", SNOOZE),
    "72h": ("3 days", timedelta(days=3)),
}
CORRELATION = "dead-letter-queue"


def retry(messages: Sequence[Message], by: str) -> int:
    """Make messages due, with all retries before them; few become due at once, many within a minute."""
    _record("retried", by, messages)
    return dlq.stream.for_drain().retry_now([message.id for message in messages])


def snooze(messages: Sequence[Message], by: str, *, span: timedelta = SNOOZE) -> int:
    seconds = span.total_seconds()
    _record("snoozed", by, messages, seconds=round(seconds))
    return dlq.stream.for_drain().snooze([message.id for message in messages], for_s=seconds)


def put_aside(messages: Sequence[Message], by: str) -> int:
    """Move messages to the quarantine, which records it. Raises database errors too."""
    return quarantine(messages, cause="put aside by a person", by=by)


def pause(by: str) -> None:
    _record("paused", by)
    dlq.stream.for_drain().activity.pause(by)


def resume(by: str) -> None:
    _record("resumed", by)
    dlq.stream.for_drain().activity.resume()


def rebuild(by: str) -> Rebuilt:
    """Make every index of the queue again from its stream; events that are nowhere else either are recorded by id.

    While PostgreSQL cannot be asked, all that the stream lacks is, and the record says that it was not checked.
    """
    queue = dlq.stream.for_drain()
    before = queue.totals.stats()
    _record("indexes_rebuilt", by, came=before.enqueued, gone=before.gone, here=before.depth)
    rebuilt = dlq.rebuild.rebuild(queue)
    unchecked = True
    with suppress(DatabaseError):
        rebuilt, unchecked = rebuilt._replace(missing=restored.not_kept(rebuilt.missing)), False
    if rebuilt.missing:
        ids = [storable(key) for key in rebuilt.missing[:EVENTS_NAMED]]
        _record("found_missing", by, count=len(rebuilt.missing), event_ids=ids, may_be_stored=unchecked or None)
    return rebuilt


# Name in the form: label of the button, act.
BULK_ACTS: dict[str, tuple[str, Callable[[Sequence[Message], str], int]]] = {
    "retry": ("Retry now", retry),
    "snooze": ("Snooze", snooze),
    "quarantine": ("Quarantine", put_aside),
}


def _record(act: str, by: str, messages: Sequence[Message] = (), **facts: Any) -> None:
    if messages:
        ids = [storable(message.key) for message in messages[:EVENTS_NAMED]]
        states = sorted({message.state for message in messages})
        facts |= {"count": len(messages), "event_ids": ids, "states_before": states}
    trail.add(f"audit.parked.{act}", actor=by, correlation=CORRELATION, **facts)
