"""What runs by itself: the drain of the DLQ, the sealer's safety net, verification, keys for Redis, partitions.

django-q2 is only a trigger: each task is idempotent, and `drain_dlq --watch` does the drain without it.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import connections
from django_q.tasks import async_task

import dlq.alarm
import dlq.errors
import dlq.history
import dlq.recovery
import dlq.restore
import dlq.spool
import dlq.stream
from audit import canonical, daybook, episodes, export, keys, passages, redeem, rejected, review, tally, trail, verify
from audit.errors import AuditError, Conflict, Unavailable
from audit.event import Accepted
from audit.faults import Fault, fault, headline
from audit.models import OWN_WRITER, Export, Report, Verification
from audit.postgres import is_up
from audit.quarantine import quarantine_old
from audit.reconcile import reconcile
from audit.record import rehearse as rehearse_event
from audit.record import store
from audit.report import making
from audit.seal import Sealer
from audit.sealing import Courier
from dlq.authenticity import FORGED, is_authentic
from dlq.drain import DatabaseDown, Outcome, Summary
from dlq.drain import drain as drain_queue
from dlq.message import Message

log = structlog.get_logger(__name__)

DRAIN_TIMEOUT_S = 10.0
TICK_SECONDS = 40.0
EXPORT_SECONDS = 20.0
"""Less than the others: the part at hand is brought to its end."""
ABANDONED = timedelta(minutes=5)
MISSING_NAMED = 100

P = ParamSpec("P")
R = TypeVar("R")


def task(function: Callable[P, R]) -> Callable[P, R]:
    """What the schedule runs: its end, a failure too, is the sign of life that the worker's watchdog looks for."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        finally:
            with suppress(dlq.errors.Refused):
                dlq.stream.for_drain().activity.beat("last_task_at")

    return run


@task
def tick() -> str:
    """One bounded drain, as django-q2 runs it each minute."""
    summary = drain(seconds=TICK_SECONDS)
    dlq.stream.for_drain().activity.beat("last_tick_at")
    if summary.database_up:
        quarantine_old(by=OWN_WRITER)
    look_at_redis()
    dlq.history.sample(dlq.stream.for_drain())
    episodes.look()
    dlq.alarm.notify()
    return f"stored {summary.stored}, duplicate {summary.duplicate}, remaining {summary.remaining}"


@task
def seal() -> str:
    """One pass of the sealer: the safety net for a sealer service that is not there."""
    sealed = Sealer().once(from_start=True)
    if sealed.checkpoint is None:
        return "another sealer is at work"
    if sealed.signed:
        Courier().deliver(sealed.checkpoint)
    return f"{sealed.added} records sealed"


@task
def verify_newest() -> str:
    """Verify what was sealed since the last time."""
    return _so_far(verify.newest(seconds=TICK_SECONDS))


@task
def verify_slice() -> str:
    """Verify the next slice of the log, so that each record has its turn in VERIFY_DAYS.

    A person's run that nobody goes on with, because its task was lost with a killed worker, comes first.
    """
    stale = datetime.now(UTC) - ABANDONED
    if (left := Verification.objects.filter(ended_at=None, updated_at__lt=stale).order_by("id").first()) is not None:
        return _so_far(verify.resume(left, seconds=TICK_SECONDS))
    return _so_far(verify.next_slice(seconds=TICK_SECONDS))


@task
def continue_verification(run_id: int) -> str:
    """A part of a run that a person asked for; what is left is queued again."""
    run = verify.resume(Verification.objects.get(pk=run_id), seconds=TICK_SECONDS)
    if run.ended_at is None:
        async_task("audit.tasks.continue_verification", run_id)
    return _so_far(run)


@task
def continue_export(export_id: str) -> str:
    """A part of an evidence bundle; what is left is queued again."""
    made = export.go_on(Export.objects.get(pk=export_id), seconds=EXPORT_SECONDS)
    if made.state == "running":
        async_task("audit.tasks.continue_export", export_id)
    return f"{made.state}: {made.done} of {made.total}"


