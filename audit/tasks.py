"""The scheduled tasks, and the schedule: a task a line, each calls one verb.

django-q2 is only a trigger: each task is idempotent, and `drain_dlq --watch` does the drain without it.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

import redis
import structlog
from django.conf import settings
from django.core.management import call_command
from django_q.models import Failure, Schedule
from django_q.tasks import async_task

import dlq.alarm
import dlq.errors
import dlq.history
import dlq.stream
from audit.access import access_log, api_keys
from audit.accounting import daily, queue_counts
from audit.completeness import heartbeats
from audit.completeness.reconcile import reconcile
from audit.evidence import build as evidence_build
from audit.evidence import export, room
from audit.evidence.erasure import requests
from audit.ingest import clock_alarm, entry_keys, notify, rejection_counters
from audit.ledger import verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.ledger.verify.forget import forget
from audit.models import OWN_WRITER, Export, Report, RetentionRequest, Verification
from audit.postgres import partitions
from audit.queue import drain, outages
from audit.queue.quarantine import quarantine_old
from audit.receipts import verify as verify_receipts
from audit.reports import build
from audit.retention import purge
from audit.review import signoff
from audit.search import alarms, months
from audit.streams import state

log = structlog.get_logger(__name__)

TASK_S = 40.0
# Less than the others: the part that is being made is brought to its end.
EXPORT_TASK_S = 20.0
# Failed tasks that one run of `tidy` removes.
FORGOTTEN = 10_000
ABANDONED_AFTER = timedelta(minutes=5)

P = ParamSpec("P")
R = TypeVar("R")


def task(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a scheduled task so that it reports its end, also on failure, to the worker's watchdog."""

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
    summary = drain.drain(seconds=TASK_S)
    dlq.stream.for_drain().activity.beat("last_tick_at")
    if summary.database_up:
        quarantine_old(by=OWN_WRITER)
    drain.mend_queue()
    dlq.history.sample(dlq.stream.for_drain())
    outages.follow()
    dlq.alarm.notify()
    notify.deliver()
    clock_alarm.alarm()
    return f"stored {summary.stored}, duplicate {summary.duplicate}, remaining {summary.remaining}"


@task
def seal() -> str:
    """One pass of the sealer: the safety net for a sealer service that is not there."""
    sealed = Sealer().once(from_start=True)
    if sealed.checkpoint is None:
        return "another sealer is at work"
    if sealed.signed:
        Publisher().publish(sealed.checkpoint)
    return f"{sealed.added} records sealed"


@task
def verify_newest() -> str:
    return _so_far(verify.newest(seconds=TASK_S))


@task
def verify_slice() -> str:
    """Verify the next slice of the log, so that each record has its turn in VERIFY_DAYS.

    A run that a person asked for comes first, where its task was lost with a killed worker.
    """
    stale = datetime.now(UTC) - ABANDONED_AFTER
    if (left := Verification.objects.filter(ended_at=None, updated_at__lt=stale).order_by("id").first()) is not None:
        return _so_far(verify.resume(left, seconds=TASK_S))
    return _so_far(verify.next_slice(seconds=TASK_S))


@task
def erase() -> str:
    """Go on with erasures that two people agreed on; the page begins with them at once."""
    return f"{requests.carry_out_all(seconds=TASK_S)} erasures looked at"


@task
def continue_verification(run_id: int) -> str:
    """Continue a run that a person asked for; the rest is queued again."""
    run = verify.resume(Verification.objects.get(pk=run_id), seconds=TASK_S)
    if run.ended_at is None:
        async_task("audit.tasks.continue_verification", run_id)
    return _so_far(run)


@task
def continue_export(export_id: str) -> str:
    """A part of an evidence bundle; what is left is queued again."""
    made = evidence_build.resume(Export.objects.get(pk=export_id), seconds=EXPORT_TASK_S)
    if made.state == "running":
        async_task("audit.tasks.continue_export", export_id)
    return f"{made.state}: {made.done} of {made.total}"


@task
def go_on_with_exports() -> str:
    """Remove expired bundles, and resume one whose task was lost with a killed worker."""
    if settings.EXPORT_DIR is None:
        return "no bundles are made here"
    expired = export.remove_expired()
    if (left := Export.next_pending()) is not None:
        evidence_build.resume(left, seconds=EXPORT_TASK_S)
    return f"{expired} bundles expired"


@task
def continue_report(report_id: str) -> str:
    """Some sections of a report; what is left is queued again."""
    made = build.resume(Report.objects.get(pk=report_id), seconds=EXPORT_TASK_S)
    if made.state == "pending":
        async_task("audit.tasks.continue_report", report_id)
    return f"{made.state}: {made.done} of {made.total}"


@task
def go_on_with_reports() -> str:
    """Make the report of the last month where one is wanted, and one that no worker is making."""
    try:
        build.request_monthly()
    finally:  # what keeps that report from being asked for keeps no other from being made
        left = Report.next_pending()
        state = "none waits" if left is None else build.resume(left, seconds=EXPORT_TASK_S).state
    return state


