"""build: a compliance report from its request to its digest in the log.

1. The request is recorded, then there is a row.
2. A worker computes the sections, as of the checkpoint that the request found. Each is kept when it is finished, so
   that another worker goes on from there where this one was killed.
3. The digest is recorded. Only then the report is ready, and never changes again.
"""

import hashlib
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

import dlq.errors
import dlq.stream
from audit import visibility
from audit.completeness import summary
from audit.errors import AuditError, Invalid, NotSealed
from audit.evidence import export
from audit.evidence.request import THE_STORE, ExportRequest, Requester, record_act
from audit.formats import canonical
from audit.ledger import heads, reader
from audit.models import OWN_WRITER, Checkpoint, Export, Finding, Report
from audit.models.base import JobEnded
from audit.postgres import replica, sql
from audit.reports import controls, packs
from audit.reports.figures import Section
from audit.reports.packs import Pack, UnreadablePack
from audit.reports.sections import SECTIONS, SINCE
from audit.reports.snapshot import VERSION, Snapshot

log = structlog.get_logger(__name__)

FORMAT = "auditsite-report-"  # and the version of the content
MAX_DAYS = 1_100
# Reports of one requester that may be under way at once.
MAX_UNDER_WAY = 5
# A row whose time is before the checkpoint's may be committed so much after it.
SETTLE_S = 1.0
# So long after its end the report of a month is made.
MONTH_SETTLES = timedelta(hours=2)

# So often a section is begun that does not come to its end.
MAX_ATTEMPTS = 3


class _TimeIsUp(Exception):
    """Some sections are finished, and the others are left for later."""


class _NeverFinished(AuditError):
    """A section was begun again and again, and its worker was stopped or PostgreSQL gave up each time."""


def request(
    requester: Requester, first: date, last: date, names: list[str], *, again_of: Report | None = None
) -> Report:
    """Begin a report of these days for the packs of these names.

    Raises `Invalid`, `UnreadablePack`, `NotSealed`, `NothingKept`.
    """
    now, checkpoint = datetime.now(UTC), heads.give_out()
    _check(requester, first, last, names, checkpoint)
    report = Report(first=first, last=last, packs=sorted(set(names)), sight=_as_json(requester.sight))
    report.requested_by, report.requested_at, report.updated_at = requester.name, now, now
    report.checkpoint, report.total, report.again_of = checkpoint.number, len(SECTIONS), again_of
    if again_of is not None:
        report.checkpoint, report.sight = again_of.checkpoint, again_of.sight
    facts = {"first": first.isoformat(), "last": last.isoformat(), "packs": report.packs}
    record_act("asked", report, requester, again_of=again_of and str(again_of.pk), **facts)
    report.save(force_insert=True)
    return report


def repeat(report: Report, requester: Requester) -> Report:
    """Make the report again, from the same checkpoint, to compare the digests."""
    return request(requester, report.first, report.last, report.packs, again_of=report)


def cancel(report: Report, requester: Requester) -> bool:
    """False where it has ended already."""
    if not report.is_under_way:
        return False
    record_act("cancelled", report, requester)
    return report.end("cancelled", unfinished=None)


def request_evidence(report: Report, requester: Requester) -> Export:
    """Begin the bundle of what was sealed in the period, under the report's checkpoint; it names the report's digest.

    A requester with scopes gets the records that happened in the period. Raises as `export.request` does.
    """
    snapshot = Snapshot(report.first, report.last, Checkpoint.objects.get(number=report.checkpoint))
    wanted = ExportRequest(as_of=report.checkpoint, of_report={"id": str(report.pk), "digest": report.digest})
    if requester.sight:
        wanted["query"] = snapshot.query()
    elif not snapshot.leaves:
        raise Invalid({"first": "nothing was sealed in this period: ask for the records that a figure leads to"})
    else:
        wanted["first"], wanted["last"] = snapshot.leaves.start, snapshot.leaves.stop
    return export.request(requester, **wanted)


def visible(sight: visibility.Scopes) -> QuerySet[Report]:
    """All reports for a viewer without scopes, else those that were made with the same scopes."""
    return Report.objects.filter(sight=_as_json(sight)) if sight else Report.objects.all()


def resume(report: Report, *, seconds: float | None = None) -> Report:
    """Make a report that no other process is making; after `seconds` the sections that are left stay pending.

    Raises what the database raises: the report can be resumed afterwards, MAX_ATTEMPTS times at one section.
    """
    began = {"state": "running", "updated_at": datetime.now(UTC), "attempts": F("attempts") + 1}
    if Report.pending().filter(pk=report.pk).update(**began):
        report.refresh_from_db()
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            _refuse_for_ever(report)
            _build(report, deadline)
        except JobEnded:
            pass
        except _TimeIsUp:
            report.under_way().update(state="pending", updated_at=datetime.now(UTC), attempts=0)
        except (UnreadablePack, NotSealed, _NeverFinished) as error:
            log.error("report_failed", report=str(report.pk), reason=str(error))
            report.end("failed", error=str(error), unfinished=None)
    report.refresh_from_db()
    return report


def request_monthly(now: datetime | None = None) -> Report | None:
    """Begin the report of the last month, once, for the packs of REPORT_PACKS."""
    now = (now or datetime.now(UTC)) - MONTH_SETTLES
    last = now.date().replace(day=1) - timedelta(days=1)
    if not settings.REPORT_PACKS:
        return None
    with transaction.atomic():
        sql.run("SELECT pg_advisory_xact_lock(hashtext('audit_report'))")
        first = last.replace(day=1)
        if Report.objects.filter(requested_by=OWN_WRITER, first=first, last=last).exists():
            return None
        return request(THE_STORE, first, last, list(settings.REPORT_PACKS))


