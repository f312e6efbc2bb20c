"""Compliance reports: asked for, watched while they are made, read, downloaded, and repeated to compare."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from audit import visibility
from audit.admin.base import ReadOnly, post_only
from audit.admin.display import badge, time_tag
from audit.admin.evidence.exports import MAKE as MAKE_EXPORT
from audit.admin.evidence.exports import STATES, requester_of
from audit.errors import AuditError, Invalid
from audit.evidence.request import Requester, record_act
from audit.models import Export, Report
from audit.reports import build, packs, snapshot
from audit.reports import render as report_render
from audit.reports.packs import UnreadablePack
from audit.tasks import enqueue

MAKE = "audit.make_report"
Begin = Callable[[Report, Requester], Report | Export]


@admin.register(Report)
class ReportAdmin(ReadOnly):
    """A viewer with scopes sees the reports that were made with the same ones."""

    list_display = ("state_badge", "covers", "about", "requested", "requested_by", "short_digest")
    list_display_links = ("covers",)
    change_list_template = "admin/audit/report/list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return build.visible(visibility.sight()).defer("content", "beside")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("make/", wrap(self.make_view), name="audit_report_make"),
            path("<uuid:report_id>/act/", wrap(self.act_view), name="audit_report_act"),
            path("<uuid:report_id>/evidence/", wrap(self.evidence_view), name="audit_report_evidence"),
            path("<uuid:report_id>/report.<slug:kind>", wrap(self.file_view), name="audit_report_file"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context: dict[str, Any] = {"presets": _presets(), **(extra_context or {})}
        try:
            context["packs"] = list(packs.load().values())
        except UnreadablePack as error:
            context["problem"] = f"A set of controls cannot be read, so no report can be made. {error}."
        return super().changelist_view(request, context)

    @post_only(MAKE)
    def make_view(self, request: HttpRequest) -> HttpResponse:
        try:
            first, last = _days(request)
            begun = build.request(requester_of(request), first, last, request.POST.getlist("pack"))
        except (Invalid, AuditError) as error:
            messages.error(request, f"No report is made: {error}")
            return redirect("admin:audit_report_changelist")
        enqueue(begun)
        return redirect("admin:audit_report_change", begun.pk)

    @post_only(MAKE)
    def act_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Cancel a report, or repeat it."""
        report, act = self._get(request, report_id), request.POST.get("act", "")
        if act == "cancel":
            if not build.cancel(report, requester_of(request)):
                messages.warning(request, f"The report is {report.state}: there was nothing to cancel.")
            return redirect("admin:audit_report_change", report.pk)
        if act != "again" or report.state != "ready":
            raise Http404("A report is cancelled, or made again once it is ready; nothing else.")
        return self._begin(request, report, build.repeat, "admin:audit_report_change")

    @post_only(MAKE_EXPORT)
    def evidence_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Begin the evidence bundle of a report."""
        report = self._get(request, report_id)
        if report.state != "ready":
            raise Http404("There is evidence of a report once it is ready.")
        return self._begin(request, report, build.request_evidence, "admin:audit_export_change")

    def _begin(self, request: HttpRequest, report: Report, begin: Begin, page: str) -> HttpResponse:
        try:
            begun = begin(report, requester_of(request))
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is made: {error}")
            return redirect("admin:audit_report_change", report.pk)
        enqueue(begun)
        return redirect(page, begun.pk)

    def file_view(self, request: HttpRequest, report_id: UUID, kind: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        report = self._get(request, report_id)
        if kind not in report_render.KINDS or report.state != "ready":
            raise Http404(f"There is no file {kind} of this report.")
        if kind == "pdf" and not report_render.has_pdf():
            messages.error(request, str(report_render.PdfMissing()))
            return redirect("admin:audit_report_change", report.pk)
        try:
            record_act("downloaded", report, requester_of(request), digest=report.digest, file=f"report.{kind}")
        except AuditError:
            return render(request, "pages/unrecorded.html", status=503)
        name = f"report-{report.first}-{report.last}.{kind}"
        body = report_render.file(report, kind, site=request.build_absolute_uri("/").rstrip("/"))
        response = HttpResponse(body, content_type=report_render.KINDS[kind])
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        report = self._get(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Compliance report, {report.first} to {report.last}",
            "report": report,
            "state": self.state_badge(report),
            "under_way": report.is_under_way,
            "has_pdf": report_render.has_pdf(),
        }
        if report.state == "ready":
            try:
                record_act("viewed", report, requester_of(request), digest=report.digest)
            except AuditError:
                return render(request, "pages/unrecorded.html", status=503)
            context |= report_render.context(report) | _compared(report)
        return TemplateResponse(request, "admin/audit/report/detail.html", context)

    def _get(self, request: HttpRequest, key: UUID | str) -> Report:
        try:
            report = build.visible(visibility.sight()).filter(pk=UUID(str(key))).first()
        except ValueError:
            report = None
        if report is None:
            raise Http404(f"There is no compliance report {key} for you.")
        return report

    @admin.display(description="state", ordering="state")
    def state_badge(self, report: Report) -> SafeString:
        return badge(STATES[report.state], report.state)

    @admin.display(description="period (UTC)", ordering="first")
    def covers(self, report: Report) -> str:
        return f"{report.first} to {report.last}" + (" (again)" if report.again_of_id else "")

    @admin.display(description="controls")
    def about(self, report: Report) -> str:
        return ", ".join(report.packs)

    @admin.display(description="asked (UTC)", ordering="requested_at")
    def requested(self, report: Report) -> SafeString | str:
        return time_tag(report.requested_at)

    @admin.display(description="SHA-256")
    def short_digest(self, report: Report) -> str:
        return f"{report.digest[:16]}…" if report.digest else "—"


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
        "differs": build.differences(report),
    }
