"""hold: no record of a correlation may be purged, whenever it came, until somebody releases it. Both are records.

A hold stands on a correlation and not on rows, so what comes after it is held as well, and nothing in the records has
to change for it. Each is placed once and released once; its reason is never written over.
"""

from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from audit import looking, trail
from audit.errors import AuditError
from audit.event import Invalid
from audit.models import LegalHold, Record
from audit.trail import Where

REASON_MAX = 2_000


class NothingToHold(AuditError):
    """No record has this correlation: look how it is spelled."""


class Held(AuditError):
    """This correlation is held already: release that hold first, or go by it."""


class NotHeld(AuditError):
    """There is no hold on this correlation that could be released."""


def place(correlation: str, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> LegalHold:
    """Hold what this correlation has and will have.

    Raises `Invalid` without a reason, `NothingToHold`, `Held`, `NothingKept`.
    """
    reason = _reason("reason", reason)
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
    """End the hold on this correlation. Raises `Invalid` without a reason, `NotHeld`, `NothingKept`."""
    reason = _reason("release_reason", reason)
    with transaction.atomic():
        found = visible().select_for_update(of=("self",)).filter(correlation_id=correlation, released_at=None).first()
        if found is None:
            raise NotHeld
        _record("released", found, by, where, reason=reason, placed_by=found.placed_by)
        found.released_by, found.released_at, found.release_reason = by, datetime.now(UTC), reason
        found.save(update_fields=["released_by", "released_at", "release_reason"])
    return found


def visible() -> QuerySet[LegalHold]:
    """The holds on what may be seen now."""
    if not looking.sight():
        return LegalHold.objects.all()
    seen = Record.objects.filter(correlation_id=OuterRef("correlation_id"))
    return LegalHold.objects.filter(Exists(seen))


def on(correlation: str) -> list[LegalHold]:
    """All holds that there are and were on a correlation, newest first."""
    return list(LegalHold.objects.filter(correlation_id=correlation))


def _record(act: str, held: LegalHold, by: str, where: Where, **facts: str) -> None:
    what = where._replace(resource=("correlation", held.correlation_id))
    trail.add(f"audit.hold.{act}", what, actor=by, correlation="legal-holds", hold=held.pk, **facts)


def _reason(member: str, text: str) -> str:
    if not text.strip():
        raise Invalid({member: "is required: say which matter asks for it, or what ended"})
    if len(text) > REASON_MAX or "\x00" in text:
        raise Invalid({member: f"must have at most {REASON_MAX:,} characters, and no U+0000"})
    return text.strip()
