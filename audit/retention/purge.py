"""purge: remove the records that are due: by a plan, approved by a second person, in bounded portions.

PostgreSQL removes, and checks age, floor, hold, seal and approval by itself (audit/sql/0055_purge.sql, and what can be
erased of records: 0072_purge_values.sql). What is here asks for it, goes on from the saved place, and certifies what
was done. Leaves stay, so every proof still verifies.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import OperationalError, connections, transaction

from audit import visibility
from audit.errors import AuditError, Invalid, KeyMissing
from audit.formats import note
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.ledger import keys, purged
from audit.models import OWN_WRITER, PurgeRun, Record, RetentionDecision, RetentionRequest
from audit.postgres import sql
from audit.retention import approval, archived, policy
from audit.search import cost

log = structlog.get_logger(__name__)

PORTION = 2_000
# So long a page may count; a command may take PATIENT_S for each statement.
COUNT_S, PATIENT_S = 15.0, 3_600.0
# So many ranges are named in a certificate; all are in its digest.
MAX_NAMED = 1_000
# What the record of a certificate says beside the certificate.
ABOUT = ("records", "first", "last", "ranges", "ranges_sha256", "reason", "asked_by", "approved_by")
LOCKED_TRIES, LOCKED_WAIT_S = 40, 0.25
# After each portion it rests four times as long as that took, and no longer than this: on two cores that are busy with
# ingest, ingest keeps nine tenths of its rate (0.82 where it rested only as long).
REST, REST_S = 4, 10.0
_COUNTS = "SELECT * FROM audit_purge_counts(%s) ORDER BY 1, 2"
_MONTHS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'audit_record'::regclass AND c.relname ~ '^audit_record_[0-9]{4}_[0-9]{2}(_before)?$'
  AND c.relname < 'audit_record_' || to_char(%s AT TIME ZONE 'UTC', 'YYYY_MM') ORDER BY 1
"""
_LEFT = "SELECT name FROM audit_purgemonth WHERE plan_id = %s AND detached_at IS NOT NULL AND dropped_at IS NULL"

# Called with how far the log was looked through, and how far it will be.
Progress = Callable[[int, int], None]


class Count(NamedTuple):
    """How many records of a category, stored in a month, are due, and how many more are held."""

    category: str
    month: str
    due: int
    held: int


class NothingDue(AuditError):
    """No record is due at that time, or all that are due are held: there is nothing to plan."""


class TooMany(AuditError):
    """Counting takes longer than a page may: use `manage.py purge plan`, which has the time."""


class NotApproved(AuditError):
    """No second person has approved this purge."""


class NotReady(AuditError):
    """PostgreSQL does not remove anything under this plan now, or removed more than was approved."""


class Counted(NamedTuple):
    """What would be removed as of a time, and between which log entries it lies."""

    cut: datetime
    counts: list[Count]
    first: int
    size: int

    @property
    def due(self) -> int:
        return sum(count.due for count in self.counts)

    @property
    def held(self) -> int:
        return sum(count.held for count in self.counts)


def count(cut: datetime, *, seconds: float = COUNT_S) -> Counted:
    """Count what is due at `cut`, and held. Raises `Invalid` for a time to come, `TooMany` after so many seconds."""
    if cut > sql.now():
        raise Invalid({"cut": "is later than now: nothing can be removed before it is due"})
    try:
        with _patiently("reader", seconds):
            rows = sql.rows(_COUNTS, [cut], "reader")
    except OperationalError as error:
        if not cost.was_stopped(error):
            raise
        raise TooMany from None
    firsts, lasts = ([row[place] for row in rows if row[place] is not None] for place in (4, 5))
    return Counted(cut, [Count(*row[:4]) for row in rows], min(firsts, default=0), max(lasts, default=-1) + 1)


def ask(
    cut: datetime,
    *,
    reason: str,
    by: str,
    without_archive: str = "",
    seconds: float = COUNT_S,
    where: Where = trail.NOTHING_ELSE,
) -> RetentionRequest:
    """Plan the removal of what is due at `cut`; it needs an archive, but for a reason that is given.

    Raises `Invalid`, `NothingDue`, `TooMany`, `NothingKept`.
    """
    approval.checked_reason("reason", reason)
    without_archive = approval.checked_reason("without_archive", without_archive) if without_archive.strip() else ""
    counted = count(cut, seconds=seconds)
    if not counted.due:
        raise NothingDue
    facts = {"cut": timestamp_text(cut), "records": counted.due, "held": counted.held}
    facts |= {"first": counted.first, "size": counted.size, "without_archive": without_archive or None}
    columns = {"cut": cut, "first": counted.first, "size": counted.size, "without_archive": without_archive}
    counts = [each._asdict() for each in counted.counts]
    return approval.ask("purge", reason=reason, by=by, where=where, facts=facts, counts=counts, **columns)