def content(report: Report, *, deadline: float | None = None) -> dict[str, Any]:
    """What the digest covers: the same for the same days, controls and checkpoint, whenever it is computed.

    Sections that are finished are not computed again. Raises `JobEnded` where it was cancelled meanwhile.
    """
    replica.require_whole()
    chosen = _chosen_packs(report)
    checkpoint = Checkpoint.objects.get(number=report.checkpoint)
    snapshot = Snapshot(report.first, report.last, checkpoint, _version(report))
    sections = _sections(report, snapshot, deadline)
    as_of = {
        "number": report.checkpoint,
        "size": snapshot.size,
        "root": bytes(snapshot.checkpoint.root).hex(),
        "at": snapshot.at.isoformat(),
    }
    document = {
        "format": f"{FORMAT}{snapshot.version}",
        "period": {"first": report.first, "last": report.last, "time_zone": "UTC"},
        "checkpoint": as_of,
        "sight": report.sight,
        "packs": [{"pack": pack.pack, "title": pack.title, "version": pack.version} for pack in chosen],
        "controls": controls.judge(chosen, sections),
        "sections": sections,
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def _sections(report: Report, snapshot: Snapshot, deadline: float | None) -> list[Section]:
    wanted = {name: compute for name, (compute, _) in SECTIONS.items() if SINCE.get(name, 0) <= snapshot.version}
    sections = _finished(report, snapshot.version)
    began_with = len(sections)
    for compute in list(wanted.values())[began_with:]:
        if len(sections) > began_with and deadline is not None and time.monotonic() > deadline:
            raise _TimeIsUp
        sections.append(compute(snapshot))
        kept = {"version": snapshot.version, "sections": msgspec.to_builtins(sections)}
        report.save_progress(done=len(sections), unfinished=kept, attempts=1)
    return sections


def _finished(report: Report, version: int) -> list[Section]:
    """The sections that are kept; none of them where another release computed them, in a version of its own."""
    kept = report.unfinished or {}
    return msgspec.convert(kept["sections"], list[Section]) if kept.get("version") == version else []


def _refuse_for_ever(report: Report) -> None:
    if report.attempts <= MAX_ATTEMPTS:
        return
    names = list(SECTIONS)[report.done : report.done + 1]
    what = f"The section {names[0]!r} was" if names else "All sections are there, and its end was"
    raise _NeverFinished(
        f"{what} begun {MAX_ATTEMPTS} times and not finished: each time the worker was stopped, or PostgreSQL gave up. "
        "Ask for fewer days; the worker's log says why."
    )


def _version(report: Report) -> int:
    """This store's; of a report that is made again that of the first, or it could not be the same."""
    first = report.again_of and report.again_of.content
    return int(first["format"].removeprefix(FORMAT)) if first else VERSION


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the content in RFC 8785, as anybody can compute it from the JSON."""
    return hashlib.sha256(canonical.canonical(document)).hexdigest()


def _build(report: Report, deadline: float | None) -> None:
    sealed_at = Checkpoint.objects.get(number=report.checkpoint).created_at
    time.sleep(max(SETTLE_S - (datetime.now(UTC) - sealed_at).total_seconds(), 0))
    look = visibility.Viewer(find_scopes=report.scopes)
    with visibility.viewing(look):
        document = content(report, deadline=deadline)
        aside = _live_figures() | {"packs": {pack.pack: packs.text_of(pack) for pack in _chosen_packs(report)}}
    report_digest = digest(document)
    same = None if report.again_of is None else report.again_of.digest == report_digest
    record_act("made", report, THE_STORE, digest=report_digest, checkpoint=report.checkpoint, same=same)
    report.end("ready", content=document, beside=aside, digest=report_digest, unfinished=None)


def _live_figures() -> dict[str, Any]:
    """How things stand while the report is made. No checkpoint fixes this, so the digest does not cover it."""
    checkpoint = reader.head("default")
    waiting: int | str = "not known: Redis does not answer"
    with suppress(dlq.errors.Refused):
        waiting = dlq.stream.for_drain().totals.stats().depth
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lines": [
            ["Records in the log", checkpoint.size if checkpoint else 0],
            ["Findings that are still so", Finding.objects.still_so().count()],
            ["Events waiting in the dead letter queue", waiting],
            ["Completeness", summary.summarize().sentence],
        ],
    }


def _check(requester: Requester, first: date, last: date, names: list[str], checkpoint: Checkpoint) -> None:
    there = packs.load()
    if unknown := sorted(set(names) - set(there)):
        raise Invalid({"packs": f"there is no set of controls {', '.join(unknown)}: choose of {', '.join(there)}"})
    if not names:
        raise Invalid({"packs": "choose at least one set of controls"})
    if not first <= last:
        raise Invalid({"last": f"the last day, {last}, is before the first, {first}"})
    if (last - first).days >= MAX_DAYS:
        raise Invalid({"last": f"a report is of at most {MAX_DAYS} days: choose a later first day"})
    if last > checkpoint.created_at.date() or first.year < 1970:
        raise Invalid({"last": f"days end with {checkpoint.created_at.date()}, that of the newest checkpoint, UTC"})
    if Report.objects.filter(requested_by=requester.name, ended_at=None).count() >= MAX_UNDER_WAY:
        raise Invalid({"packs": f"{MAX_UNDER_WAY} reports of yours are being made: wait for one, or cancel it"})


def _chosen_packs(report: Report) -> list[Pack]:
    there = packs.load()
    if missing := [name for name in report.packs if name not in there]:
        raise UnreadablePack(f"the set of controls {missing[0]} is not there any more: put its file back")
    return [there[name] for name in report.packs]


def _as_json(sight: visibility.Scopes) -> list[list[list[str]]]:
    return [[list(span.writers), list(span.categories)] for span in sight]
