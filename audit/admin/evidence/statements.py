"""Signed statements: made from a query, listed, shown, and with the bundle that lets anybody check them."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audit import visibility
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, time_tag
from audit.admin.evidence.exports import MAKE as MAKE_EXPORT
from audit.admin.evidence.exports import asker_of, begin
from audit.evidence import statements
from audit.models import Record, Statement

PAGE = 50


@admin.register(Statement)
class StatementAdmin(ReadOnly):
    """The newest ones; each is a record as any other."""

    views: ClassVar = {
        "make/": "make",
        "<uuid:statement_id>/": "detail",
        "<uuid:statement_id>/note/": "note",
        "<uuid:statement_id>/bundle/": "bundle",
    }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        records = list(statements.made()[:PAGE])
        visibility.show(record.pk for record in records)
        return self.page(
            request,
            "list",
            title="Signed statements",
            asked=request.GET.get("q", "").replace("\x00", ""),
            rows=[(record, time_tag(record.event_timestamp), _badge(record)) for record in records],
            most=PAGE if len(records) == PAGE else None,
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("admin:audit_record_change", object_id)  # it is a record as any other

    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Count, sign and record."""

        def act() -> HttpResponse:
            made = statements.make(asker_of(request), request.POST.get("q", "").strip())
            return redirect("admin:audit_statement_detail", made.resource_id)

        back = reverse("admin:audit_statement_changelist")
        return post_act(request, "audit.make_statement", act, back=back, refusal="Nothing is stated")

    def detail_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """Show what is stated, and the signed note to take away."""
        record = self._statement(request, statement_id)
        return self.page(
            request,
            "detail",
            title="Signed statement",
            found=record,
            said=record.event_data,
            last=record.event_data["last"] - 1,
            made=time_tag(record.event_timestamp),
            badge=_badge(record),
        )

    def note_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """Download the signed note, for verify.py."""
        record = self._statement(request, statement_id)
        headers = {"Content-Disposition": f'attachment; filename="statement-{record.resource_id}.txt"'}
        return HttpResponse(record.event_data["note"], content_type="text/plain; charset=utf-8", headers=headers)

    def bundle_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        """Begin the bundle of all leaves that it is about."""
        back = reverse("admin:audit_statement_detail", args=[statement_id])
        ask = lambda: statements.bundle(self._statement(request, statement_id), asker_of(request))  # noqa: E731
        return begin(request, MAKE_EXPORT, ask, back=back, refusal="Nothing is exported")

    def _statement(self, request: HttpRequest, statement_id: UUID) -> Record:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return statements.get(statement_id)
        except Record.DoesNotExist:
            raise Http404(f"There is no statement {statement_id}.") from None


def _badge(record: Record) -> Any:
    count = record.event_data["found"]
    return badge("warning", f"{count:,} found") if count else badge("ok", "none found")