@task
def go_on_with_exports() -> str:
    """Remove the bundles that are expired, and go on with one whose task was lost with a killed worker."""
    if settings.EXPORT_DIR is None:
        return "no bundles are made here"
    expired = export.drop_expired()
    if (left := export.left()) is not None:
        export.go_on(left, seconds=EXPORT_SECONDS)
    return f"{expired} bundles expired"


@task
def continue_report(report_id: str) -> str:
    """A compliance report that somebody waits for."""
    return making.go_on(Report.objects.get(pk=report_id)).state


@task
def go_on_with_reports() -> str:
    """Make the report of the last month where one is wanted, and one that no worker is making."""
    making.monthly()
    left = making.left()
    return "none waits" if left is None else making.go_on(left).state


def _so_far(run: Verification) -> str:
    return run.verdict or f"{run.position} of {run.last}"


@task
def account() -> str:
    """Read what was sealed since the last time, tell what never came and what was promised; copy what Redis counted."""
    done = reconcile(seconds=TICK_SECONDS)
    redeem.look_again()
    copied = passages.copy()
    rejected.gather()
    parts = [f"{done.read} records read{'' if done.at_end else ', more wait'}", f"{copied.lines} lines copied"]
    return ", ".join(parts + ([] if copied.whole else ["the queue's counters do not agree with its stream"]))


@task
def write_days() -> str:
    """Record the account of the days that are over, and what changed in those that are recorded."""
    return f"{daybook.write()} accounts of days recorded"


@task
def judge_reviews() -> str:
    """Find the days that nobody reviewed in time."""
    return f"{len(review.judge())} reviews missed"


@task
def publish_keys() -> None:
    """Copy the writers' keys to Redis again, should it have lost them."""
    keys.publish()


@task
def make_partitions() -> int:
    """Make the partitions of the months to come; return how many are new."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT audit_make_partitions(%s)", [settings.PARTITIONS_AHEAD])
        return int(cursor.fetchone()[0])


def drain(
    *,
    limit: int | None = None,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Move parked events into PostgreSQL, as far as they go: first those of the spool, which are on one disk only."""
    unspool()
    return drain_queue(keep, probe=is_up, limit=limit, seconds=seconds, stop=stop, progress=progress)


def unspool() -> int:
    """Bring what local files hold to PostgreSQL, else to the queue; return how many. What neither takes stays."""
    try:
        return 0 if _paused() else dlq.spool.empty(_bring, answers=_anyone_answers)
    except (DatabaseDown, dlq.errors.Refused) as error:
        log.warning("spool_waits", error=str(error))
    except Exception:
        log.exception("spool_failed")  # one tier must not stop the next
    return 0


def look_at_redis() -> None:
    """After each start of Redis: mend what a kill left half done. That indexes had to be made again is a record."""
    if (rebuilt := dlq.recovery.mend(dlq.stream.for_drain())) is None:
        return
    trail.add(
        "audit.parked.indexes_rebuilt",
        actor=OWN_WRITER,
        correlation="dead-letter-queue",
        reason="Redis was started again and the account did not balance",
        here=rebuilt.messages,
        missing=len(rebuilt.missing),
        event_ids=rebuilt.missing[:MISSING_NAMED] or None,
    )


def keep_old() -> int:
    """While PostgreSQL is away and the quarantine with it: copy what waits for seven days to the spool."""
    return 0 if settings.DLQ_SPOOL_DIR is None or is_up() else dlq.spool.keep_old(dlq.stream.for_drain())


def _bring(messages: list[Message]) -> None:
    left = messages
    if is_up():
        pairs = list(zip(messages, keep(messages), strict=True))
        left = [message for message, outcome in pairs if outcome.verdict not in ("stored", "duplicate")]
        home = [message for message, outcome in pairs if outcome.verdict in ("stored", "duplicate")]
        tally.past_the_queue((message.source, message.received_at) for message in home)
    dlq.restore.restore(dlq.stream.for_drain(), left)


def _anyone_answers() -> bool:
    """Whether PostgreSQL or Redis could take what local files hold."""
    if is_up():
        return True
    try:
        dlq.stream.for_drain().ping()
    except dlq.errors.Refused:
        return False
    return True


