"""build: a compliance report from its request to its digest in the log.

1. The request is recorded, then there is a row.
2. A worker computes the sections, as of the checkpoint that the request found.
3. The digest is recorded. Only then the report is ready, and never changes again.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

import dlq.errors
import dlq.stream
from audit import visibility
from audit.completeness import summary
from audit.errors import Invalid, NotSealed
from audit.evidence import export
from audit.evidence.request import THE_STORE, ExportRequest, Requester, record_act
from audit.formats import canonical
from audit.ledger import heads, reader
from audit.models import OWN_WRITER, Checkpoint, Export, Finding, Report
from audit.models.base import JobEnded
from audit.postgres import replica, sql
from audit.reports import controls, packs
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

# Called with the number of sections that are computed.
Progress = Callable[[int], None]


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
    return report.end("cancelled")


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


def resume(report: Report) -> Report:
    """Make a report that no other process is making. Raises what the database raises."""
    if Report.pending().filter(pk=report.pk).update(state="running", updated_at=datetime.now(UTC), done=0):
        try:
            _build(report)
        except JobEnded:
            pass
        except (UnreadablePack, NotSealed) as error:
            log.error("report_failed", report=str(report.pk), reason=str(error))
            report.end("failed", error=str(error))
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


def content(report: Report, *, progress: Progress | None = None) -> dict[str, Any]:
    """What the digest covers: the same for the same days, controls and checkpoint, whenever it is computed."""
    replica.require_whole()
    chosen = _chosen_packs(report)
    checkpoint = Checkpoint.objects.get(number=report.checkpoint)
    snapshot = Snapshot(report.first, report.last, checkpoint, _version(report))
    sections = []
    for name, (compute, _) in SECTIONS.items():
        if SINCE.get(name, 0) > snapshot.version:
            continue
        sections.append(compute(snapshot))
        if progress:
            progress(len(sections))
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


def _version(report: Report) -> int:
    """This store's; of a report that is made again that of the first, or it could not be the same."""
    first = report.again_of and report.again_of.content
    return int(first["format"].removeprefix(FORMAT)) if first else VERSION


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the content in RFC 8785, as anybody can compute it from the JSON."""
    return hashlib.sha256(canonical.canonical(document)).hexdigest()


def _build(report: Report) -> None:
    report.refresh_from_db()
    sealed_at = Checkpoint.objects.get(number=report.checkpoint).created_at
    time.sleep(max(SETTLE_S - (datetime.now(UTC) - sealed_at).total_seconds(), 0))
    look = visibility.Viewer(find_scopes=report.scopes)
    with visibility.viewing(look):
        document = content(report, progress=lambda done: report.save_progress(done=done))
        aside = _live_figures() | {"packs": {pack.pack: packs.text_of(pack) for pack in _chosen_packs(report)}}
    report_digest = digest(document)
    same = None if report.again_of is None else report.again_of.digest == report_digest
    record_act("made", report, THE_STORE, digest=report_digest, checkpoint=report.checkpoint, same=same)
    report.end("ready", content=document, beside=aside, digest=report_digest)


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
