"""`manage.py drain_dlq`: move parked events into PostgreSQL."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, close_old_connections
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

import dlq.alarm
import dlq.errors
import dlq.history
import dlq.stream
from audit.errors import AuditError
from audit.health import serve_metrics
from audit.ingest import clock_alarm, notify
from audit.management.bars import bar
from audit.management.harmless import HarmlessCommand
from audit.management.stopping import stop_at_signal
from audit.queue import outages
from audit.queue.drain import copy_old_to_spool, drain, mend_queue
from dlq.drain import Summary

log = structlog.get_logger(__name__)

PAUSE_S = 0.5
# What clients parked by themselves may have of a turn of `--watch`, behind which the queue waits.
INBOX_S = 10.0
LEFT_DEAD, DATABASE_DOWN = 3, 4


class Command(HarmlessCommand):
    help = (
        "Move parked events into PostgreSQL and print what became of them. "
        f"Exit status: 0 all is well, {LEFT_DEAD} dead events are left, {DATABASE_DOWN} PostgreSQL is not up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="go on until SIGTERM, as a service")
        parser.add_argument("--limit", type=int, help="at most so many events")

    def handle(self, *args: Any, watch: bool, limit: int | None, **options: Any) -> None:
        stop = stop_at_signal()
        if watch:
            serve_metrics()
            _watch(stop)
            return
        try:
            summary = _one_pass(stop, limit)
        except dlq.errors.Refused as error:
            raise CommandError(f"{error} The queue is in Redis: check REDIS_URL and the server.") from error
        sys.exit(_report(self, summary))


def _watch(stop: threading.Event) -> None:
    """Drain, beat and sample, again and again; neither server's absence ends it. Alarms go out beside it."""
    queue = dlq.stream.for_drain
    alarms = (dlq.alarm.notify, clock_alarm.alarm, deliver_alarms)
    threading.Thread(target=_repeat, args=(stop, *alarms), name="alarms", daemon=True).start()
    _repeat(
        stop,
        lambda: drain(stop=stop, inbox_seconds=INBOX_S),
        mend_queue,
        lambda: queue().kept.trim(),
        lambda: queue().activity.beat("last_watch_at"),
        lambda: dlq.history.sample(queue()),
        copy_old_to_spool,
        follow_outage,
    )


def _repeat(stop: threading.Event, *steps: Callable[[], object]) -> None:
    """Take step after step until `stop`; what fails in one is no reason to leave out the next, or the next turn."""
    while not stop.is_set():
        for step in steps:
            try:
                step()
            except dlq.errors.Refused:
                continue  # a full Redis refuses what adds to it, and still lets drains do their work
            except Exception:
                log.exception("watch_step_failed")
        stop.wait(PAUSE_S)


def deliver_alarms() -> None:
    """Send what waits in the outbox; without PostgreSQL it waits on."""
    close_old_connections()
    try:
        notify.deliver()
    except DatabaseError as error:
        log.warning("alarms_wait", error=type(error).__name__)


def follow_outage() -> None:
    """Follow the outage that is open, if one is. What fails is tried again at the next turn."""
    close_old_connections()
    try:
        outages.follow()
    except (AuditError, DatabaseError) as error:
        log.warning("episode_not_kept", error=type(error).__name__)


def _one_pass(stop: threading.Event, limit: int | None) -> Summary:
    depth = dlq.stream.for_drain().totals.depth()
    columns = (TextColumn("draining"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with bar(*columns) as shown:
        task = shown.add_task("drain", total=min(depth, limit) if limit else depth)
        return drain(limit=limit, stop=stop, progress=lambda so_far: shown.update(task, completed=so_far.claimed))


def _report(command: Command, summary: Summary) -> int:
    command.stdout.write(
        f"stored {summary.stored}, duplicate {summary.duplicate}, failed {summary.failed}, "
        f"dead {summary.dead}, released {summary.released}, "
        f"remaining {summary.remaining} ({summary.seconds:.2f} s)"
    )
    dead = dlq.stream.for_drain().totals.stats().dead
    if summary.paused:
        command.stdout.write("A person has paused draining: nothing was touched. `manage.py dlq resume` ends it.")
    if not summary.database_up:
        command.stdout.write("PostgreSQL is not up: nothing was touched. Parked events wait safely in Redis.")
        return DATABASE_DOWN
    if dead:
        command.stdout.write(f"{dead} dead events are left: look at them in the admin, or retry them there.")
        return LEFT_DEAD
    return 0
