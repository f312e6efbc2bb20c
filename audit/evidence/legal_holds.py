"""legal_holds: no record of a held correlation may be purged until the hold is released. Both acts are records.

A hold is on a correlation and not on rows, so events that come later are held as well, and no record changes for it.
Each hold is placed once and released once; its reason is never overwritten.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from audit import visibility
from audit.errors import AuditError, Invalid
from audit.formats import event
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.models import LegalHold, Record
from audit.search import query

REASON_MAX = 2_000


class NothingToHold(AuditError):
    """No record has this correlation: copy it from the page of a record, where it stands under Correlation."""


class AlreadyHeld(AuditError):
    """This correlation is held already: release that hold first, or go by it."""


class NotHeld(AuditError):
    """There is no hold on this correlation that could be released."""


class SeenInPart(AuditError):
    """This correlation has records that you may not see: somebody who sees them all must release the hold."""


def place(correlation: str, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> LegalHold:
    """Raises `Invalid` without a reason, `NothingToHold`, `AlreadyHeld`, `NothingKept`."""
    reason = _check("reason", reason, correlation)
    if not Record.objects.filter(correlation_id=correlation).exists():
        raise NothingToHold
    hold = LegalHold(correlation_id=correlation, reason=reason, placed_by=by, placed_at=datetime.now(UTC))
    try:
        with transaction.atomic():
            hold.save(force_insert=True)
            _record_act("placed", hold, by, where, reason=reason)
    except IntegrityError:
        raise AlreadyHeld from None
    return hold


def release(correlation: str, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> LegalHold:
    """Raises `Invalid` without a reason, `NotHeld`, `SeenInPart`, `NothingKept`."""
    reason = _check("release_reason", reason, correlation)
    with transaction.atomic():
        hold = visible().select_for_update(of=("self",)).filter(correlation_id=correlation, released_at=None).first()
        if hold is None:
            raise NotHeld
        if not query.sees_whole_correlation(correlation):
            raise SeenInPart  # seeing one event of a correlation must not release the records of others
        _record_act("released", hold, by, where, reason=reason, placed_by=hold.placed_by)
        hold.released_by, hold.released_at, hold.release_reason = by, datetime.now(UTC), reason
        hold.save(update_fields=["released_by", "released_at", "release_reason"])
    return hold


def visible() -> QuerySet[LegalHold]:
    """The holds on correlations of which the viewer may see a record."""
    if not visibility.scopes():
        return LegalHold.objects.all()
    seen = Record.objects.filter(correlation_id=OuterRef("correlation_id"))
    return LegalHold.objects.filter(Exists(seen))


def of_correlation(correlation: str) -> list[LegalHold]:
    """All holds that there are and were, newest first."""
    return list(LegalHold.objects.filter(correlation_id=correlation))


def in_force(correlations: Iterable[str]) -> set[str]:
    """Which of these correlations are held now."""
    holds = LegalHold.objects.filter(correlation_id__in=list(correlations), released_at=None)
    return set(holds.values_list("correlation_id", flat=True))


def affected(correlations: Iterable[str]) -> Counter[str]:
    """How many records that the viewer may see each of these correlations has."""
    rows = Record.objects.filter(correlation_id__in=list(correlations)).order_by().values("correlation_id")
    return Counter({row["correlation_id"]: row["events"] for row in rows.annotate(events=Count("id"))})


def _record_act(act: str, hold: LegalHold, by: str, where: Where, **facts: str) -> None:
    resource = where._replace(resource=("correlation", hold.correlation_id))
    trail.add(f"audit.hold.{act}", resource, actor=by, correlation="legal-holds", hold=hold.pk, **facts)


def _check(member: str, reason: str, correlation: str) -> str:
    """The reason without blanks around it. Refuses a correlation that no record can have. Raises `Invalid`."""
    if not reason.strip():
        raise Invalid({member: "is required: say which matter asks for it, or what ended"})
    if len(reason) > REASON_MAX:
        raise Invalid({member: f"must have at most {REASON_MAX:,} characters"})
    for name, text in ((member, reason), ("correlation_id", correlation)):
        if errors := dict(event.text_faults(name, text)):
            raise Invalid(errors)
    return reason.strip()
