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
# Days that are looked at each time; of earlier ones those alone that changed in as many days, and since their record.
DAYS_BACK = 40
# How long it may take until a change is committed: it has the time at which it was made.
COMMITTED_WITHIN = timedelta(minutes=10)
WRITERS_PER_RECORD = 500
WRITERS_NAMED = 5
EVENT_TYPE = "audit.account.day"
# What changed long after its day: as the indexes of 0099 say it. The days between are looked at each time.
_LATE = "(SELECT day, {at} AS at FROM {table} WHERE day < ({at} AT TIME ZONE 'UTC')::date - 30 AND {at} > %(since)s)"
_CHANGED_AT = {"audit_account": "changed_at", "audit_passage": "copied_at", "audit_promise": "handed_at"}
_LATE_DAYS = f"""
SELECT DISTINCT day FROM ({" UNION ALL ".join(_LATE.format(table=table, at=at) for table, at in _CHANGED_AT.items())})
    AS changed
WHERE day < %(first)s AND NOT EXISTS (
    SELECT FROM audit_dayrecord WHERE day = changed.day AND made_at > changed.at + %(committed)s)
ORDER BY day
"""


def write(now: datetime | None = None, *, first: date | None = None, last: date | None = None) -> int:
    """Record what is known of the finished days; return how many were recorded and, where needed, alarmed.

    Without `first` of the last `DAYS_BACK` days, and of those before that changed since they were recorded. Raises
    `NothingKept`, database errors.
    """
    now = now or sql.now()
    last = last or (now - GRACE).date() - timedelta(days=1)
    begin = first or last - timedelta(days=DAYS_BACK)
    _prepare_days(balance.compute(begin, last, now=now), now)
    late = [] if first else _changed_late(begin, now)
    for start in range(0, len(late), DAYS_BACK):
        days = late[start : start + DAYS_BACK]
        _prepare_days(balance.compute(days[0], days[-1], days=days, now=now), now)
    pending = DayRecord.objects.filter(written_at=None, day__lte=last, **({"day__gte": first} if first else {}))
    versions = [list(parts) for _, parts in groupby(pending, key=lambda part: (part.day, part.version))]
    for parts in versions:
        _write(parts)
    return len(versions)


def figures(day: date) -> dict[str, dict[str, int]]:
    """What was recorded last of a day, by writer; empty where nothing was."""
    return _by_writer(_last(day))


def _changed_late(first: date, now: datetime) -> list[date]:
    """Days before `first` that changed since they were recorded, or that never were, the earliest first."""
    since = now - timedelta(days=DAYS_BACK)
    return [day for (day,) in sql.rows(_LATE_DAYS, {"first": first, "since": since, "committed": COMMITTED_WITHIN})]


def _prepare_days(known: balance.Balance, now: datetime) -> None:
    for day, rows in groupby(known.rows, key=lambda row: row.day):
        writers = list(rows)
        if not any(row.not_yet for row in writers):
            _prepare(day, writers, now)


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
