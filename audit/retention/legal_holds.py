"""legal_holds: no record that a hold names may be purged until the hold is released. Every act is a record.

A hold names an actor, a resource, a writer, a category, a correlation, a time, or several of them, and no rows: so
events that come later are held as well, and no record changes for it. Each hold is placed once and released once, by
two people; a service releases by itself what a service placed. Whether a record is held is computed by PostgreSQL:
`audit_held` in audit/sql/0054_holds.sql.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from audit import visibility
from audit.errors import AuditError, Invalid
from audit.formats import event, grammar
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.models import LegalHold, LegalHoldQuerySet, Record, RetentionDecision, RetentionRequest
from audit.retention import approval
from audit.retention.approval import REASON_MAX, checked_reason
from audit.search import query

__all__ = ["REASON_MAX"]
MATTER_MAX = 200
# The name of each thing that a hold may name: of the hold's column, and of the field of a search.
NAMES = {
    "correlation_id": "correlation",
    "actor": "actor",
    "resource": "resource",
    "writer": "writer",
    "category": "category",
}
ACTS_OF = "legal-holds"


class Named(NamedTuple):
    """What a hold is on: records that have all that is named here; "" and None name nothing."""

    correlation_id: str = ""
    actor: str = ""
    resource: str = ""
    writer: str = ""
    category: str = ""
    since: datetime | None = None
    before: datetime | None = None

    def query(self) -> Query:
        """The search that finds the same records."""
        found = Query()
        for column, name in NAMES.items():
            if value := getattr(self, column):
                found = found.with_term(name, value)
        for name, moment in (("after", self.since), ("before", self.before)):
            if moment is not None:
                found = found.with_term(name, timestamp_text(moment))
        return found


class NothingToHold(AuditError):
    """No record has this correlation: copy it from the page of a record, where it stands under Correlation."""


class AlreadyHeld(AuditError):
    """The same is held for this matter already: release that hold first, or go by it."""


class NotHeld(AuditError):
    """There is no hold on this correlation that could be released."""


class SeenInPart(AuditError):
    """This hold is on records that you may not see: somebody who sees them all must release it."""


class HeldByPeople(AuditError):
    """People placed the hold on this correlation: two people release it, in the admin under Legal holds."""


def place(
    held: Named | str,
    *,
    reason: str,
    by: str,
    matter: str = "",
    by_service: bool = False,
    where: Where = trail.NOTHING_ELSE,
) -> LegalHold:
    """Place a hold on what is named; a text names a correlation.

    Raises `Invalid` without a reason or where nothing is named, `NothingToHold`, `AlreadyHeld`, `NothingKept`,
    `Unavailable`.
    """
    named = _checked(Named(correlation_id=held) if isinstance(held, str) else held)
    reason, matter = checked_reason("reason", reason), _checked_matter(matter)
    on_correlation = named == Named(correlation_id=named.correlation_id)
    if on_correlation and not Record.objects.filter(correlation_id=named.correlation_id).exists():
        raise NothingToHold
    hold = LegalHold(
        **named._asdict(),
        matter=matter,
        reason=reason,
        placed_by=by,
        by_service=by_service,
        placed_at=datetime.now(UTC),
    )
    try:
        with approval.alone(), transaction.atomic():
            hold.insert()
            more: dict[str, Any] = {} if on_correlation and not matter else {"matter": matter, **_facts(hold)}
            _record_act("placed", hold, by, where, reason=reason, **more)
    except IntegrityError:
        raise AlreadyHeld from None
    return LegalHold.objects.get(pk=hold.pk)


def release(correlation: str, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> LegalHold:
    """Release, as a service, the hold that a service placed on a correlation.

    Raises `Invalid` without a reason, `NotHeld`, `HeldByPeople`, `SeenInPart`, `NothingKept`, `Unavailable`.
    """
    _checked(Named(correlation_id=correlation))
    reason = checked_reason("release_reason", reason)
    with approval.alone():
        in_force = [hold for hold in visible().in_force().filter(correlation_id=correlation) if hold.is_on_correlation]
        if not in_force:
            raise NotHeld
        hold = next((hold for hold in in_force if hold.by_service), None)
        if hold is None:
            raise HeldByPeople
        refuse_in_part(hold)
        recorded = _record_act("released", hold, by, where, reason=reason, placed_by=hold.placed_by)
        row = RetentionRequest(kind="release", hold=hold, by_service=True, reason=reason, asked_by=by)
        row.insert()
        approval.append(row, "approved", by, recorded)
    return LegalHold.objects.select_related("release").get(pk=hold.pk)


def ask_release(hold: LegalHold, *, reason: str, by: str, where: Where = trail.NOTHING_ELSE) -> RetentionRequest:
    """Ask for the release of a hold. Raises `Invalid` without a reason, `NotHeld`, `SeenInPart`, `NothingKept`."""
    if hold.released is not None:
        raise NotHeld("This hold is released already.")
    refuse_in_part(hold)
    return approval.ask("release", reason=reason, by=by, where=_on(hold, where), facts=_of(hold), hold=hold)


def decide_release(
    request: RetentionRequest, *, approve: bool, by: str, where: Where = trail.NOTHING_ELSE
) -> RetentionDecision:
    """Approve or decline: an approved hold is released. Raises `NotHeld`, `SeenInPart`, and as `approval.decide`."""
    hold = held_by(request)

    def check() -> None:
        if LegalHold.objects.in_force().filter(pk=hold.pk).first() is None:
            raise NotHeld("This hold is released already: decline the request.")
        refuse_in_part(hold)

    return approval.decide(request, approve=approve, by=by, where=_on(hold, where), facts=_of(hold), check=check)


def withdraw_release(request: RetentionRequest, *, by: str, where: Where = trail.NOTHING_ELSE) -> RetentionDecision:
    """Raises as `approval.withdraw`."""
    hold = held_by(request)
    return approval.withdraw(request, by=by, where=_on(hold, where), facts=_of(hold))


def held_by(request: RetentionRequest) -> LegalHold:
    """The hold that a request is about."""
    assert request.hold is not None
    return request.hold


def visible() -> LegalHoldQuerySet:
    """The holds that the viewer may see: on a correlation of which they see a record, or on no more than they see."""
    every = LegalHoldQuerySet(LegalHold)
    if not (scopes := visibility.scopes()):
        return every
    seen = Record.objects.filter(correlation_id=OuterRef("correlation_id"))
    within = Q(pk__in=[])
    for scope in scopes:
        writers = Q(writer__in=scope.writers) if scope.writers else Q()
        within |= writers & (Q(category__in=scope.categories) if scope.categories else Q())
    return every.filter(Q(Exists(seen)) & ~Q(correlation_id="") | Q(correlation_id="") & within)


def refuse_in_part(hold: LegalHold) -> None:
    """Seeing a part of what is held must not release the records of others. Raises `SeenInPart`."""
    if not visibility.scopes():
        return
    if not hold.is_on_correlation or not query.sees_whole_correlation(hold.correlation_id):
        raise SeenInPart


def of_record(record: Record) -> QuerySet[LegalHold]:
    """All holds that are and were on a record, newest first."""
    return visible().covering(record).select_related("release")


def named(hold: LegalHold) -> Named:
    """What a hold is on."""
    return Named(*(getattr(hold, name) for name in Named._fields))


def how_many(held: Named) -> tuple[int, bool] | None:
    """How many records that the viewer may see are named, up to a bound, and whether there are more.

    None where counting takes too long.
    """
    return query.count(query.matching(query.Search(query=held.query(), now=datetime.now(UTC))))


def affected(correlations: Iterable[str]) -> Counter[str]:
    """How many records that the viewer may see each of these correlations has."""
    rows = Record.objects.filter(correlation_id__in=list(correlations)).order_by().values("correlation_id")
    return Counter({row["correlation_id"]: row["events"] for row in rows.annotate(events=Count("id"))})


def _record_act(act: str, hold: LegalHold, by: str, where: Where, **facts: Any) -> Any:
    return trail.add(f"audit.hold.{act}", _on(hold, where), actor=by, correlation=ACTS_OF, hold=hold.pk, **facts)


def _on(hold: LegalHold, where: Where) -> Where:
    resource = ("correlation", hold.correlation_id) if hold.is_on_correlation else ("hold", str(hold.pk))
    return where._replace(resource=resource)


def _of(hold: LegalHold) -> dict[str, Any]:
    return {"hold": hold.pk, "placed_by": hold.placed_by, **_facts(hold)}


def _facts(hold: LegalHold) -> dict[str, Any]:
    return {"query": grammar.text(named(hold).query())}


def _checked(held: Named) -> Named:
    """What is named, as records can have it. Raises `Invalid`."""
    errors: dict[str, str] = {}
    for column, name in NAMES.items():
        value = getattr(held, column)
        most = event.limit(LegalHold.COLUMNS[column]) if column != "writer" else 100
        if most is not None and len(value) > most:
            errors[column] = f"must have at most {most:,} characters: no {name} is longer"
        errors |= dict(event.text_faults(column, value))
    if held.since is not None and held.before is not None and held.since >= held.before:
        errors["before"] = "must be later than the time from which on records are held"
    if not errors and held == Named():
        errors["correlation_id"] = "is required, or another thing that the records have"
    if errors:
        raise Invalid(errors)
    return held


def _checked_matter(matter: str) -> str:
    if len(matter) > MATTER_MAX:
        raise Invalid({"matter": f"must have at most {MATTER_MAX} characters"})
    if errors := dict(event.text_faults("matter", matter)):
        raise Invalid(errors)
    return matter.strip()
