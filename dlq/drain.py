"""Hand due messages to a handler that stores them, and take out what is stored."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import structlog
from django.conf import settings

from dlq import policy
from dlq import stream as streams
from dlq.errors import DlqError, Paused, Refused
from dlq.message import Message
from dlq.stats import WayOut

log = structlog.get_logger(__name__)


class DatabaseDown(DlqError):
    """The database is not there: no message is to blame."""


class Outcome(NamedTuple):
    """What became of one message."""

    verdict: Literal["stored", "duplicate", "failed", "dead"]
    kind: str = ""
    error: str = ""


# Stores the documents of the messages, committed when it returns. Raises `DatabaseDown` for an outage.
Handler = Callable[[Sequence[Message]], Sequence[Outcome]]
# Does what the handler need not wait with, of messages that it gets next.
Prepare = Callable[[Sequence[Message]], None]


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
    prepare: Prepare | None = None,
    limit: int | None = None,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Summary], None] | None = None,
    stream: streams.Stream | None = None,
) -> Summary:
    """Drain until nothing is due, `limit` messages or `seconds` are used up, or `stop` is set.

    1. Return where a person has paused the queue, or the database is not up: touch nothing.
    2. Lease a batch of due messages. Other drainers see the rest. Nothing due, or paused meanwhile: end.
    3. Hand it to `handler`. Meanwhile the next batch is leased and handed to `prepare`, and the one before taken out.
    4. Take out what is stored, note what failed. Only now does a message leave the queue.
    5. Where the database went away in between: give the lease back, count no attempt, end.

    Safe to run in several processes at once, and to be killed anywhere: a lease that is not given back
    ends by itself, and to store or to take out twice is harmless. Raises `Refused` when Redis fails.
    """
    queue = stream or streams.for_drain()
    summary, started = Summary(), time.monotonic()

    def is_over() -> bool:
        return bool(stop and stop.is_set()) or (seconds is not None and time.monotonic() - started >= seconds)

    try:
        if queue.activity.paused():
            raise Paused
        if queue.totals.depth() and not probe():
            summary.database_up = False
            return summary
        with _Ahead(queue, limit, summary, prepare) as ahead:
            while not is_over() and (messages := ahead.next()):
                summary.claimed += len(messages)
                _handle(handler, messages, queue, ahead, summary)
                if progress:
                    progress(summary)
                if not summary.database_up:
                    break
        if progress:
            progress(summary)  # the last batch is counted only when it is taken out
        queue.activity.beat("last_drain_at")
        return summary
    except Paused:
        summary.paused = True
        return summary
    finally:
        summary.seconds = time.monotonic() - started
        summary.remaining = queue.totals.depth()


class _Ahead:
    """Leases the next batch, and takes out the one before, each in a thread beside the handler.

    Its end waits until all is taken out that was to be, and gives back what was leased and not asked for.
    """

    def __init__(self, queue: streams.Stream, limit: int | None, summary: Summary, prepare: Prepare | None):
        self._queue, self._limit, self._summary, self._prepare = queue, limit, summary, prepare
        self._claimed = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="drain-ahead")
        self._out = ThreadPoolExecutor(1, thread_name_prefix="drain-out")
        self._leased: Future[list[Message]] | None = None
        self._taken_out: list[tuple[Future[int], WayOut, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.settle()
        finally:
            leased, self._leased = self._leased, None
            with suppress(Paused, Refused):  # a lease that cannot be given back ends by itself
                self._queue.release(leased.result() if leased is not None else [])
            self._thread.shutdown()
            self._out.shutdown()

    def next(self) -> list[Message]:
        """Return a batch; none where nothing is due, or the limit is reached. Raises `Paused`, `Refused`."""
        leased, self._leased = self._leased, None
        messages = leased.result() if leased is not None else []
        if not messages:
            messages = self._claim()
        elif self._queue.activity.paused():
            self._queue.release(messages)
            raise Paused
        self._claimed += len(messages)
        if messages:
            self._leased = self._thread.submit(self._claim)
        return messages

    def take_out(self, messages: list[Message], way: WayOut) -> None:
        """Begin to take out messages whose documents are stored; `settle` waits for it."""
        if messages:
            self._taken_out.append((self._out.submit(self._queue.acknowledge, messages, way), way, len(messages)))

    def settle(self) -> None:
        """Wait until what was begun is taken out, and count it. Raises `Refused`."""
        while self._taken_out:
            done, way, count = self._taken_out.pop(0)
            done.result()
            self._summary.stored += count if way == "drained" else 0
            self._summary.duplicate += count if way == "duplicate" else 0

    def _claim(self) -> list[Message]:
        size = settings.DLQ_BATCH if self._limit is None else min(settings.DLQ_BATCH, self._limit - self._claimed)
        messages = self._queue.claim(size) if size > 0 else []
        if self._prepare is not None:
            # What breaks here breaks in the handler too, which is then called for each message alone.
            with suppress(Exception):
                self._prepare(messages)
        return messages


def _handle(handler: Handler, messages: list[Message], queue: streams.Stream, ahead: _Ahead, summary: Summary) -> None:
    try:
        outcomes = _outcomes(handler, messages)
    except DatabaseDown:
        queue.release(messages, delay_s=policy.release_delay())
        summary.released += len(messages)
        summary.database_up = False
        return
    finally:
        ahead.settle()  # the batch before
    pairs = list(zip(messages, outcomes, strict=True))
    ahead.take_out([message for message, outcome in pairs if outcome.verdict == "stored"], "drained")
    ahead.take_out([message for message, outcome in pairs if outcome.verdict == "duplicate"], "duplicate")
    for message, outcome in pairs:
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