def decide(
    request: RetentionRequest, *, approve: bool, by: str, where: Where = trail.NOTHING_ELSE
) -> RetentionDecision:
    """Approve or decline. Raises as `approval.decide`."""
    return approval.decide(request, approve=approve, by=by, where=where, facts=_facts(request))


def withdraw(request: RetentionRequest, *, by: str, where: Where = trail.NOTHING_ELSE) -> RetentionDecision:
    """Raises as `approval.withdraw`."""
    return approval.withdraw(request, by=by, where=where, facts=_facts(request))


def run(
    plan: RetentionRequest,
    *,
    by: str,
    seconds: float | None = None,
    portion: int = PORTION,
    progress: Progress | None = None,
) -> PurgeRun:
    """Remove what may go under an approved plan, from where the last run left off; certify it once all is done.

    After `seconds` it stops, and another run goes on. Raises `NotApproved`, `NotArchived`, `NotReady`, `KeyMissing`,
    `NothingKept`.
    """
    if plan.kind != "purge" or not plan.is_approved:
        raise NotApproved
    archived.require(plan)
    if keys.receipts().signer is None:
        raise KeyMissing(
            "This process has only public keys of receipts, and certificates are signed: set RECEIPT_KEY_FILE."
        )
    ends_at = None if seconds is None else time.monotonic() + seconds
    if not PurgeRun.objects.filter(plan=plan).exists():
        trail.add("audit.purge.begun", actor=by, correlation="retention", request=plan.pk, **_facts(plan))
    try:
        _remove_months(plan, ends_at)
        _remove_records(plan, ends_at, portion, progress)
    except OperationalError as error:
        raise NotReady(_said(error)) from None
    except Exception as error:
        if getattr(error.__cause__, "sqlstate", "") not in ("42501", "55000"):
            raise
        raise NotReady(_said(error)) from None
    done = PurgeRun.objects.get(plan=plan)
    with visibility.as_system():
        if done.ended_at is not None and certificate(plan) is None:
            certify(plan, done, by=by)
    return done


def certificate(plan: RetentionRequest) -> Record | None:
    """The record of the certificate of a purge."""
    completed = Record.objects.filter(writer=OWN_WRITER, event_type=purged.COMPLETED)
    return completed.filter(event_data__contains={"request": plan.pk}).order_by("event_timestamp", "id").first()


def certify(plan: RetentionRequest, done: PurgeRun, *, by: str) -> None:
    """Sign what was removed, and record it. Raises `NotReady` where that is more than was approved; `KeyMissing`,
    `NothingKept`."""
    ranges = removed_ranges(plan)
    if (why := purged.excess(plan.pk, ranges, done.purged, "default")) is not None:
        raise NotReady(f"No certificate is signed: {why}. Somebody wrote into the tables: tell your security officer.")
    decision, counts = plan.decided, _removed(plan)
    assert decision is not None and plan.cut is not None
    facts = {
        "plan": plan.pk,
        "system": settings.SITE_NAME,
        "asked_by": plan.asked_by,
        "asked_at": timestamp_text(plan.asked_at),
        "reason": plan.reason,
        "approved_by": decision.decided_by,
        "approved_at": timestamp_text(decision.decided_at),
        "approval": str(decision.record_id),
        "run_by": by,
        "cut": timestamp_text(plan.cut),
        "floors": {floor.category: floor.days for floor in policy.current()},
        "records": done.purged,
        "first": min((first for first, _ in ranges), default=0),
        "last": max((last for _, last in ranges), default=0),
        "ranges": len(ranges),
        "named": ranges[:MAX_NAMED],
        "ranges_sha256": purged.digest(ranges),
        "counts": counts,
        "archives": [] if plan.without_archive else _archives(plan),
        "without_archive": plan.without_archive,
        "began_at": timestamp_text(done.started_at),
        "made_at": timestamp_text(datetime.now(UTC)),
    }
    named: dict[str, Any] = {name: facts[name] for name in ABOUT}
    trail.add(
        purged.COMPLETED,
        actor=by,
        correlation="retention",
        request=plan.pk,
        note=_sign(facts),
        **named,
    )
    log.info("purge", plan=plan.pk, records=done.purged, by=by)


