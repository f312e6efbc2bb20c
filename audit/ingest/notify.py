"""Tell people what the store found about itself: once, and until they heard it.

An alarm is put into the outbox in the transaction that marks what it tells as told. So neither a crash nor a webhook
that is away loses it, and nothing is told twice for it.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F

import dlq.alarm
from audit.formats import event as event_format
from audit.ingest.record import record
from audit.models import OWN_WRITER, OutboxAlarm

log = structlog.get_logger(__name__)

RETRY_AFTER = timedelta(seconds=30)
KEPT_FOR = timedelta(days=30)
# A way that hangs costs seconds an alarm: whoever delivers has other things to do, and goes on at the next turn.
DELIVER_S = 10.0
ALARMS_EACH_TURN, OLD_EACH_TURN = 500, 5_000


def notify(
    alarm: str,
    text: str,
    *,
    told: Callable[[], object],
    event: Mapping[str, Any] | None = None,
    **figures: int,
) -> None:
    """Record what was found, and put its alarm into the outbox.

    1. `event` is recorded (from `own_event.document`), where it is not recorded already. Raises `NothingKept`:
       the caller finds it untold at its next run.
    2. In one transaction: the alarm is queued, and `told()` marks what it tells. Raises database errors.
    3. Once that is committed it is delivered, by every configured way, and again until each took it.
    """
    log.error("alarm", alarm=alarm, text=text, **figures)
    if event is not None:
        record([event_format.accept(event, writer=OWN_WRITER)])
    with transaction.atomic():
        OutboxAlarm.objects.create(alarm=alarm, text=text, figures=figures)
        told()
    transaction.on_commit(deliver)


def notify_anyway(alarm: str, text: str, *, not_again_for: timedelta | None = None, **figures: Any) -> bool:
    """Put an alarm about the running of the site itself into the outbox; return whether it is there, or was heard.

    The outbox is in PostgreSQL, and such an alarm may be about PostgreSQL, or come while it is away: then it is sent
    directly, and one that nobody heard is the caller's to tell again. With `not_again_for`, an alarm
    of this name is told once in that time, by whichever process.
    """
    try:
        with transaction.atomic():
            since = datetime.now(UTC) - (not_again_for or timedelta(0))
            if not_again_for and OutboxAlarm.objects.filter(alarm=alarm, made_at__gt=since).exists():
                return True
            notify(alarm, text, told=lambda: None, **figures)
        return True
    except (DatabaseError, InterfaceError) as error:
        connection.close()  # broken by a restart of the server, it would stay so
        log.warning("alarm_past_the_outbox", alarm=alarm, error=type(error).__name__)
        return dlq.alarm.tell(alarm, text, **figures)


def deliver(*, retry_after: timedelta = RETRY_AFTER, seconds: float = DELIVER_S) -> int:
    """Send alarms that were not heard, for about `seconds`; return how many still wait. Raises database errors.

    First those that nobody tried, then those whose last try is the longest ago, so that none that a way refuses keeps
    another from being told. At least one is tried.
    Safe in several processes at once: each alarm is sent by one of them at a time, and a way that took it is not asked
    again. A process that is killed between the two may repeat one.
    """
    ends, now = time.monotonic() + seconds, datetime.now(UTC)
    old = OutboxAlarm.objects.filter(heard_at__lt=now - KEPT_FOR).order_by("heard_at").values("pk")
    OutboxAlarm.objects.filter(pk__in=old[:OLD_EACH_TURN]).delete()
    unheard = OutboxAlarm.objects.filter(heard_at=None)
    due = unheard.exclude(tried_at__gt=now - retry_after).order_by(F("tried_at").asc(nulls_first=True), "id")
    for pk in list(due.values_list("pk", flat=True)[:ALARMS_EACH_TURN]):
        _deliver(pk, now - retry_after)
        if time.monotonic() > ends:
            break
    return unheard.count()


@transaction.atomic
def _deliver(pk: int, tried_before: datetime) -> None:
    row = OutboxAlarm.objects.select_for_update(skip_locked=True).filter(pk=pk, heard_at=None).first()
    if row is None or (row.tried_at is not None and row.tried_at > tried_before):
        return
    heard = dlq.alarm.tell(row.alarm, row.text, taken_by=row.taken_by, **row.figures)
    row.tried_at = datetime.now(UTC)
    row.heard_at = row.tried_at if heard else None
    row.save(update_fields=["taken_by", "tried_at", "heard_at"])
