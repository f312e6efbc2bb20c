"""Signed statements: made from a query, listed, shown, and with the bundle that lets anybody check them."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from audit import visibility
from audit.admin.base import ReadOnly
from audit.admin.display import badge, time_tag
from audit.admin.evidence.exports import asker_of
from audit.errors import AuditError, Invalid
from audit.evidence import statements
from audit.models import Record, Statement
from audit.tasks import enqueue

PAGE = 50


@admin.register(Statement)
class StatementAdmin(ReadOnly):
    """The newest ones; each is a record as any other."""

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
        found = list(statements.made()[:PAGE])
        visibility.note_shown(one.pk for one in found)
        context = {
            **self.admin_site.each_context(request),
            "title": "Signed statements",
            "opts": self.opts,
            "asked": request.GET.get("q", "").replace("\x00", ""),
            "rows": [(one, time_tag(one.event_timestamp), _badge(one)) for one in found],
            "most": PAGE if len(found) == PAGE else None,
        }
        return TemplateResponse(request, "admin/audit/statement/list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("admin:audit_record_change", object_id)  # it is a record as any other

    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Count, sign and record."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.make_statement"):
            raise PermissionDenied
        try:
            made = statements.make(asker_of(request), request.POST.get("q", "").strip())
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is stated: {error}")
            return redirect("admin:audit_statement_changelist")
        return redirect("admin:audit_statement_detail", made.resource_id)

    def detail_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """What is said, and the signed note to take away."""
        found = self._found(request, statement_id)
        context = {
            **self.admin_site.each_context(request),
            "title": "Signed statement",
            "opts": self.opts,
            "found": found,
            "said": found.event_data,
            "last": found.event_data["last"] - 1,
            "made": time_tag(found.event_timestamp),
            "badge": _badge(found),
        }
        return TemplateResponse(request, "admin/audit/statement/detail.html", context)

    def note_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """The signed note, for verify.py."""
        found = self._found(request, statement_id)
        response = HttpResponse(found.event_data["note"], content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="statement-{found.resource_id}.txt"'
        return response

    def bundle_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """Begin the bundle of all leaves that it is about."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.make_export"):
            raise PermissionDenied
        try:
            begun = statements.bundle(self._found(request, statement_id), asker_of(request))
        except (Invalid, AuditError) as error:
            messages.error(request, f"Nothing is exported: {error}")
            return redirect("admin:audit_statement_detail", statement_id)
        enqueue(begun)
        return redirect("admin:audit_export_change", begun.pk)

    def _found(self, request: HttpRequest, statement_id: UUID) -> Record:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return statements.get(statement_id)
        except Record.DoesNotExist:
            raise Http404(f"There is no statement {statement_id}.") from None


def _badge(found: Record) -> Any:
    count = found.event_data["found"]
    return badge("warning", f"{count:,} found") if count else badge("ok", "none found")
