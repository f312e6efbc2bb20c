"""broken: promises that the store did not keep: each is recorded and told once, and kept for good."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import structlog
from django.db import transaction

import dlq.alarm
from audit.ingest import trail
from audit.models import OWN_WRITER, BrokenPromise

log = structlog.get_logger(__name__)

PORTION = 300
"""So many are named in one record: it has room for them."""


def keep(found: Iterable[BrokenPromise]) -> None:
    """Keep those that were not known, all found at one time. Raises `NothingKept`, database errors.

    In an order that all share, so that two that find the same wait for each other and never for ever; and in a
    transaction that is undone where the record of it cannot be written.
    """
    rows = sorted({(one.event_id, one.kind): one for one in found}.items())
    for first in range(0, len(rows), PORTION):
        _keep([one for _, one in rows[first : first + PORTION]])


def tell() -> None:
    """Pass on what nobody was told of yet. Raises database errors."""
    untold = list(BrokenPromise.objects.filter(told_at=None).order_by("found_at")[:PORTION])
    if not untold:
        return
    writers = sorted({one.writer for one in untold})
    text = (
        f"The store broke its promise for {len(untold)} events of {', '.join(writers[:5])}; the first: {untold[0]}. "
        "See the admin, Broken promises."
    )
    if dlq.alarm.tell("audit.receipt", text, events=len(untold)):
        BrokenPromise.objects.filter(pk__in=[one.pk for one in untold]).update(told_at=datetime.now(UTC))


def close(sealed: Mapping[str, str]) -> None:
    """These are in the log after all, each with its digest: it does not keep what was promised of another content."""
    found = BrokenPromise.objects.filter(closed_at=None, event_id__in=list(sealed))
    kept = [one.pk for one in found if sealed[str(one.event_id)] == one.digest]
    BrokenPromise.objects.filter(pk__in=kept, closed_at=None).update(closed_at=datetime.now(UTC))


@transaction.atomic
def _keep(rows: list[BrokenPromise]) -> None:
    _open_again({(one.event_id, one.kind): one for one in rows})
    BrokenPromise.objects.bulk_create(rows, ignore_conflicts=True)
    # What was known before, or was kept by another verification meanwhile, has another time.
    ids, now = [one.event_id for one in rows], rows[0].found_at
    new = list(BrokenPromise.objects.filter(event_id__in=ids, found_at=now))
    if not new:
        return
    log.error("promises_broken", count=len(new), event_ids=[str(one.event_id) for one in new[:100]])
    trail.add(
        "audit.receipt.broken",
        actor=OWN_WRITER,
        outcome="failure",
        correlation="completeness",
        count=len(new),
        events=[one.facts() for one in new],
    )


def _open_again(found: dict[tuple[UUID, str], BrokenPromise]) -> None:
    """What was kept after all, and is broken now: that is news, whatever explained it before."""
    ids = [event_id for event_id, _ in found]
    for known in BrokenPromise.objects.select_for_update().filter(event_id__in=ids, closed_at__isnull=False):
        if (one := found.get((known.event_id, known.kind))) is not None:
            known.closed_at = known.told_at = known.explained_at = None
            known.found_at, known.why, known.digest = one.found_at, one.why, one.digest
            known.save(update_fields=["closed_at", "told_at", "explained_at", "found_at", "why", "digest"])
