"""build: a compliance report from its request to its digest in the log.

1. Who asked for what is recorded, then there is a row.
2. A worker computes the sections, as of the checkpoint that the request found.
3. The digest is recorded, and only then the report is ready, and never changes again.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import connections, transaction
from django.db.models import Q, QuerySet

from audit import visibility
from audit.errors import Invalid, NotSealed
from audit.evidence import export, record_lines
from audit.evidence.request import Asker, Wanted
from audit.formats import canonical
from audit.ingest import trail
from audit.ledger import reader
from audit.models import ACCESS, OWN_WRITER, Checkpoint, Export, Report
from audit.reports import controls, live
from audit.reports.packs import Pack, Unreadable, packs
from audit.reports.sections import SECTIONS
from audit.reports.snapshot import Basis

log = structlog.get_logger(__name__)

FORMAT = "auditsite-report-1"
MOST_DAYS, MOST_AT_ONCE = 1_100, 5
ABANDONED = timedelta(minutes=2)
SETTLE_S = 1.0
"""Rows with a time before the checkpoint may be committed so much after it."""
Progress = Callable[[int], None]
"""Told how many sections are computed."""
MONTH_SETTLES = timedelta(hours=2)


class Stopped(Exception):
    """The report is cancelled."""


def ask(asker: Asker, first: date, last: date, names: list[str], *, again_of: Report | None = None) -> Report:
    """Begin a report. Raises `Invalid`, `Unreadable`, `NotSealed`, `NothingKept`."""
    known, now, head = packs(), datetime.now(UTC), reader.signed_head("default")
    _check(asker, first, last, names, known, head)
    report = Report(first=first, last=last, packs=sorted(set(names)), sight=_spans(asker.sight))
    report.requested_by, report.requested_at, report.updated_at = asker.name, now, now
    report.checkpoint, report.total, report.again_of = head.number, len(SECTIONS), again_of
    if again_of is not None:
        report.checkpoint, report.sight = again_of.checkpoint, again_of.sight
    facts = {"first": first.isoformat(), "last": last.isoformat(), "packs": report.packs}
    record("asked", report, asker, again_of=again_of and str(again_of.pk), **facts)
    report.save(force_insert=True)
    return report


def again(report: Report, asker: Asker) -> Report:
    """Make the same again, from the same checkpoint; what came of it says whether it is the same."""
    return ask(asker, report.first, report.last, report.packs, again_of=report)


def cancel(report: Report, asker: Asker) -> bool:
    """Stop the making. False where it has ended already."""
    if report.state not in Report.UNDER_WAY:
        return False
    record("cancelled", report, asker)
    now = datetime.now(UTC)
    return bool(_under_way(report).update(state="cancelled", updated_at=now, ended_at=now))


def evidence(report: Report, asker: Asker) -> Export:
    """Begin the bundle of what was sealed in the period, under the report's checkpoint; it names the report's digest.

    Who may see a part of the records gets those that happened in the period. Raises as `export.ask` does.
    """
    basis = Basis(report.first, report.last, Checkpoint.objects.get(number=report.checkpoint))
    wanted = Wanted(as_of=report.checkpoint, of_report={"id": str(report.pk), "digest": report.digest})
    if asker.sight:
        wanted["query"] = basis.query()
    elif not basis.leaves:
        raise Invalid({"first": "nothing was sealed in this period: ask for the records that a figure leads to"})
    else:
        wanted["first"], wanted["last"] = basis.leaves.start, basis.leaves.stop
    return export.ask(asker, **wanted)


def visible(sight: visibility.Scopes) -> QuerySet[Report]:
    """The reports for whoever sees so much: all where he sees everything, else those that were made with his sight."""
    return Report.objects.filter(sight=_spans(sight)) if sight else Report.objects.all()


def go_on(report: Report) -> Report:
    """Make a report that waits. What another process is at is left alone. Raises what the database raises."""
    waiting = Report.objects.filter(pk=report.pk).filter(_waits(datetime.now(UTC)))
    if waiting.update(state="running", updated_at=datetime.now(UTC), done=0):
        try:
            _make(report)
        except Stopped:
            pass
        except (Unreadable, NotSealed) as error:
            log.error("report_failed", report=str(report.pk), reason=str(error))
            now = datetime.now(UTC)
            _under_way(report).update(state="failed", error=str(error), updated_at=now, ended_at=now)
    report.refresh_from_db()
    return report


def left() -> Report | None:
    """A report that nobody is making, the longest left alone."""
    return Report.objects.filter(_waits(datetime.now(UTC))).order_by("updated_at").first()


def monthly(now: datetime | None = None) -> Report | None:
    """Ask for the report of the last month, once, where REPORT_PACKS names what it is about."""
    now = (now or datetime.now(UTC)) - MONTH_SETTLES
    last = now.date().replace(day=1) - timedelta(days=1)
    if not settings.REPORT_PACKS:
        return None
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit_report'))")
        first = last.replace(day=1)
        if Report.objects.filter(requested_by=OWN_WRITER, first=first, last=last).exists():
            return None
        return ask(Asker(OWN_WRITER, True), first, last, list(settings.REPORT_PACKS))


def record(act: str, report: Report, asker: Asker, **facts: Any) -> None:
    """What is done with a report is a record before it is done. Raises `NothingKept`."""
    kind = "service" if asker.by_service else "user"
    category = ACCESS if act in ("viewed", "downloaded") else "security"
    where = trail.Where(kind, category, ("report", str(report.pk)), asker.address)
    trail.add(f"audit.report.{act}", where, actor=asker.name, correlation=f"report-{report.pk}", **facts)


def content(report: Report, *, progress: Progress | None = None) -> dict[str, Any]:
    """What the digest covers: the same for the same days, controls and checkpoint, whenever it is computed."""
    chosen = _chosen(report)
    basis = Basis(report.first, report.last, Checkpoint.objects.get(number=report.checkpoint))
    sections = []
    for compute, _ in SECTIONS.values():
        sections.append(compute(basis))
        if progress:
            progress(len(sections))
    root = bytes(basis.checkpoint.root).hex()
    said = msgspec.json.encode(
        {
            "format": FORMAT,
            "period": {"first": report.first, "last": report.last, "time_zone": "UTC"},
            "checkpoint": {"number": report.checkpoint, "size": basis.size, "root": root, "at": basis.at.isoformat()},
            "sight": report.sight,
            "packs": [{"pack": one.pack, "title": one.title, "version": one.version} for one in chosen],
            "controls": controls.judge(chosen, sections),
            "sections": sections,
        }
    )
    found: dict[str, Any] = msgspec.json.decode(said)
    return found


def differences(report: Report) -> str:
    """Which parts are not as the first said; "" where it is the same, or the first."""
    if report.is_same is not False or report.again_of is None:
        return ""
    was, is_now = report.again_of.content or {}, report.content or {}
    before = {one["key"]: one for one in was.get("sections", [])}
    parts = [one["title"] for one in is_now.get("sections", []) if before.get(one["key"]) != one]
    return ", ".join(parts) or "the sets of controls"


def digest(said: dict[str, Any]) -> str:
    """SHA-256 of the content in RFC 8785, as anybody can compute it from the JSON."""
    return hashlib.sha256(canonical.canonical(said)).hexdigest()


def _make(report: Report) -> None:
    report.refresh_from_db()
    made_of = Checkpoint.objects.get(number=report.checkpoint).created_at
    time.sleep(max(SETTLE_S - (datetime.now(UTC) - made_of).total_seconds(), 0))
    look = visibility.Viewer(find_scopes=lambda: record_lines.sight_of(report))
    with visibility.viewing(look):
        said = content(report, progress=lambda done: _save(report, done=done))
        aside = live.look()
    found = digest(said)
    same = None if report.again_of is None else report.again_of.digest == found
    record("made", report, Asker(OWN_WRITER, True), digest=found, checkpoint=report.checkpoint, same=same)
    _save(report, content=said, beside=aside, digest=found, state="ready", ended_at=datetime.now(UTC))


def _check(asker: Asker, first: date, last: date, names: list[str], known: dict[str, Pack], head: Checkpoint) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise Invalid({"packs": f"there is no set of controls {', '.join(unknown)}: choose of {', '.join(known)}"})
    if not names:
        raise Invalid({"packs": "choose at least one set of controls"})
    if not first <= last:
        raise Invalid({"last": f"the last day, {last}, is before the first, {first}"})
    if (last - first).days >= MOST_DAYS:
        raise Invalid({"last": f"a report is of at most {MOST_DAYS} days: choose a later first day"})
    if last > head.created_at.date() or first.year < 1970:
        raise Invalid({"last": f"days end with {head.created_at.date()}, that of the newest checkpoint, UTC"})
    if Report.objects.filter(requested_by=asker.name, ended_at=None).count() >= MOST_AT_ONCE:
        raise Invalid({"packs": f"{MOST_AT_ONCE} reports of yours are being made: wait for one, or cancel it"})


def _chosen(report: Report) -> list[Pack]:
    known = packs()
    if gone := [name for name in report.packs if name not in known]:
        raise Unreadable(f"the set of controls {gone[0]} is not there any more: put its file back")
    return [known[name] for name in report.packs]


def _spans(sight: visibility.Scopes) -> list[list[list[str]]]:
    return [[list(span.writers), list(span.categories)] for span in sight]


def _waits(now: datetime) -> Q:
    return Q(state="pending") | Q(state="running", updated_at__lt=now - ABANDONED)


def _under_way(report: Report) -> QuerySet[Report]:
    return Report.objects.filter(pk=report.pk, state__in=Report.UNDER_WAY)


def _save(report: Report, **facts: Any) -> None:
    """Raises `Stopped` where somebody has cancelled it meanwhile."""
    if not _under_way(report).update(updated_at=datetime.now(UTC), **facts):
        raise Stopped
