"""broken: promises that the store did not keep: each is recorded and told once, and kept for good."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import structlog
from django.db import transaction

from audit.ingest import trail
from audit.ingest.notify import notify
from audit.models import OWN_WRITER, BrokenPromise

log = structlog.get_logger(__name__)

# A record has room to name so many.
PROMISES_PER_RECORD = 300
IDS_LOGGED, WRITERS_TOLD = 100, 5


def store(findings: Iterable[BrokenPromise]) -> None:
    """Store findings that are new, all found at one time. Raises `NothingKept`, database errors.

    In an order that all share, so that two that find the same wait for each other and never for ever; and in a
    transaction that is undone where the record of it cannot be written.
    """
    rows = sorted({(finding.event_id, finding.kind): finding for finding in findings}.items())
    for start in range(0, len(rows), PROMISES_PER_RECORD):
        _store(dict(rows[start : start + PROMISES_PER_RECORD]))


def notify_unheard() -> None:
    """Raise the alarm of findings that nobody heard of yet. Raises database errors."""
    waiting = list(BrokenPromise.objects.filter(told_at=None).order_by("found_at")[:PROMISES_PER_RECORD])
    if not waiting:
        return
    rows = BrokenPromise.objects.filter(pk__in=[finding.pk for finding in waiting])
    writers = ", ".join(sorted({finding.writer for finding in waiting})[:WRITERS_TOLD])
    notify(
        "audit.receipt",
        f"The store broke its promise for {len(waiting)} events of {writers}; the first: {waiting[0]}. "
        "See the admin, Broken promises.",
        told=lambda: rows.update(told_at=datetime.now(UTC)),
        events=len(waiting),
    )


def close(sealed: Mapping[str, str]) -> None:
    """Close the findings of events that are in the log after all, with the digest that was promised."""
    open_ones = BrokenPromise.objects.filter(closed_at=None, event_id__in=list(sealed))
    kept = [finding.pk for finding in open_ones if sealed[str(finding.event_id)] == finding.digest]
    BrokenPromise.objects.filter(pk__in=kept, closed_at=None).update(closed_at=datetime.now(UTC))


@transaction.atomic
def _store(findings: dict[tuple[UUID, str], BrokenPromise]) -> None:
    _open_again(findings)
    rows = list(findings.values())
    BrokenPromise.objects.bulk_create(rows, ignore_conflicts=True)
    # What was known before, or was stored by another verification meanwhile, has another time.
    new = list(BrokenPromise.objects.filter(event_id__in=[row.event_id for row in rows], found_at=rows[0].found_at))
    if not new:
        return
    log.error("promises_broken", count=len(new), event_ids=[str(finding.event_id) for finding in new[:IDS_LOGGED]])
    trail.add(
        "audit.receipt.broken",
        actor=OWN_WRITER,
        outcome="failure",
        correlation="completeness",
        count=len(new),
        events=[finding.facts() for finding in new],
    )


def _open_again(findings: dict[tuple[UUID, str], BrokenPromise]) -> None:
    """A promise that was kept after all and is broken now is news, whatever explained it before."""
    ids = [event_id for event_id, _ in findings]
    for row in BrokenPromise.objects.select_for_update().filter(event_id__in=ids, closed_at__isnull=False):
        if (finding := findings.get((row.event_id, row.kind))) is not None:
            row.closed_at = row.told_at = row.explained_at = None
            row.found_at, row.why, row.digest = finding.found_at, finding.why, finding.digest
            row.save(update_fields=["closed_at", "told_at", "explained_at", "found_at", "why", "digest"])
