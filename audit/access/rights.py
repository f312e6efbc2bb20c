"""Rights that open records, or decide about others, need two people: one asks for them, another one grants them.

Everything else that an administrator does takes effect at once, and is a record: so is what is asked for and decided
here. Superusers are not bound by it, for they could give themselves every right one by one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction

from audit.access import api_keys
from audit.errors import AuditError
from audit.ingest import trail
from audit.models import RightsRequest, Writer

# A group with one of these opens records, or can decide.
GUARDED = (
    *("view_record", "approve_rights", "approve_discard", "approve_retention"),
    *("export_unredacted", "decide_erasure"),
)
# The only scope that opens nothing.
FREE_SCOPE = "write"


class SamePerson(AuditError):
    """Whoever asked for a right, or would get it, cannot grant it: a second person has to."""


class AlreadyDecided(AuditError):
    """Somebody has decided this meanwhile."""


class SubjectGone(AuditError):
    """The person or writer that this is about is not there any more."""


def guarded(groups: Iterable[Group]) -> list[Group]:
    return [group for group in groups if group.permissions.filter(codename__in=GUARDED).exists()]


def withheld(before: Writer | None, wanted: Writer) -> dict[str, Any]:
    """Take out of a writer, not saved yet, what needs a second person; return it as it can be asked for, or {}."""
    held = [] if before is None else before.scopes
    scopes = [scope for scope in wanted.scopes if scope != FREE_SCOPE and scope not in held]
    reads = {"reads_writers": list(wanted.reads_writers), "reads_categories": list(wanted.reads_categories)}
    reads_before = {name: [] if before is None else list(getattr(before, name)) for name in reads}
    opens = set(wanted.scopes) - {FREE_SCOPE}
    if not scopes and not (opens and reads != reads_before):
        return {}
    wanted.scopes = [scope for scope in wanted.scopes if scope not in scopes]
    for name, value in reads_before.items():
        setattr(wanted, name, value)
    return {"scopes": scopes, **reads}


def ask(kind: str, subject: str, asked: dict[str, Any], *, by: str) -> RightsRequest:
    """Ask for rights of a writer ("writer") or a person ("person"), recorded first. Raises `NothingKept`."""
    trail.add("audit.rights.asked", actor=by, correlation=f"{kind}-{subject}", subject=subject, asked=asked)
    return RightsRequest.objects.create(
        kind=kind, subject=subject, asked=asked, asked_by=by, asked_at=datetime.now(UTC)
    )


def may_decide(request: RightsRequest, user: Any) -> bool:
    """Return whether this person may decide: neither the one who asked nor the one who would get the right."""
    name = user.get_username()
    own = name == request.asked_by or (request.kind == "person" and name == request.subject)
    return not request.decision and not own and bool(user.has_perm("audit.approve_rights"))


def decide(request: RightsRequest, *, approve: bool, by: str) -> None:
    """Grant or decline, recorded first; one decision stands for good.

    Raises `SamePerson`, `AlreadyDecided`, `SubjectGone`, `NothingKept`.
    """
    if by == request.asked_by or (request.kind == "person" and by == request.subject):
        raise SamePerson
    with transaction.atomic():
        row = RightsRequest.objects.select_for_update().get(pk=request.pk)
        if row.decision:
            raise AlreadyDecided
        row.decision = "granted" if approve else "declined"
        row.decided_by, row.decided_at = by, datetime.now(UTC)
        facts = {"subject": row.subject, "asked": row.asked, "asked_by": row.asked_by}
        if approve:
            _apply(row)
        trail.add(f"audit.rights.{row.decision}", actor=by, correlation=f"{row.kind}-{row.subject}", **facts)
        row.save(update_fields=["decision", "decided_by", "decided_at"])


def _apply(request: RightsRequest) -> None:
    """Give the rights within the transaction at hand, which a failure to record rolls back."""
    if request.kind == "person":
        person = User.objects.filter(username=request.subject).first()
        if person is None:
            raise SubjectGone
        person.groups.add(*Group.objects.filter(name__in=request.asked["groups"]))
        return
    writer = Writer.objects.select_for_update().filter(name=request.subject).first()
    if writer is None:
        raise SubjectGone
    given = {*writer.scopes, *request.asked["scopes"]}
    writer.scopes = [scope for scope in Writer.SCOPES if scope in given]
    writer.reads_writers, writer.reads_categories = request.asked["reads_writers"], request.asked["reads_categories"]
    writer.save(update_fields=["scopes", "reads_writers", "reads_categories"])
    api_keys.publish()