def _archives(plan: RetentionRequest) -> list[dict[str, Any]]:
    assert plan.first is not None and plan.size is not None
    return [archive.as_json() for archive in archived.holding(plan.first, plan.size)]


def removed_ranges(plan: RetentionRequest) -> list[tuple[int, int]]:
    """The log entries whose records were removed, first and last + 1, in as few ranges as can be."""
    return purged.ranges_of(plan.pk, "default")


def _removed(plan: RetentionRequest) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in plan.removed.all():
        counts.setdefault(row.category, {})[row.month] = row.records
    return counts


def _sign(facts: dict[str, Any]) -> str:
    signer = keys.receipts().signer
    assert signer is not None
    line = json.dumps(facts, sort_keys=True).replace("\x7f", "\\u007f")  # a note has no control characters
    text = f"{purged.FORMAT}\n{keys.load().origin}\n{line}\n"
    return note.join(text, [signer.sign(text)])


def _remove_months(plan: RetentionRequest, ends_at: float | None) -> None:
    """Take out whole months, where all of them may go; what was taken out before is dropped first."""
    for name in _names(_LEFT, plan.pk):
        _drop(plan, name, ends_at)
    for name in _names(_MONTHS, plan.cut):
        if ends_at is not None and time.monotonic() > ends_at:
            return
        while _look(plan, name) == "whole":
            outcome = _ask_again("audit_purge_detach", plan, name)
            if outcome == "detached":
                _drop(plan, name, ends_at)
            if outcome != "changed":
                break


def _remove_records(plan: RetentionRequest, ends_at: float | None, portion: int, progress: Progress | None) -> None:
    assert plan.size is not None
    place = -1
    while place < plan.size:
        with _resting():
            [(place,)] = sql.rows("SELECT audit_purge(%s, %s)", [plan.pk, portion])
        if progress is not None:
            progress(place, plan.size)
        if ends_at is not None and time.monotonic() > ends_at:
            return


def _drop(plan: RetentionRequest, name: str, ends_at: float | None) -> None:
    """Remove what can be erased of a month that was taken out, in portions, and then its table."""
    outcome = "values"
    while outcome == "values" and (ends_at is None or time.monotonic() <= ends_at):
        with _resting():
            outcome = _ask_again("audit_purge_drop", plan, name)


def _look(plan: RetentionRequest, name: str) -> str:
    with _resting():
        return _call("audit_purge_look", plan, name)


@contextmanager
def _resting() -> Iterator[None]:
    """Do something, and then nothing for some times as long."""
    started = time.monotonic()
    yield
    time.sleep(min(REST * (time.monotonic() - started), REST_S))


def _names(statement: str, parameter: Any) -> list[str]:
    return [name for (name,) in sql.rows(statement, [parameter])]


def _ask_again(function: str, plan: RetentionRequest, name: str) -> str:
    """Call a function again while somebody holds a lock that it needs. A month that stays locked goes row by row."""
    for _ in range(LOCKED_TRIES):
        if (outcome := _call(function, plan, name)) != "locked":
            return outcome
        time.sleep(LOCKED_WAIT_S)
    return "locked"


def _call(function: str, plan: RetentionRequest, name: str) -> str:
    with _patiently("default", PATIENT_S):
        return str(sql.rows(f"SELECT {function}(%s, %s)", [plan.pk, name])[0][0])


@contextmanager
def _patiently(using: str, seconds: float) -> Iterator[None]:
    """A transaction whose statements may take longer than those of a page."""
    connections[using].ensure_connection()
    connection: Any = connections[using].connection
    before = getattr(connection, "patience", None)
    connection.patience = seconds + 1
    try:
        with transaction.atomic(using=using):
            sql.rows("SELECT set_config('statement_timeout', %s, true)", [f"{round(seconds * 1000)}ms"], using)
            yield
    finally:
        connection.patience = before


def planned(plan: RetentionRequest) -> int:
    """How many records the plan would remove, as they were counted when it was made."""
    return sum(each["due"] for each in plan.counts or ())


def _facts(plan: RetentionRequest) -> dict[str, Any]:
    assert plan.cut is not None
    about: dict[str, Any] = {"first": plan.first, "size": plan.size, "records": planned(plan)}
    about["without_archive"] = plan.without_archive or None
    return {"cut": timestamp_text(plan.cut), **about}


def _said(error: BaseException) -> str:
    return f"Nothing was removed: {str(error).splitlines()[0]}."
