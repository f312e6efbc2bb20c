"""Erasures: one person asks, another approves or refuses, and the database carries it out. Each act is a record.

A request names its records one by one, so that who decides sees what goes. What it is about is not written into any
record: the subject of an erasure by value is a person.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from audit import metrics, visibility
from audit.errors import AuditError, Invalid
from audit.formats import canonical, redaction, spellings
from audit.formats import event as event_format
from audit.formats.erasable import rules as erasable_rules
from audit.ingest import trail
from audit.models import OWN_WRITER, ErasureDecision, ErasureRequest, Record
from audit.models.erasure.requests import Progress, progress_of
from audit.postgres import sql
from audit.search import query

log = structlog.get_logger(__name__)

MAX_RECORDS = 10_000
# So many records are looked at in one transaction.
PORTION = 100
CORRELATION = "erasures"
LOCK_NOT_AVAILABLE = "55P03"
REASON_MAX, BASIS_MAX, SUBJECT_MAX = 2_000, 200, 400_000
SUBJECTS = ("ids", "query", "value")
_BY_VALUE = "SELECT DISTINCT e.record_id FROM audit_erasable e {seen} WHERE e.value = %s LIMIT %s"
# Whoever sees a part has the others left out before they are counted. OFFSET 0: each record is looked up by its id.
_SEEN = "JOIN LATERAL (SELECT FROM audit_record r WHERE r.id = e.record_id {within} OFFSET 0) r ON true"
_PATHS = "SELECT record_id, path FROM audit_erasable WHERE record_id = ANY(%s)"
_HELD = "SELECT count(*) FROM audit_record r WHERE r.id = ANY(%s) AND audit_held(r)"
_WAITING = """
SELECT id FROM audit_erasurerequest r WHERE audit_is_approved(id)
AND NOT EXISTS (SELECT FROM audit_erasureprogress WHERE request_id = r.id AND done_at IS NOT NULL)
"""
_ERASE = "SELECT audit_erase(%s, %s)"


class SamePerson(AuditError):
    """Whoever asked for an erasure cannot decide about it: a second person has to."""


class Decided(AuditError):
    """Somebody has decided this meanwhile."""


class Asked(NamedTuple):
    """What a person has typed into the form."""

    kind: str
    subject: str
    paths: str
    basis: str
    reason: str


class Preview(NamedTuple):
    """What a request would erase: by path how many members, of how many records, and how many of these are held."""

    records: tuple[UUID, ...]
    paths: dict[str, int]
    held: int


def preview(asked: Asked) -> Preview:
    """What a request would erase. Raises `Invalid`."""
    errors = _faults(asked)
    ids = [] if errors else _found(asked, errors)
    patterns = _patterns(asked.paths, errors)
    if errors:
        raise Invalid(errors)
    found = _counted(ids, lambda path: _is_named(path, patterns))
    if not found.records:
        raise Invalid({"subject": "names no record of which something can be erased"})
    return found


def would_erase(request: ErasureRequest) -> Preview:
    """What a request would erase now."""
    return _counted(request.records, lambda path: not request.paths or path in request.paths)


def _counted(ids: Sequence[UUID], is_named: Callable[[str], bool]) -> Preview:
    paths: Counter[str] = Counter()
    records = set()
    for record_id, path in sql.rows(_PATHS, [list(ids)]):
        if is_named(path):
            paths[path] += 1
            records.add(record_id)
    [(held,)] = sql.rows(_HELD, [list(records)])
    return Preview(tuple(sorted(records)), dict(sorted(paths.items())), held)


def ask(asked: Asked, *, by: str, where: trail.Where = trail.NOTHING_ELSE) -> ErasureRequest:
    """Ask for an erasure. Raises `Invalid`, `NothingKept`."""
    found = preview(asked)
    # All that can be erased is no list of paths: it holds for whatever the records have.
    paths = [] if not asked.paths.strip() else [*found.paths]
    subject = "records in which a member has a value that was typed" if asked.kind == "value" else asked.subject.strip()
    request = ErasureRequest(
        asked_by=by,
        asked_at=datetime.now(UTC),
        subject=f"{asked.kind}: {subject}",
        records=[*found.records],
        paths=paths,
        basis=asked.basis.strip(),
        reason=asked.reason.strip(),
    )
    with transaction.atomic():
        request.save(force_insert=True)
        _record_act("asked", request, by, where, reason=request.reason, members=sum(found.paths.values()))
    return request


def decide(
    request: ErasureRequest,
    *,
    approve: bool,
    ground: str = "",
    by: str,
    where: trail.Where = trail.NOTHING_ELSE,
) -> None:
    """Approve, or refuse with a ground such as Art. 17(3)(b); one decision stands for good.

    Raises `SamePerson`, `Decided`, `Invalid` for a refusal without a ground, `NothingKept`.
    """
    if by == request.asked_by:
        raise SamePerson
    ground = ground.strip()
    if not approve and not ground:
        raise Invalid({"ground": "is required: say which exception holds, such as Art. 17(3)(b), and why"})
    _check_texts({"ground": (ground, REASON_MAX)})
    decision = ErasureDecision(
        request=request, approved=approve, decided_by=by, decided_at=datetime.now(UTC), ground=ground
    )
    try:
        with transaction.atomic():
            decision.save(force_insert=True)
            _record_act("approved" if approve else "refused", request, by, where, ground=ground or None)
    except IntegrityError:
        raise Decided from None


def carry_out(request: ErasureRequest, *, seconds: float | None = None) -> Progress:
    """Erase, a portion at a time, until all is done or the time is over; it goes on from where it was.

    Where holds are placed or records removed meanwhile it stops, too. Raises `NothingKept`, and what the database
    raises, also where nobody has approved it.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while (progress := progress_of([request.pk]).get(request.pk, Progress())).done_at is None:
        if deadline is not None and time.monotonic() > deadline:
            break
        try:
            with transaction.atomic():
                [(more,)] = sql.rows(_ERASE, [request.pk, PORTION])
                if not more:
                    _record_done(request)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
            log.info("erasure_waits", request=request.pk)
            break
    return progress


