"""Compliance reports: asked for, watched while they are made, read, taken away, and made again to compare."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from audit import visibility
from audit.admin.base import ReadOnly
from audit.admin.display import badge, time_tag
from audit.admin.evidence.exports import STATES, asker_of
from audit.errors import AuditError, Invalid
from audit.evidence.request import Asker
from audit.models import Export, Report
from audit.reports import build, period
from audit.reports import render as report_render
from audit.reports.packs import Unreadable, packs
from audit.tasks import enqueue

Ask = Callable[[Report, Asker], Report | Export]


@admin.register(Report)
class ReportAdmin(ReadOnly):
    """Reports, newest first; whoever has a scope sees those that were made with it."""

    list_display = ("state_badge", "covers", "about", "requested", "requested_by", "short_digest")
    list_display_links = ("covers",)
    change_list_template = "admin/audit/report/list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return build.visible(visibility.scopes()).defer("content", "beside")

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
            context["packs"] = list(packs().values())
        except Unreadable as error:
            context["problem"] = f"A set of controls cannot be read, so no report can be made. {error}."
        return super().changelist_view(request, context)

    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a report."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        _require(request)
        try:
            first, last = _asked(request)
            begun = build.ask(asker_of(request), first, last, request.POST.getlist("pack"))
        except (Invalid, Unreadable, AuditError) as error:
            messages.error(request, f"No report is made: {error}")
            return redirect("admin:audit_report_changelist")
        enqueue(begun)
        return redirect("admin:audit_report_change", begun.pk)

    def act_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Cancel a report, or make it again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        _require(request)
        found, act = self._found(request, report_id), request.POST.get("act", "")
        if act == "cancel":
            if not build.cancel(found, asker_of(request)):
                messages.warning(request, f"The report is {found.state}: there was nothing to cancel.")
            return redirect("admin:audit_report_change", found.pk)
        if act != "again" or found.state != "ready":
            raise Http404("A report is cancelled, or made again once it is ready; nothing else.")
        return self._begin(request, found, build.again, "admin:audit_report_change")

    def evidence_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Have the evidence of a report made: what was sealed in its period, under its checkpoint."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.make_export"):
            raise PermissionDenied
        found = self._found(request, report_id)
        if found.state != "ready":
            raise Http404("There is evidence of a report once it is ready.")
        return self._begin(request, found, build.evidence, "admin:audit_export_change")

    def _begin(self, request: HttpRequest, found: Report, ask: Ask, page: str) -> HttpResponse:
        try:
            begun = ask(found, asker_of(request))
        except (Invalid, Unreadable, AuditError) as error:
            messages.error(request, f"Nothing is made: {error}")
            return redirect("admin:audit_report_change", found.pk)
        enqueue(begun)
        return redirect(page, begun.pk)

    def file_view(self, request: HttpRequest, report_id: UUID, kind: str) -> HttpResponse:
        """The report as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self._found(request, report_id)
        if kind not in report_render.KINDS or found.state != "ready":
            raise Http404(f"There is no file {kind} of this report.")
        if kind == "pdf" and not report_render.has_pdf():
            messages.error(request, str(report_render.PdfMissing()))
            return redirect("admin:audit_report_change", found.pk)
        try:
            build.record("downloaded", found, asker_of(request), digest=found.digest, file=f"report.{kind}")
        except AuditError:
            return render(request, "pages/unrecorded.html", status=503)
        name = f"report-{found.first}-{found.last}.{kind}"
        body = report_render.file(found, kind, site=request.build_absolute_uri("/").rstrip("/"))
        response = HttpResponse(body, content_type=report_render.KINDS[kind])
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self._found(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Compliance report, {found.first} to {found.last}",
            "report": found,
            "state": self.state_badge(found),
            "under_way": found.state in Report.UNDER_WAY,
            "has_pdf": report_render.has_pdf(),
        }
        if found.state == "ready":
            try:
                build.record("viewed", found, asker_of(request), digest=found.digest)
            except AuditError:
                return render(request, "pages/unrecorded.html", status=503)
            context |= report_render.context(found) | _compared(found)
        return TemplateResponse(request, "admin/audit/report/detail.html", context)

    def _found(self, request: HttpRequest, key: UUID | str) -> Report:
        try:
            found = build.visible(visibility.scopes()).filter(pk=UUID(str(key))).first()
        except ValueError:
            found = None
        if found is None:
            raise Http404(f"There is no compliance report {key} for you.")
        return found

    @admin.display(description="state", ordering="state")
    def state_badge(self, found: Report) -> SafeString:
        return badge(STATES[found.state], found.state)

    @admin.display(description="period (UTC)", ordering="first")
    def covers(self, found: Report) -> str:
        return f"{found.first} to {found.last}" + (" (again)" if found.again_of_id else "")

    @admin.display(description="controls")
    def about(self, found: Report) -> str:
        return ", ".join(found.packs)

    @admin.display(description="asked (UTC)", ordering="requested_at")
    def requested(self, found: Report) -> SafeString | str:
        return time_tag(found.requested_at)

    @admin.display(description="SHA-256")
    def short_digest(self, found: Report) -> str:
        return f"{found.digest[:16]}…" if found.digest else "—"


def _require(request: HttpRequest) -> None:
    if not request.user.has_perm("audit.make_report"):
        raise PermissionDenied


def _presets() -> list[tuple[str, str, str]]:
    today = datetime.now(UTC).date()
    spans = ((name, label, period.days(name, today)) for name, label in period.PRESETS.items())
    return [(name, label, f"{first} to {last}") for name, label, (first, last) in spans]


def _asked(request: HttpRequest) -> tuple[date, date]:
    name = request.POST.get("period", "")
    if name in period.PRESETS:
        return period.days(name, datetime.now(UTC).date())
    found = {}
    for field in ("first", "last"):
        try:
            found[field] = date.fromisoformat(request.POST.get(field, ""))
        except ValueError:
            raise Invalid({field: "is no day such as 2026-03-04: choose a period, or write both days"}) from None
    return found["first"], found["last"]


def _compared(found: Report) -> dict[str, Any]:
    same = found.is_same
    return {
        "same": None if same is None else badge("ok" if same else "error", "same" if same else "not the same"),
        "differs": build.differences(found),
    }