def _paused() -> bool:
    try:
        return dlq.stream.for_drain().activity.paused() is not None
    except dlq.errors.Refused:
        return False


def keep(messages: Sequence[Message]) -> list[Outcome]:
    """Record a batch of parked messages: together if that works, else each by itself.

    Raises dlq's `Unavailable` when PostgreSQL is the reason; no message is to blame then.
    """
    read = [_read(message) for message in messages]
    sound = [(message, found) for message, found in zip(messages, read, strict=True) if isinstance(found, Accepted)]
    verdicts = iter(_keep_together(sound))
    return [found if isinstance(found, Outcome) else next(verdicts) for found in read]


Sound = tuple[Message, Accepted]


def _read(message: Message) -> Accepted | Outcome:
    """The event as it was accepted; where it is not one any more, why the message is dead."""
    if not is_authentic(message):
        return Outcome("dead", FORGED, "this store did not park it as it is: its signature is missing or wrong")
    if not message.digest_ok:
        return Outcome("dead", "Damaged", "the body does not match its digest: it was changed after it was parked")
    try:
        return _accepted(message, canonical.loads(message.body))
    except (KeyError, TypeError, ValueError) as error:
        return Outcome("dead", "Unreadable", f"the body is no event: {type(error).__name__} {error}")


def _accepted(message: Message, document: dict[str, Any]) -> Accepted:
    return Accepted(
        id=UUID(document["event_id"]),
        writer=document["writer"],
        event_type=document["event_type"],
        event_timestamp=datetime.fromisoformat(document["event_timestamp"]),
        correlation_id=document["correlation_id"],
        body=message.body,
        digest=message.digest,
        received_at=message.received_at,
    )


def rehearse(message: Message) -> Outcome:
    """What a drain would do with a message now; nothing of it is kept."""
    event = _read(message)
    if isinstance(event, Outcome):
        return event
    try:
        return Outcome("duplicate" if rehearse_event(event, timeout_s=DRAIN_TIMEOUT_S) == "duplicate" else "stored")
    except Conflict:
        return Outcome("dead", "Conflict", "the store has this event id with other content")
    except (AuditError, psycopg.Error) as error:
        return Outcome("failed", type(error).__name__, headline(error))


def _keep_together(sound: Sequence[Sound], *, again: bool = True) -> list[Outcome]:
    if not sound:
        return []
    try:
        return _store(sound)
    except Exception as error:
        _give_up_if_down(error)
        if len(sound) > 1:
            # Somewhere in the batch is one that PostgreSQL refuses: halve, so that it costs few round trips.
            middle = len(sound) // 2
            return _keep_together(sound[:middle]) + _keep_together(sound[middle:])
        if again and fault(error) is Fault.DOWN:
            return _keep_together(sound, again=False)  # the connection was from before a restart
        return [_outcome(error, sound[0][1])]


def _store(sound: Sequence[Sound]) -> list[Outcome]:
    messages = [message for message, _ in sound]
    states = store(
        [event for _, event in sound],
        timeout_s=DRAIN_TIMEOUT_S,
        parked_at=[message.parked_at for message in messages],
    )
    verdicts: dict[str, Literal["stored", "duplicate"]] = {"stored": "stored", "duplicate": "duplicate"}
    return [Outcome(verdicts[state]) for state in states]


def _give_up_if_down(error: Exception) -> None:
    """What ran into its deadline while PostgreSQL answers others was too much for it: that is no outage."""
    if isinstance(error, Unavailable) or (fault(error) is Fault.DOWN and not is_up()):
        log.warning("drain_interrupted", error=type(error).__name__)
        raise DatabaseDown from error


def _outcome(error: Exception, event: Accepted) -> Outcome:
    if isinstance(error, Conflict):
        trail.refused_conflicts([event])
        return Outcome("dead", "Conflict", "the store has this event id with other content")
    return Outcome("dead" if fault(error) is Fault.SENDER else "failed", type(error).__name__, headline(error))
