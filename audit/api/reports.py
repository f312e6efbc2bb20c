"""Compliance reports over HTTP: request, state, download, and their evidence."""

from datetime import date
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api import throttles
from audit.api.base import begun, members
from audit.api.evidence.exports import EXPORTS_PATH, ExportsApi, shown
from audit.api.openapi import reports
from audit.errors import Invalid, Unavailable
from audit.evidence.request import record_act
from audit.formats.times import timestamp_text
from audit.models import Report
from audit.reports import build, render
from audit.reports.packs import UnreadablePack


class ReportsApi(ExportsApi):
    """Reports that the writer whose key it is has asked for."""

    def report(self, report_id: UUID) -> Report:
        requester = self.requester()
        report = build.visible(requester.sight).filter(pk=report_id, requested_by=requester.name).first()
        if report is None:
            raise NotFound("No compliance report of this writer has this id.")
        return report


class ReportsView(ReportsApi):
    """Ask for a report."""

    @extend_schema(**reports.POST_REPORT)
    def post(self, request: Request) -> Response:
        first, last, names = _members(request.data)
        try:
            report = build.request(self.requester(), first, last, names)
        except UnreadablePack as error:
            raise Unavailable(f"A set of controls cannot be read, so no report can be made: {error}") from None
        return begun(report, _shown(report), request.path)


class ReportView(ReportsApi):
    """How far a report is."""

    @extend_schema(**reports.GET_REPORT)
    def get(self, request: Request, report_id: UUID) -> Response:
        return Response(_shown(self.report(report_id)))


class ReportFileView(ReportsApi):
    """The report as a file."""

    @extend_schema(**reports.GET_REPORT_FILE)
    def get(self, request: Request, report_id: UUID, name: str) -> HttpResponseBase:
        report, kind = self.report(report_id), name.removeprefix("report.")
        if kind not in render.KINDS or not name.startswith("report."):
            raise NotFound(f"There is no file {name!r} of a report, but report.json, report.html and report.pdf.")
        if report.state != "ready":
            raise Invalid({"report_id": f"this report is {report.state}: only one that is ready can be fetched"})
        if kind == "pdf" and not render.has_pdf():
            raise Unavailable(str(render.PdfMissing()))
        record_act("downloaded", report, self.requester(), digest=report.digest, file=name)
        body = render.file(report, kind, site=request.build_absolute_uri("/").rstrip("/"))
        return HttpResponse(body, content_type=render.KINDS[kind])


class ReportBundleView(ReportsApi):
    """Begin the evidence bundle of a report."""

    @extend_schema(**reports.POST_REPORT_BUNDLE)
    def post(self, request: Request, report_id: UUID) -> Response:
        throttles.check_exports(request)
        report = self.report(report_id)
        if report.state != "ready":
            raise Invalid({"report_id": f"this report is {report.state}: there is evidence of one that is ready"})
        bundle = build.request_evidence(report, self.requester())
        return begun(bundle, shown(bundle), EXPORTS_PATH)


def _members(document: Any) -> tuple[date, date, list[str]]:
    given, errors = members(document, reports.MEMBERS)
    days = {}
    for name in ("first", "last"):
        try:
            days[name] = date.fromisoformat(given.get(name, ""))
        except (TypeError, ValueError):
            errors[name] = "is required: a day such as 2026-03-04, UTC"
    names = given.get("packs")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        errors["packs"] = "is required: a list of names of sets of controls"
    if errors:
        raise Invalid(errors)
    return days["first"], days["last"], list(names or [])


def _shown(report: Report) -> dict[str, Any]:
    is_ready = report.state == "ready"
    return {
        "report_id": str(report.pk),
        "state": report.state,
        "first": report.first.isoformat(),
        "last": report.last.isoformat(),
        "packs": report.packs,
        "checkpoint": report.checkpoint,
        "done": report.done,
        "of": report.total,
        "requested_at": timestamp_text(report.requested_at),
        "error": report.error,
        "digest": report.digest,
        "files": [f"report.{kind}" for kind in render.KINDS if kind != "pdf" or render.has_pdf()] if is_ready else [],
    }
