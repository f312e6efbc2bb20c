"""Compliance reports: asked for, watched while they are made, read, taken away, and made again to compare."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from audit import visibility
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, time_column
from audit.admin.evidence.exports import MAKE as MAKE_EXPORT
from audit.admin.evidence.exports import STATES, asker_of, begin, own_or_404
from audit.errors import AuditError, Invalid
from audit.models import Report
from audit.reports import build, period
from audit.reports import render as report_render
from audit.reports.packs import Unreadable, packs

MAKE = "audit.make_report"


@admin.register(Report)
class ReportAdmin(ReadOnly):
    """Reports, newest first; whoever has a scope sees those that were made with it."""

    list_display = ("state_badge", "covers", "about", "requested", "requested_by", "short_digest")
    list_display_links = ("covers",)
    change_list_template = "admin/audit/report/list.html"
    views: ClassVar = {
        "make/": "make",
        "<uuid:report_id>/act/": "act",
        "<uuid:report_id>/evidence/": "evidence",
        "<uuid:report_id>/report.<slug:kind>": "file",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return build.visible(visibility.sight()).defer("content", "beside")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context: dict[str, Any] = {"presets": _presets(), **(extra_context or {})}
        try:
            context["packs"] = list(packs().values())
        except Unreadable as error:
            context["problem"] = f"A set of controls cannot be read, so no report can be made. {error}."
        return super().changelist_view(request, context)

    def make_view(self, request: HttpRequest) -> HttpResponse:
        ask = lambda: build.ask(asker_of(request), *_asked(request), request.POST.getlist("pack"))  # noqa: E731
        return begin(request, MAKE, ask, back=reverse("admin:audit_report_changelist"), refusal="No report is made")

    def act_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Cancel a report, or make it again."""
        back, name = reverse("admin:audit_report_change", args=[report_id]), request.POST.get("act", "")
        if name == "cancel":
            return post_act(request, MAKE, lambda: self._cancel(request, report_id), back=back)
        ask = lambda: build.again(self._ready(report_id, name == "again"), asker_of(request))  # noqa: E731
        return begin(request, MAKE, ask, back=back, refusal="Nothing is made")

    def evidence_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Have the evidence of a report made: what was sealed in its period, under its checkpoint."""
        back = reverse("admin:audit_report_change", args=[report_id])
        ask = lambda: build.evidence(self._ready(report_id), asker_of(request))  # noqa: E731
        return begin(request, MAKE_EXPORT, ask, back=back, refusal="Nothing is made")

    def file_view(self, request: HttpRequest, report_id: UUID, kind: str) -> HttpResponse:
        report = self._viewed(request, report_id)
        if kind not in report_render.KINDS or report.state != "ready":
            raise Http404(f"There is no file {kind} of this report.")
        if kind == "pdf" and not report_render.has_pdf():
            messages.error(request, str(report_render.PdfMissing()))
            return redirect("admin:audit_report_change", report.pk)
        try:
            build.record("downloaded", report, asker_of(request), digest=report.digest, file=f"report.{kind}")
        except AuditError:
            return render(request, "pages/unrecorded.html", status=503)
        body = report_render.file(report, kind, site=request.build_absolute_uri("/").rstrip("/"))
        headers = {"Content-Disposition": f'attachment; filename="report-{report.first}-{report.last}.{kind}"'}
        return HttpResponse(body, content_type=report_render.KINDS[kind], headers=headers)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        report = self._viewed(request, object_id)
        context = {
            "title": f"Compliance report, {report.first} to {report.last}",
            "report": report,
            "state": self.state_badge(report),
            "under_way": report.state in Report.UNDER_WAY,
            "has_pdf": report_render.has_pdf(),
        }
        if report.state == "ready":
            try:
                build.record("viewed", report, asker_of(request), digest=report.digest)
            except AuditError:
                return render(request, "pages/unrecorded.html", status=503)
            context |= report_render.context(report) | _compared(report)
        return self.page(request, "detail", **context)

    def _viewed(self, request: HttpRequest, key: UUID | str) -> Report:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return _report(key)

    def _ready(self, report_id: UUID, is_known: bool = True) -> Report:
        report = _report(report_id)
        if not is_known or report.state != "ready":
            raise Http404("A report is cancelled, or once it is ready made again or bundled; nothing else.")
        return report

    def _cancel(self, request: HttpRequest, report_id: UUID) -> None:
        report = _report(report_id)
        if not build.cancel(report, asker_of(request)):
            messages.warning(request, f"The report is {report.state}: there was nothing to cancel.")

    state_badge = column("state", lambda report: badge(STATES[report.state], report.state), "state")
    covers = column(
        "period (UTC)",
        lambda report: f"{report.first} to {report.last}" + (" (again)" if report.again_of_id else ""),
        "first",
    )
    about = column("controls", lambda report: ", ".join(report.packs))
    requested = time_column("asked (UTC)", "requested_at")
    short_digest = column("SHA-256", lambda report: f"{report.digest[:16]}…" if report.digest else "—")


def _report(key: UUID | str) -> Report:
    report: Report = own_or_404(build.visible(visibility.sight()), key)
    return report


def _presets() -> list[tuple[str, str, str]]:
    today = datetime.now(UTC).date()
    spans = ((name, label, period.days(name, today)) for name, label in period.PRESETS.items())
    return [(name, label, f"{first} to {last}") for name, label, (first, last) in spans]


def _asked(request: HttpRequest) -> tuple[date, date]:
    name = request.POST.get("period", "")
    if name in period.PRESETS:
        return period.days(name, datetime.now(UTC).date())
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
