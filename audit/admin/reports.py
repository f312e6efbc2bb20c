"""Compliance reports: asked for, watched while they are made, read, downloaded, and repeated to compare."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from audit import visibility
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, time_column
from audit.admin.evidence.exports import MAKE as MAKE_EXPORT
from audit.admin.evidence.exports import STATES, begun, own_or_404, requester_of
from audit.errors import AuditError, Invalid
from audit.evidence.request import record_act
from audit.models import Report
from audit.reports import again, build, packs, snapshot
from audit.reports import render as report_render
from audit.reports.packs import UnreadablePack

MAKE = "audit.make_report"


@admin.register(Report)
class ReportAdmin(ReadOnly):
    """A viewer with scopes sees the reports that were made with the same ones."""

    list_display = ("state_badge", "covers", "about", "requested", "requested_by", "short_digest")
    list_display_links = ("covers",)
    change_list_template = "admin/audit/report/list.html"
    views: ClassVar[dict[str, str]] = {
        "make/": "make",
        "<uuid:report_id>/act/": "act",
        "<uuid:report_id>/evidence/": "evidence",
        "<uuid:report_id>/report.<slug:kind>": "file",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return build.visible(visibility.scopes()).defer("content", "beside", "unfinished")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context: dict[str, Any] = {"presets": _presets(), **(extra_context or {})}
        try:
            context["packs"] = list(packs.load().values())
        except UnreadablePack as error:
            context["problem"] = f"A set of controls cannot be read, so no report can be made. {error}."
        return super().changelist_view(request, context)

    def make_view(self, request: HttpRequest) -> HttpResponse:
        def begin() -> HttpResponse:
            first, last = _days(request)
            return begun(build.request(requester_of(request), first, last, request.POST.getlist("pack")))

        back = reverse("admin:audit_report_changelist")
        return post_act(request, MAKE, begin, back=back, refusal="No report is made")

    def act_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        def act() -> HttpResponse | None:
            report, name = _report(report_id), request.POST.get("act", "")
            if name == "cancel":
                if not build.cancel(report, requester_of(request)):
                    messages.warning(request, f"The report is {report.state}: there was nothing to cancel.")
                return None
            if name != "again" or report.state != "ready":
                raise Http404("A report is cancelled, or made again once it is ready; nothing else.")
            return begun(build.repeat(report, requester_of(request)))

        back = reverse("admin:audit_report_change", args=[report_id])
        return post_act(request, MAKE, act, back=back, refusal="Nothing is made")

    def evidence_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        def begin() -> HttpResponse:
            report = _report(report_id)
            if report.state != "ready":
                raise Http404("There is evidence of a report once it is ready.")
            return begun(build.request_evidence(report, requester_of(request)))

        back = reverse("admin:audit_report_change", args=[report_id])
        return post_act(request, MAKE_EXPORT, begin, back=back, refusal="Nothing is made")

    def file_view(self, request: HttpRequest, report_id: UUID, kind: str) -> HttpResponse:
        self.require_view(request)
        report = _report(report_id)
        if kind not in report_render.KINDS or report.state != "ready":
            raise Http404(f"There is no file {kind} of this report.")
        if kind == "pdf" and not report_render.has_pdf():
            messages.error(request, str(report_render.PdfMissing()))
            return redirect("admin:audit_report_change", report.pk)
        try:
            record_act("downloaded", report, requester_of(request), digest=report.digest, file=f"report.{kind}")
        except AuditError:
            return render(request, "pages/unrecorded.html", status=503)
        body = report_render.file(report, kind, site=request.build_absolute_uri("/").rstrip("/"))
        headers = {"Content-Disposition": f'attachment; filename="report-{report.first}-{report.last}.{kind}"'}
        return HttpResponse(body, content_type=report_render.KINDS[kind], headers=headers)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        report = _report(object_id)
        details: dict[str, Any] = {}
        if report.state == "ready":
            try:
                record_act("viewed", report, requester_of(request), digest=report.digest)
            except AuditError:
                return render(request, "pages/unrecorded.html", status=503)
            details = report_render.context(report) | _compared(report)
        return self.page(
            request,
            "detail",
            state=self.state_badge(report),
            under_way=report.is_under_way,
            has_pdf=report_render.has_pdf(),
            **{"report": report, "title": report_render.title(report), **details},
        )

    state_badge = column("state", lambda report: badge(STATES[report.state], report.state), "state")
    covers = column(
        "period (UTC)",
        lambda report: f"{report.first} to {report.last}" + (" (again)" if report.again_of_id else ""),
        "first",
    )
    about = column("controls", lambda report: ", ".join(report.packs))
    requested = time_column("requested (UTC)", "requested_at")
    short_digest = column("SHA-256", lambda report: f"{report.digest[:16]}…" if report.digest else "—")


def _report(key: UUID | str) -> Report:
    report: Report = own_or_404(build.visible(visibility.scopes()), key)
    return report


def _presets() -> list[tuple[str, str, str]]:
    today = datetime.now(UTC).date()
    spans = ((name, label, snapshot.preset_days(name, today)) for name, label in snapshot.PRESETS.items())
    return [(name, label, f"{first} to {last}") for name, label, (first, last) in spans]


def _days(request: HttpRequest) -> tuple[date, date]:
    name = request.POST.get("period", "")
    if name in snapshot.PRESETS:
        return snapshot.preset_days(name, datetime.now(UTC).date())
    days = {}
    for field in ("first", "last"):
        try:
            days[field] = date.fromisoformat(request.POST.get(field, ""))
        except ValueError:
            raise Invalid({field: "is no day such as 2026-03-04: choose a period, or write both days"}) from None
    return days["first"], days["last"]


def _compared(report: Report) -> dict[str, Any]:
    same = report.is_same
    return {
        "same": None if same is None else badge("ok" if same else "error", "same" if same else "not the same"),
        "differs": again.differences(report),
    }
