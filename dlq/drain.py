"""Hand due messages to a handler that stores them, and take out what is stored."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import structlog
from django.conf import settings

from dlq import stream as streams
from dlq.errors import DlqError, Paused
from dlq.message import Message

log = structlog.get_logger(__name__)

RELEASE_JITTER_S = 1.0


class DatabaseDown(DlqError):
    """The database is not there: no message is to blame."""


class Outcome(NamedTuple):
    """What became of one message."""

    verdict: Literal["stored", "duplicate", "failed", "dead"]
    kind: str = ""
    error: str = ""


# Stores the documents of the messages, committed when it returns. Raises `DatabaseDown` for an outage.
Handler = Callable[[Sequence[Message]], Sequence[Outcome]]


@dataclass
class Summary:
    """What one drain did, so far."""

    claimed: int = 0
    stored: int = 0
    duplicate: int = 0
    failed: int = 0
    dead: int = 0
    released: int = 0
    remaining: int = 0
    seconds: float = 0.0
    database_up: bool = True
    paused: bool = False


def drain(
    handler: Handler,
    *,
    probe: Callable[[], bool],
    limit: int | None = None,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Summary], None] | None = None,
    stream: streams.Stream | None = None,
) -> Summary:
    """Drain until nothing is due, `limit` messages or `seconds` are used up, or `stop` is set.

    1. Return where a person has paused the queue, or the database is not up: touch nothing.
    2. Lease a batch of due messages. Other drainers see the rest. Nothing due, or paused meanwhile: end.
    3. Hand it to `handler`.
    4. Take out what is stored, note what failed. Only now does a message leave the queue.
    5. Where the database went away in between: give the lease back, count no attempt, end.

    Safe to run in several processes at once, and to be killed anywhere: a lease that is not given back
    ends by itself, and to store or to take out twice is harmless. Raises `Refused` when Redis fails.
    """
    queue = stream or streams.for_drain()
    summary, started = Summary(), time.monotonic()
    try:
        if queue.activity.paused():
            raise Paused
        if queue.totals.depth() and not probe():
            summary.database_up = False
            return summary
        while not (stop and stop.is_set()) and (seconds is None or time.monotonic() - started < seconds):
            size = settings.DLQ_BATCH if limit is None else min(settings.DLQ_BATCH, limit - summary.claimed)
            messages = queue.claim(size) if size > 0 else []
            if not messages:
                break
            summary.claimed += len(messages)
            _handle(handler, messages, queue, summary)
            if progress:
                progress(summary)
            if not summary.database_up:
                break
        queue.activity.beat("last_drain_at")
        return summary
    except Paused:
        summary.paused = True
        return summary
    finally:
        summary.seconds = time.monotonic() - started
        summary.remaining = queue.totals.depth()


def _handle(handler: Handler, messages: list[Message], queue: streams.Stream, summary: Summary) -> None:
    try:
        outcomes = _outcomes(handler, messages)
    except DatabaseDown:
        queue.release(messages, delay_s=random.uniform(0, RELEASE_JITTER_S))
        summary.released += len(messages)
        summary.database_up = False
        return
    _take_out(messages, outcomes, queue, summary)
    for message, outcome in zip(messages, outcomes, strict=True):
        if outcome.verdict in ("failed", "dead"):
            state = queue.fail(message, outcome.kind, outcome.error, dead=outcome.verdict == "dead")
            if state == "dead":
                summary.dead += 1
            else:
                summary.failed += 1


def _outcomes(handler: Handler, messages: list[Message]) -> Sequence[Outcome]:
    """Call the handler. Where it breaks, call it for each message alone: one must not spoil the others."""
    try:
        outcomes = handler(messages)
    except DatabaseDown:
        raise
    except Exception as error:
        if len(messages) > 1:
            return [_outcomes(handler, [message])[0] for message in messages]
        log.exception("drain_handler_failed", message_id=messages[0].id)
        return [Outcome("failed", type(error).__name__, str(error))]
    if len(outcomes) == len(messages):
        return outcomes
    error_text = f"the handler gave {len(outcomes)} outcomes for {len(messages)} messages"
    return [Outcome("failed", "WrongNumber", error_text)] * len(messages)


def _take_out(messages: list[Message], outcomes: Sequence[Outcome], queue: streams.Stream, summary: Summary) -> None:
    pairs = list(zip(messages, outcomes, strict=True))
    stored = [message for message, outcome in pairs if outcome.verdict == "stored"]
    duplicate = [message for message, outcome in pairs if outcome.verdict == "duplicate"]
    queue.acknowledge(stored, "drained")
    queue.acknowledge(duplicate, "duplicate")
    summary.stored += len(stored)
    summary.duplicate += len(duplicate)