def carry_out_all(*, seconds: float) -> int:
    """Go on with what was approved and is not done; return how many requests were looked at. For the schedule."""
    ends_at, count = time.monotonic() + seconds, 0
    for request in waiting():
        if (left := ends_at - time.monotonic()) <= 0:
            break
        carry_out(request, seconds=left)
        count += 1
    return count


def waiting() -> list[ErasureRequest]:
    """The requests that were approved and are not done, the oldest first."""
    return list(ErasureRequest.objects.filter(pk__in=[pk for (pk,) in sql.rows(_WAITING)]).order_by("id"))


def undecided(name: str) -> QuerySet[ErasureRequest]:
    """The requests that wait for a second person, and that this one may decide."""
    decided = ErasureDecision.objects.filter(request_id=OuterRef("pk"))
    return ErasureRequest.objects.exclude(Exists(decided)).exclude(asked_by=name)


def _faults(asked: Asked) -> dict[str, str]:
    errors: dict[str, str] = {}
    if asked.kind not in SUBJECTS:
        errors["kind"] = f"is one of {', '.join(SUBJECTS)}"
    for name, text in (("subject", asked.subject), ("basis", asked.basis), ("reason", asked.reason)):
        if not text.strip():
            errors[name] = "is required"
    try:
        _check_texts(
            {
                "basis": (asked.basis, BASIS_MAX),
                "reason": (asked.reason, REASON_MAX),
                "subject": (asked.subject, SUBJECT_MAX),
            }
        )
    except Invalid as invalid:
        errors |= invalid.errors
    return errors


def _check_texts(texts: dict[str, tuple[str, int]]) -> None:
    errors = {}
    for name, (text, most) in texts.items():
        if len(text) > most:
            errors[name] = f"must have at most {most:,} characters"
        for _, message in event_format.text_faults(name, text):
            errors[name] = message
    if errors:
        raise Invalid(errors)


def _found(asked: Asked, errors: dict[str, str]) -> list[UUID]:
    """The records that the subject names, of those that the viewer may see. Raises `Invalid`."""
    rows = Record.objects.filter(erasable__isnull=False)
    if asked.kind == "query":
        search = query.parse({"q": asked.subject})
        query.admit(search, {"q": asked.subject})
        rows = query.matching(search, rows)
    elif asked.kind == "ids":
        rows = rows.filter(id__in=_ids(asked.subject, errors))
    else:
        rows = rows.filter(id__in=_with_value(canonical.value(asked.subject.strip()).decode()))
    ids = list(rows.order_by("id").values_list("id", flat=True)[: MAX_RECORDS + 1])
    if len(ids) > MAX_RECORDS:
        errors["subject"] = f"names more than {MAX_RECORDS:,} records: divide it, for instance by time"
    return ids


def _with_value(value: str) -> list[UUID]:
    """Records with a member of this value, of those that the viewer may see; one more than may be asked for."""
    within, parameters = visibility.sql_condition("r")
    statement = _BY_VALUE.format(seen=_SEEN.format(within=within) if within else "")
    return [record_id for (record_id,) in sql.rows(statement, [*parameters, value, MAX_RECORDS + 1])]


def _ids(text: str, errors: dict[str, str]) -> list[UUID]:
    ids = []
    for word in text.replace(",", " ").split():
        try:
            ids.append(spellings.read_uuid(word))
        except ValueError:
            errors["subject"] = f"{word[:60]} is not the id of a record"
    return ids


def _patterns(text: str, errors: dict[str, str]) -> list[tuple[str, ...]]:
    patterns = []
    for line in text.split("\n"):
        if line.strip():
            try:
                patterns.append(erasable_rules.read_path(line.strip()))
            except ValueError as error:
                errors["paths"] = f"{line.strip()[:100]}: {error}"
    return patterns


def _is_named(path: str, patterns: Sequence[tuple[str, ...]]) -> bool:
    place = tuple(redaction.split(path))
    return not patterns or any(redaction.fits(place, parts) for parts in patterns)


def _record_done(request: ErasureRequest) -> None:
    progress = progress_of([request.pk])[request.pk]
    left = [str(record_id) for record_id in progress.held[:100]]
    facts = {"erased": progress.erased, "held": len(progress.held), "held_records": left or None}
    _record_act("done", request, OWN_WRITER, trail.NOTHING_ELSE, **facts)
    metrics.erased.inc(progress.erased)
    log.warning("erased", request=request.pk, members=progress.erased, held=len(progress.held))


def _record_act(act: str, request: ErasureRequest, by: str, where: trail.Where, **facts: Any) -> None:
    trail.add(
        f"audit.erasure.{act}",
        where._replace(resource=("erasure", str(request.pk))),
        actor=by,
        correlation=CORRELATION,
        request=request.pk,
        basis=request.basis,
        records=len(request.records),
        records_sha256=_digest(request.records),
        **facts,
    )


def _digest(ids: Iterable[UUID]) -> str:
    """What names the records of a request in the records of its acts: SHA-256 of their ids, a line each."""
    return hashlib.sha256("".join(f"{record_id}\n" for record_id in ids).encode()).hexdigest()
