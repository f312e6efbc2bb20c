"""daily: record the account of each day that is over, once, under the seal; and what changed in it afterwards.

1. Keep the document with its id: a crash from here on repeats the same record, and the store knows it.
2. Record it.
3. Note that it is recorded.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import structlog
import uuid_utils.compat
from django.db import connections, transaction
from django.db.models import Max

import dlq.alarm
from audit.accounting import balance
from audit.accounting.balance import Entry
from audit.formats import event
from audit.ingest import trail
from audit.ingest.record import record
from audit.models import OWN_WRITER, DayRecord

log = structlog.get_logger(__name__)

GRACE = timedelta(hours=1)
"""So long after a day's end its account is left to settle."""
AGAIN_AFTER = timedelta(hours=1)
"""A day is corrected so often at most: a long drain changes it with every batch."""
DAYS = 40
"""So far back days are looked at again."""
WRITERS = 500
"""So many lines one record holds."""
EVENT_TYPE = "audit.account.day"


def write(now: datetime | None = None, *, first: date | None = None, last: date | None = None) -> int:
    """Record what is known of the days that are over; return how many. Raises `NothingKept`, database errors."""
    now = now or datetime.now(UTC)
    last = last or (now - GRACE).date() - timedelta(days=1)
    first = first or last - timedelta(days=DAYS)
    found = balance.look(first, last, now=now)
    days = {day: list(entries) for day, entries in groupby(found.entries, key=lambda one: one.day)}
    for day, entries in days.items():
        if not any(one.not_yet for one in entries) and _prepare(day, entries, now):
            _tell(day, entries)
    left = DayRecord.objects.filter(written_at=None, day__gte=first, day__lte=last)
    written = [_record(one) for one in left]
    return len({(one.day, one.version) for one in written})


def figures(day: date) -> dict[str, dict[str, int]]:
    """What was recorded last of a day, by writer; empty where nothing was."""
    return _writers(_last(day))


@transaction.atomic
def _prepare(day: date, entries: Sequence[Entry], now: datetime) -> bool:
    """Keep what is to be recorded, if it is new or changed since; whether it was."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit_dayrecord'))")
    before = _last(day)
    lines = {one.writer: one.line.figures() for one in entries}
    if before and (_writers(before) == lines or now - before[0].made_at < AGAIN_AFTER):
        return False
    version = before[0].version + 1 if before else 1
    parts = [entries[at : at + WRITERS] for at in range(0, len(entries), WRITERS)]
    for number, part in enumerate(parts, start=1):
        document = _document(day, entries, part, f"{number} of {len(parts)}", before)
        DayRecord.objects.create(
            day=day, version=version, part=number, event_id=document["event_id"], document=document, made_at=now
        )
    return True


def _document(
    day: date, entries: Sequence[Entry], part: Sequence[Entry], number: str, before: Sequence[DayRecord]
) -> dict[str, Any]:
    total = balance.total(one.line for one in entries)
    said = trail.document(
        EVENT_TYPE,
        actor=OWN_WRITER,
        outcome="success" if all(one.line.balanced for one in entries) else "failure",
        correlation=f"account-{day}",
        day=day.isoformat(),
        part=number,
        total=total.figures(),
        writers={one.writer: one.line.figures() for one in part},
        corrects=[str(one.event_id) for one in before] or None,
    )
    said["event_id"] = str(uuid_utils.compat.uuid7())
    if before:
        said["parent_event_id"] = str(before[0].event_id)
    return said


def _record(prepared: DayRecord) -> DayRecord:
    record([event.accept(prepared.document, writer=OWN_WRITER)])
    prepared.written_at = datetime.now(UTC)
    prepared.save(update_fields=["written_at"])
    return prepared


def _last(day: date) -> list[DayRecord]:
    """The parts of the newest version."""
    newest = DayRecord.objects.filter(day=day).aggregate(version=Max("version"))["version"]
    return list(DayRecord.objects.filter(day=day, version=newest)) if newest else []


def _writers(parts: Sequence[DayRecord]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in parts:
        found |= one.document["event_data"]["writers"]
    return found


def _tell(day: date, entries: Sequence[Entry]) -> None:
    wrong = [one for one in entries if not one.line.balanced]
    if not wrong:
        return
    total = balance.total(one.line for one in wrong)
    names = ", ".join(sorted({one.writer for one in wrong})[:5])
    log.error("account_not_balanced", day=day.isoformat(), lost=total.lost, unexplained=total.unexplained)
    text = f"The account of {day} does not balance: {total.lost} lost, {total.unexplained} unexplained; {names}."
    dlq.alarm.tell("audit.account", text, lost=total.lost, unexplained=total.unexplained)
