"""approval: what concerns retention takes two people: one asks and says why, another one approves or declines.

Each act is recorded before it is done. Rows are appended and never change; PostgreSQL holds that the second person is
another one (audit/sql/0053_policy.sql).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, transaction

from audit.errors import AuditError, Invalid, Unavailable
from audit.formats import event
from audit.ingest import trail
from audit.ingest.record import Recorded
from audit.ingest.trail import Where
from audit.models import RetentionDecision, RetentionRequest
from audit.postgres import sql

REASON_MAX = 2_000
# The correlation of the acts on each kind of request.
CORRELATIONS = {"policy": "retention", "purge": "retention", "release": "legal-holds"}
# PostgreSQL's triggers take the same lock.
LOCK, LOCK_WAIT, LOCK_NOT_AVAILABLE = "audit_retention", "10s", "55P03"
# What the acts on each kind of request are called: asked for, approved, declined, withdrawn.
ACTS = {
    "policy": {word: f"audit.policy.{word}" for word in ("asked", "approved", "declined", "withdrawn")},
    "purge": {word: f"audit.purge.{word}" for word in ("asked", "approved", "declined", "withdrawn")},
    "release": {
        "asked": "audit.hold.release_asked",
        "approved": "audit.hold.released",
        "declined": "audit.hold.release_declined",
        "withdrawn": "audit.hold.release_withdrawn",
    },
}


class SecondPersonNeeded(AuditError):
    """Whoever asked for this cannot approve or decline it: a second person has to."""


class NotTheirs(AuditError):
    """Only whoever asked for this takes it back; others decline it."""


class DecidedAlready(AuditError):
    """Somebody has decided this meanwhile: see on its page what."""


def ask(
    kind: str, *, reason: str, by: str, facts: dict[str, Any], where: Where = trail.NOTHING_ELSE, **columns: Any
) -> RetentionRequest:
    """Record and keep what somebody asks for. Raises `Invalid` without a reason, `NothingKept`."""
    reason = checked_reason("reason", reason)
    trail.add(ACTS[kind]["asked"], where, actor=by, correlation=CORRELATIONS[kind], reason=reason, **facts)
    row = RetentionRequest(kind=kind, reason=reason, asked_by=by, **columns)
    row.insert()
    return RetentionRequest.objects.get(pk=row.pk)


def decide(
    request: RetentionRequest,
    *,
    approve: bool,
    by: str,
    facts: dict[str, Any],
    where: Where = trail.NOTHING_ELSE,
    check: Callable[[], None] = lambda: None,
) -> RetentionDecision:
    """Approve or decline; one decision stands for good. `check` raises where it cannot be approved any more.

    Raises `SecondPersonNeeded`, `DecidedAlready`, `NothingKept`, `Unavailable`.
    """
    if by == request.asked_by:
        raise SecondPersonNeeded
    return _append(request, "approved" if approve else "declined", by, facts, where, check if approve else None)


def withdraw(
    request: RetentionRequest, *, by: str, facts: dict[str, Any], where: Where = trail.NOTHING_ELSE
) -> RetentionDecision:
    """Take a request back, as whoever made it. Raises `NotTheirs`, `DecidedAlready`, `NothingKept`, `Unavailable`."""
    if by != request.asked_by:
        raise NotTheirs
    return _append(request, "withdrawn", by, facts, where, None)


def _append(
    request: RetentionRequest,
    decision: str,
    by: str,
    facts: dict[str, Any],
    where: Where,
    check: Callable[[], None] | None,
) -> RetentionDecision:
    with alone():
        if RetentionDecision.objects.filter(request=request).exists():
            raise DecidedAlready
        if check is not None:
            check()
        act, correlation = ACTS[request.kind][decision], CORRELATIONS[request.kind]
        facts = {"request": request.pk, "asked_by": request.asked_by, "reason": request.reason, **facts}
        append(request, decision, by, trail.add(act, where, actor=by, correlation=correlation, **facts))
    return RetentionDecision.objects.get(pk=request.pk)


def append(request: RetentionRequest, decision: str, by: str, recorded: Recorded) -> None:
    """Keep a decision whose record is `recorded`. Raises `Unavailable` where that waits in the queue."""
    if recorded.state == "parked":
        raise Unavailable("The decision is recorded, in the queue: decide again once PostgreSQL is back.")
    RetentionDecision(request=request, decision=decision, decided_by=by, record_id=recorded.event.id).insert()


@contextmanager
def alone() -> Iterator[None]:
    """A transaction in which nobody else decides, places a hold or removes records.

    Whoever comes second waits here, and then finds what the first one did. Raises `Unavailable` after LOCK_WAIT.
    """
    try:
        with transaction.atomic():
            sql.rows(
                "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(hashtext(%s))", [LOCK_WAIT, LOCK]
            )
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise Unavailable("Records are being removed at this moment: try again in some seconds.") from None


def checked_reason(member: str, reason: str) -> str:
    """The reason without blanks around it. Raises `Invalid`."""
    if not reason.strip():
        raise Invalid({member: "is required: say which matter asks for it, or what ended"})
    if len(reason) > REASON_MAX:
        raise Invalid({member: f"must have at most {REASON_MAX:,} characters"})
    if errors := dict(event.text_faults(member, reason)):
        raise Invalid(errors)
    return reason.strip()
