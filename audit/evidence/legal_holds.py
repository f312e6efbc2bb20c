"""No record of a correlation may be purged, whenever it came, until somebody releases it. Both are records.

A hold stands on a correlation and not on rows, so what comes after it is held as well, and nothing in the records has
to change for it. Each is placed once and released once; its reason is never written over.
"""

from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from audit import visibility
from audit.errors import AuditError, Invalid
from audit.formats import event
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.models import LegalHold, Record
from audit.search import query

REASON_MAX = 2_000


class NothingToHold(AuditError):
    """No record has this correlation: look how it is spelled."""


class Held(AuditError):
    """This correlation is held already: release that hold first, or go by it."""


class NotHeld(AuditError):
    """There is no hold on this correlation that could be released."""


class SeenInPart(AuditError):
    """This correlation has records that you may not see: somebody who sees them all must release the hold."""


def place(correlation: str, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> LegalHold:
    """Hold what this correlation has and will have.

    Raises `Invalid` without a reason, `NothingToHold`, `Held`, `NothingKept`.
    """
    reason = _reason("reason", reason)
    _check(correlation)
    if not Record.objects.filter(correlation_id=correlation).exists():
        raise NothingToHold
    placed = LegalHold(correlation_id=correlation, reason=reason, placed_by=by, placed_at=datetime.now(UTC))
    try:
        with transaction.atomic():
            placed.save(force_insert=True)
            _record("placed", placed, by, where, reason=reason)
    except IntegrityError:
        raise Held from None
    return placed


def release(correlation: str, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> LegalHold:
    """End the hold on this correlation. Raises `Invalid` without a reason, `NotHeld`, `SeenInPart`, `NothingKept`."""
    reason = _reason("release_reason", reason)
    _check(correlation)
    with transaction.atomic():
        found = visible().select_for_update(of=("self",)).filter(correlation_id=correlation, released_at=None).first()
        if found is None:
            raise NotHeld
        if not query.sees_whole_correlation(correlation):
            raise SeenInPart  # one event of one's own in a correlation must not open it for the records of others
        _record("released", found, by, where, reason=reason, placed_by=found.placed_by)
        found.released_by, found.released_at, found.release_reason = by, datetime.now(UTC), reason
        found.save(update_fields=["released_by", "released_at", "release_reason"])
    return found


def visible() -> QuerySet[LegalHold]:
    """The holds on what may be seen now."""
    if not visibility.scopes():
        return LegalHold.objects.all()
    seen = Record.objects.filter(correlation_id=OuterRef("correlation_id"))
    return LegalHold.objects.filter(Exists(seen))


def on(correlation: str) -> list[LegalHold]:
    """All holds that there are and were on a correlation, newest first."""
    return list(LegalHold.objects.filter(correlation_id=correlation))


def _check(correlation: str) -> None:
    """Refuse what no record can have. Raises `Invalid`."""
    if errors := dict(event.text_faults("correlation_id", correlation)):
        raise Invalid(errors)


def _record(act: str, held: LegalHold, by: str, where: Where, **facts: str) -> None:
    what = where._replace(resource=("correlation", held.correlation_id))
    trail.add(f"audit.hold.{act}", what, actor=by, correlation="legal-holds", hold=held.pk, **facts)


def _reason(member: str, text: str) -> str:
    if not text.strip():
        raise Invalid({member: "is required: say which matter asks for it, or what ended"})
    if len(text) > REASON_MAX:
        raise Invalid({member: f"must have at most {REASON_MAX:,} characters"})
    if errors := dict(event.text_faults(member, text)):
        raise Invalid(errors)
    return text.strip()