@task
def continue_purge(plan_id: int, by: str) -> str:
    """A part of a purge that somebody runs; what is left is queued again."""
    done = purge.run(RetentionRequest.objects.get(pk=plan_id), by=by, seconds=TASK_S)
    if done.ended_at is None:
        async_task("audit.tasks.continue_purge", plan_id, by)
    return f"{done.purged} records removed"


def _so_far(run: Verification) -> str:
    return run.verdict or f"{run.position} of {run.last}"


@task
def account() -> str:
    """Reconcile what was sealed since the last time, check receipts again, and copy what Redis counted."""
    done = reconcile(seconds=TASK_S)
    verify_receipts.recheck_broken()
    copied = queue_counts.copy()
    rejection_counters.gather()
    parts = [f"{done.read} records read{'' if done.at_end else ', more wait'}", f"{copied.lines} lines copied"]
    return ", ".join(parts + ([] if copied.whole else ["the queue's counters do not agree with its stream"]))


@task
def write_days() -> str:
    """Record the account of the days that are over, and what changed in those that are recorded."""
    return f"{daily.write()} accounts of days recorded"


@task
def judge_reviews() -> str:
    return f"{len(signoff.find_missed())} reviews missed"


@task
def tell_saved_searches() -> str:
    """Tell who set an alarm on a saved search which new records match."""
    done = alarms.tell(seconds=TASK_S / 2, sight_of=access_log.sight_of)
    return f"{done.looked} searches looked for, {done.told} told, {done.stuck} could not look"


@task
def tell_streams() -> str:
    """Tell of targets of streams that are behind, also where no streamer runs."""
    return f"{state.alarm()} targets told"


@task
def publish_keys() -> None:
    """Copy the writers' keys and the rules of erasure to Redis again, in case it lost them.

    What hangs on the queue's key is kept under today's.
    """
    entry_keys.renew()
    api_keys.publish()


@task
def tidy() -> str:
    """Remove what is nobody's record, each kind after a time of its own (docs/operations.md, What has an end)."""
    call_command("clearsessions")
    old = datetime.now(UTC) - timedelta(days=settings.FAILED_TASK_DAYS)
    failures = Failure.objects.filter(stopped__lt=old).order_by("stopped").values("pk")[:FORGOTTEN]
    tasks, _ = Failure.objects.filter(pk__in=failures).delete()
    runs, beats = forget(), heartbeats.forget()
    months.follow(seconds=TASK_S / 2)
    strays = 0 if settings.EXPORT_DIR is None else room.remove_strays(evidence_build.folder())
    return f"{tasks} failed tasks, {runs} verifications, {beats} heartbeats, {strays} parts of bundles removed"


@task
def make_partitions() -> int:
    return partitions.make()


SCHEDULES = {
    "drain the dead letter queue": ("audit.tasks.tick", Schedule.MINUTES, 1),
    "seal what is stored": ("audit.tasks.seal", Schedule.MINUTES, 1),
    "verify what is new": ("audit.tasks.verify_newest", Schedule.MINUTES, 10),
    "verify the next slice": ("audit.tasks.verify_slice", Schedule.MINUTES, 10),
    "look for what never came": ("audit.tasks.account", Schedule.MINUTES, 1),
    "record the account of days": ("audit.tasks.write_days", Schedule.MINUTES, 30),
    "look for days without a review": ("audit.tasks.judge_reviews", Schedule.MINUTES, 30),
    "tell what saved searches match": ("audit.tasks.tell_saved_searches", Schedule.MINUTES, 5),
    "tell which streams are behind": ("audit.tasks.tell_streams", Schedule.MINUTES, 5),
    "publish writer keys": ("audit.tasks.publish_keys", Schedule.MINUTES, 1),
    "go on with evidence bundles": ("audit.tasks.go_on_with_exports", Schedule.MINUTES, 1),
    "make compliance reports": ("audit.tasks.go_on_with_reports", Schedule.MINUTES, 1),
    "erase what was approved": ("audit.tasks.erase", Schedule.MINUTES, 1),
    "remove what is over": ("audit.tasks.tidy", Schedule.HOURLY, None),
    "make partitions ahead": ("audit.tasks.make_partitions", Schedule.HOURLY, None),
}


def schedules(using: str) -> None:
    """Create the schedules that are missing; a person may have changed the others."""
    for name, (function, kind, minutes) in SCHEDULES.items():
        Schedule.objects.using(using).get_or_create(
            name=name, defaults={"func": function, "schedule_type": kind, "minutes": minutes}
        )
    # It was daily: a nightly backup of the same hour kept it from its lock each time.
    daily = Schedule.objects.using(using).filter(func="audit.tasks.make_partitions", schedule_type=Schedule.DAILY)
    daily.update(schedule_type=Schedule.HOURLY)


def enqueue(begun: Export | Report) -> None:
    """Queue the build of an export or report; where the queue is away, the schedule finds it within a minute."""
    kind = "export" if isinstance(begun, Export) else "report"
    try:
        async_task(f"audit.tasks.continue_{kind}", str(begun.pk))
    except redis.RedisError as error:
        log.warning(f"{kind}_waits_for_the_schedule", key=str(begun.pk), error=type(error).__name__)
