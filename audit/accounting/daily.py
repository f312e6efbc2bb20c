"""daily: record the balance of each finished day in the log, once, and whatever changed in it afterwards.

1. Keep the document with its id: a crash from here on repeats the same record, and the store knows it.
2. Record it.
3. Raise the alarm where the day does not balance.
4. Note that it was written: a day whose alarm nobody took is tried again from step 2.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import uuid_utils.compat
from django.db import transaction
from django.db.models import Max

from audit.accounting import balance
from audit.accounting.balance import WriterDay
from audit.formats import event
from audit.ingest import trail
from audit.ingest.notify import notify
from audit.ingest.record import record
from audit.models import OWN_WRITER, DayRecord
from audit.postgres import sql

# How long a finished day is left to settle.
GRACE = timedelta(hours=1)
# How often a day is corrected at most: a long drain changes it with every batch.
CORRECTED_EVERY = timedelta(hours=1)
DAYS_BACK = 40
WRITERS_PER_RECORD = 500
WRITERS_NAMED = 5
EVENT_TYPE = "audit.account.day"


def write(now: datetime | None = None, *, first: date | None = None, last: date | None = None) -> int:
    """Record what is known of the finished days; return how many were recorded and, where needed, alarmed.

    Raises `NothingKept`, database errors.
    """
    now = now or datetime.now(UTC)
    last = last or (now - GRACE).date() - timedelta(days=1)
    first = first or last - timedelta(days=DAYS_BACK)
    for day, rows in groupby(balance.compute(first, last, now=now).rows, key=lambda row: row.day):
        writers = list(rows)
        if not any(row.not_yet for row in writers):
            _prepare(day, writers, now)
    pending = DayRecord.objects.filter(written_at=None, day__gte=first, day__lte=last)
    versions = [list(parts) for _, parts in groupby(pending, key=lambda part: (part.day, part.version))]
    for parts in versions:
        _write(parts)
    return len(versions)


def figures(day: date) -> dict[str, dict[str, int]]:
    """What was recorded last of a day, by writer; empty where nothing was."""
    return _by_writer(_last(day))


@transaction.atomic
def _prepare(day: date, rows: Sequence[WriterDay], now: datetime) -> None:
    """Keep what is to be recorded, if it is new or has changed."""
    sql.run("SELECT pg_advisory_xact_lock(hashtext('audit_dayrecord'))")
    before = _last(day)
    lines = {row.writer: row.line.figures() for row in rows}
    if before and (_by_writer(before) == lines or now - before[0].made_at < CORRECTED_EVERY):
        return
    version = before[0].version + 1 if before else 1
    portions = [rows[start : start + WRITERS_PER_RECORD] for start in range(0, len(rows), WRITERS_PER_RECORD)]
    for number, portion in enumerate(portions, start=1):
        document = _document(day, rows, portion, f"{number} of {len(portions)}", before)
        DayRecord.objects.create(
            day=day, version=version, part=number, event_id=document["event_id"], document=document, made_at=now
        )


def _document(
    day: date, rows: Sequence[WriterDay], portion: Sequence[WriterDay], part: str, before: Sequence[DayRecord]
) -> dict[str, Any]:
    document = trail.document(
        EVENT_TYPE,
        actor=OWN_WRITER,
        outcome="success" if all(row.line.balanced for row in rows) else "failure",
        correlation=f"account-{day}",
        day=day.isoformat(),
        part=part,
        total=balance.total(row.line for row in rows).figures(),
        writers={row.writer: row.line.figures() for row in portion},
        corrects=[str(row.event_id) for row in before] or None,
    )
    parent = {"parent_event_id": str(before[0].event_id)} if before else {}
    return document | {"event_id": str(uuid_utils.compat.uuid7())} | parent


def _write(parts: Sequence[DayRecord]) -> None:
    for part in parts:
        record([event.accept(part.document, writer=OWN_WRITER)])
    rows = DayRecord.objects.filter(pk__in=[part.pk for part in parts])
    _notify(parts[0].day, _by_writer(parts), told=lambda: rows.update(written_at=datetime.now(UTC)))


def _last(day: date) -> list[DayRecord]:
    newest = DayRecord.objects.filter(day=day).aggregate(version=Max("version"))["version"]
    return list(DayRecord.objects.filter(day=day, version=newest)) if newest else []


def _by_writer(parts: Iterable[DayRecord]) -> dict[str, dict[str, int]]:
    return {writer: line for part in parts for writer, line in part.document["event_data"]["writers"].items()}


def _notify(day: date, lines: dict[str, dict[str, int]], *, told: Callable[[], object]) -> None:
    wrong = {writer: line for writer, line in lines.items() if line["lost"] or line["unexplained"]}
    if not wrong:
        told()
        return
    lost, unexplained = (sum(line[name] for line in wrong.values()) for name in ("lost", "unexplained"))
    names = ", ".join(sorted(wrong)[:WRITERS_NAMED])
    text = f"The account of {day} does not balance: {lost} lost, {unexplained} unexplained; {names}."
    notify("audit.account", text, told=told, lost=lost, unexplained=unexplained)
