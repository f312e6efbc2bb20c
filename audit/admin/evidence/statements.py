"""Signed statements: made from a query, listed, shown, and the bundles that let anybody check them."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from audit import visibility
from audit.admin.base import ReadOnly, post_only
from audit.admin.display import badge, time_tag
from audit.admin.evidence.exports import requester_of
from audit.errors import AuditError, Invalid
from audit.evidence import statements
from audit.models import Record, Statement
from audit.tasks import enqueue

ROWS_PER_PAGE = 50


@admin.register(Statement)
class StatementAdmin(ReadOnly):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("make/", wrap(self.make_view), name="audit_statement_make"),
            path("<uuid:statement_id>/", wrap(self.detail_view), name="audit_statement_detail"),
            path("<uuid:statement_id>/note/", wrap(self.note_view), name="audit_statement_note"),
            path("<uuid:statement_id>/bundle/", wrap(self.bundle_view), name="audit_statement_bundle"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        newest = list(statements.newest_first()[:ROWS_PER_PAGE])
        visibility.show(statement.pk for statement in newest)
        context = {
            **self.admin_site.each_context(request),
            "title": "Signed statements",
            "opts": self.opts,
            "asked": request.GET.get("q", "").replace("\x00", ""),
            "rows": [(statement, time_tag(statement.event_timestamp), _badge(statement)) for statement in newest],
            "most": ROWS_PER_PAGE if len(newest) == ROWS_PER_PAGE else None,
        }
        return TemplateResponse(request, "admin/audit/statement/list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("admin:audit_record_change", object_id)  # it is a record as any other

    @post_only("audit.make_statement")
    def make_view(self, request: HttpRequest) -> HttpResponse:
        try:
            made = statements.make(requester_of(request), request.POST.get("q", "").strip())
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is stated: {error}")
            return redirect("admin:audit_statement_changelist")
        return redirect("admin:audit_statement_detail", made.resource_id)

    def detail_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        statement = self._get(request, statement_id)
        context = {
            **self.admin_site.each_context(request),
            "title": "Signed statement",
            "opts": self.opts,
            "statement": statement,
            "last": statement.event_data["last"] - 1,
            "made": time_tag(statement.event_timestamp),
            "badge": _badge(statement),
        }
        return TemplateResponse(request, "admin/audit/statement/detail.html", context)

    def note_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """The signed note, for verify.py."""
        statement = self._get(request, statement_id)
        response = HttpResponse(statement.event_data["note"], content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="statement-{statement.resource_id}.txt"'
        return response

    @post_only("audit.make_export")
    def bundle_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """Begin the bundle of all leaves that the statement is about."""
        try:
            begun = statements.request_bundle(self._get(request, statement_id), requester_of(request))
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is exported: {error}")
            return redirect("admin:audit_statement_detail", statement_id)
        enqueue(begun)
        return redirect("admin:audit_export_change", begun.pk)

    def _get(self, request: HttpRequest, statement_id: UUID) -> Record:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return statements.get(statement_id)
        except Record.DoesNotExist:
            raise Http404(f"There is no statement {statement_id}.") from None


def _badge(statement: Record) -> Any:
    count = statement.event_data["found"]
    return badge("warning", f"{count:,} found") if count else badge("ok", "none found")
