"""Verification runs: what each scope covers, and what happens when something was found."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from audit.errors import AuditError
from audit.ingest import trail
from audit.ingest.notify import notify
from audit.ledger import heads, reader
from audit.ledger import keys as ledger_keys
from audit.ledger.verify import checkpoints, correlation, leaves, unsealed
from audit.ledger.verify.result import FAILURES, OutOfTime, Progress, RunReport, Verdict
from audit.models import OWN_WRITER, Checkpoint, Finding, Verification
from audit.postgres import replica

RUNS_A_DAY = 144  # how often the schedule takes a slice
LEAST_SLICE = 1_000
# Records that a run of the newest part looks at for a leaf: those with ids since the run before, and of an hour more.
NEWEST_IDS = 200_000
NEWEST_IDS_SINCE = timedelta(hours=1)
NAMED = 100  # how many findings the record of a run names; the rest is counted


def verify(
    scope: str = "all",
    *,
    first: int = 0,
    last: int | None = None,
    correlation_id: str = "",
    requested_by: str = OWN_WRITER,
    progress: Progress | None = None,
    seconds: float | None = None,
    using: str = "reader",
) -> Verification:
    """Verify the whole log, the leaves first .. last-1 (up to the next checkpoint), or one correlation.

    Returns the run with its verdict, or what `resume` returns after `seconds`. Raises `KeyMissing` without the log's
    public keys, and what the database raises: the run is left unended then, and `resume` goes on with it.
    """
    run = begin(scope, first=first, last=last, correlation_id=correlation_id, requested_by=requested_by, using=using)
    return resume(run, progress=progress, seconds=seconds, using=using)


def begin(
    scope: str = "all",
    *,
    first: int = 0,
    last: int | None = None,
    correlation_id: str = "",
    requested_by: str = OWN_WRITER,
    using: str = "reader",
) -> Verification:
    now = datetime.now(UTC)
    # A correlation is proved under the newest head, and needs none that stays.
    last = reader.signed_size(using) if scope == "correlation" else _covered(last, using)
    return Verification.objects.create(
        scope=scope,
        correlation_id=correlation_id,
        first=min(first, last),
        last=last,
        position=min(first, last),
        ids_position=_first_id(scope, now),
        checkpoints_position=_last_checkpoint(scope),
        requested_by=requested_by,
        started_at=now,
        updated_at=now,
    )


def resume(
    run: Verification, *, progress: Progress | None = None, seconds: float | None = None, using: str = "reader"
) -> Verification:
    """Start a run, or resume one that was cut off.

    After `seconds` it is left unended; of a correlation it ends, and VERIFIED is not its verdict.
    """
    replica.require_whole()
    report = RunReport(run, progress, seconds)
    keys = ledger_keys.load()
    try:
        if run.scope == "correlation":
            correlation.check(report, keys, run.correlation_id, using)
        else:
            _look_for_strays(report, using)
            # That may have taken hours, in which the log has come to another key.
            _check_log(report, ledger_keys.load(), using)
    except OutOfTime:
        return run
    run.verdict, run.ended_at = report.verdict().value, datetime.now(UTC)
    if new := report.new().count():
        first = report.new()[0].detail
        text = f"Verification {run.pk}: {run.verdict}. {new} new findings, the first: {first}"
        notify("audit.verification", text, told=report.save, findings=new)
    else:
        report.save()
    _record_end(report, new)
    return run


def newest(*, seconds: float | None = None, using: str = "reader") -> Verification:
    """Verify the newest part of the log, at least since the last such run; one that was cut off is resumed first."""

    def first() -> int:
        done = _last_ended("newest")
        size = reader.signed_size(using)
        before = Checkpoint.objects.using(using).filter(size__lt=size).order_by("-size").first()
        return min(0 if done is None else done.last, 0 if before is None else before.size)

    return resume(_cut_off("newest") or begin("newest", first=first(), using=using), seconds=seconds, using=using)


def next_slice(*, seconds: float | None = None, using: str = "reader") -> Verification:
    """Verify the next slice, sized so that every record has its turn within VERIFY_DAYS; resume the last one first."""
    if (run := _cut_off("rolling")) is not None:
        return resume(run, seconds=seconds, using=using)
    done, size = _last_ended("rolling"), reader.signed_size(using)
    first = 0 if done is None or done.last >= size else done.last
    wanted = max(-(-size // (settings.VERIFY_DAYS * RUNS_A_DAY)), LEAST_SLICE)
    return resume(begin("rolling", first=first, last=first + wanted, using=using), seconds=seconds, using=using)


def _first_id(scope: str, now: datetime) -> UUID:
    """Return the id after which a run looks for records that have no leaf."""
    done = _last_ended(scope)
    if scope == "newest":
        return unsealed.id_of((now if done is None else done.started_at) - NEWEST_IDS_SINCE)
    if scope == "rolling" and done is not None and done.ids_position < unsealed.MOST:
        return done.ids_position
    return unsealed.LEAST


def _last_checkpoint(scope: str) -> int | None:
    """Return the checkpoint after which a run of the newest begins: that before the last one of the run before.

    An idle log has the same size for years, and every run would begin with the first checkpoint of it.
    """
    done = _last_ended(scope) if scope == "newest" else None
    if done is None or done.checkpoints_position is None:
        return None
    return done.checkpoints_position - 1


def _cut_off(scope: str) -> Verification | None:
    return Verification.objects.filter(scope=scope, ended_at=None, requested_by=OWN_WRITER).first()


def _last_ended(scope: str) -> Verification | None:
    return Verification.objects.filter(scope=scope, ended_at__isnull=False).first()


def _check_log(report: RunReport, keys: ledger_keys.Keys, using: str) -> None:
    run = report.run
    at_end = run.last >= reader.signed_size(using) or run.scope in ("all", "newest")
    # What anchor and witnesses have past the end of the range is checked by other runs.
    most = 2**63 if at_end else run.last
    links = checkpoints.cross_links(report, keys, using)
    newest_only = run.scope in ("newest", "rolling")
    signed = [
        checkpoints.checkpoints(report, keys, links, run.last, using, at_end=at_end),
        checkpoints.anchored(report, keys, links, run.position, most, using, newest_only=newest_only),
        (head for head in checkpoints.witnessed(report, keys, links, using) if run.position <= head.size <= most),
    ]
    leaves.check(report, signed, run.position, run.last, using)
    if at_end:
        unsealed.check_tail(report, using)
    else:
        report.leave_out(f"Only the leaves {run.first} to {run.last - 1} were checked.")


def _look_for_strays(report: RunReport, using: str) -> None:
    """Look for records without a leaf: all of them, or as many as the run has its turn with."""
    run = report.run
    if run.scope == "range":
        report.leave_out("Records without a leaf were not looked for: a run of the whole log does that.")
        return
    most = {"newest": NEWEST_IDS, "rolling": max(run.last - run.first, LEAST_SLICE)}.get(run.scope)
    unsealed.walk(report, using, most)
    if run.scope == "newest" and run.ids_position < unsealed.MOST:
        report.leave_out(
            f"Records with ids past {run.ids_position} were not looked at for a leaf: that is for the slices."
        )


def _covered(last: int | None, using: str) -> int:
    """Move the end of a range to the next checkpoint: only there can the tree be compared. The newest head becomes one,
    for while the run goes on the sealer would put the next in its place."""
    if last is not None:
        checkpoint = Checkpoint.objects.using(using).filter(size__gte=last).order_by("size").first()
        if checkpoint is not None:
            return checkpoint.size
    newest = heads.keep_whole()
    return 0 if newest is None else newest.size


def _record_end(report: RunReport, new: int) -> None:
    """Record what was found or asked for. Never raises `AuditError`."""
    run, named = report.run, list(report.new()[:NAMED])
    failed = Verdict(run.verdict) in FAILURES
    if not new and run.requested_by == OWN_WRITER:
        return
    try:
        trail.add(
            "audit.verification.ended",
            actor=OWN_WRITER if run.requested_by == OWN_WRITER else run.requested_by,
            outcome="failure" if failed else "success",
            correlation=f"verification-{run.pk}",
            verdict=run.verdict,
            scope=run.scope,
            first=run.first,
            last=run.last,
            verified_correlation=run.correlation_id or None,
            new_findings=new,
            findings=[_named(finding) for finding in named] or None,
        )
    except AuditError:
        report.leave_out("This run could not be recorded: neither PostgreSQL nor Redis took the event.")
        report.save()


def _named(finding: Finding) -> dict[str, Any]:
    """Describe a finding as the record of its run names it: sealed, it outlives the row."""
    record_id = None if finding.record_id is None else str(finding.record_id)
    return {"kind": finding.kind, "subject": finding.subject, "record_id": record_id, "index": finding.index}
