"""Signed statements: made from a query, listed, shown, and the bundles that let anybody check them."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audit import visibility
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import time_tag
from audit.admin.evidence.exports import MAKE as MAKE_EXPORT
from audit.admin.evidence.exports import begun, requester_of
from audit.completeness import summary
from audit.evidence import statements
from audit.models import Record, RedactionRule, Statement

ROWS_PER_PAGE = 50


@admin.register(Statement)
class StatementAdmin(ReadOnly):
    views: ClassVar[dict[str, str]] = {
        "make/": "make",
        "<uuid:statement_id>/": "detail",
        "<uuid:statement_id>/note/": "note",
        "<uuid:statement_id>/bundle/": "bundle",
    }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        newest = list(statements.newest_first()[:ROWS_PER_PAGE])
        visibility.note_shown(statement.pk for statement in newest)
        return self.page(
            request,
            "list",
            title="Signed statements",
            asked=request.GET.get("q", "").replace("\x00", ""),
            rows=[(statement, time_tag(statement.event_timestamp), _badge(statement)) for statement in newest],
            most=ROWS_PER_PAGE if len(newest) == ROWS_PER_PAGE else None,
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("admin:audit_record_change", object_id)  # it is a record as any other

    def make_view(self, request: HttpRequest) -> HttpResponse:
        def make() -> HttpResponse:
            statement = statements.make(requester_of(request), request.POST.get("q", "").strip())
            return redirect("admin:audit_statement_detail", statement.resource_id)

        back = reverse("admin:audit_statement_changelist")
        return post_act(request, "audit.make_statement", make, back=back, refusal="Nothing is stated")

    def detail_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        statement = self._get(request, statement_id)
        return self.page(
            request,
            "detail",
            title="Signed statement",
            statement=statement,
            last=statement.event_data["last"] - 1,
            made=time_tag(statement.event_timestamp),
            badge=_badge(statement),
            missing=summary.summarize().causes if request.user.has_perm("audit.view_gap") else [],
            redacts=RedactionRule.objects.filter(active=True).exists(),
        )

    def note_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        statement = self._get(request, statement_id)
        headers = {"Content-Disposition": f'attachment; filename="statement-{statement.resource_id}.txt"'}
        return HttpResponse(statement.event_data["note"], content_type="text/plain; charset=utf-8", headers=headers)

    def bundle_view(self, request: HttpRequest, statement_id: UUID) -> HttpResponse:
        def begin() -> HttpResponse:
            statement, unredacted = self._get(request, statement_id), "unredacted" in request.POST
            return begun(statements.request_bundle(statement, requester_of(request), unredacted=unredacted))

        back = reverse("admin:audit_statement_detail", args=[statement_id])
        return post_act(request, MAKE_EXPORT, begin, back=back, refusal="Nothing is exported")

    def _get(self, request: HttpRequest, statement_id: UUID) -> Record:
        self.require_view(request)
        try:
            return statements.get(statement_id)
        except Record.DoesNotExist:
            raise Http404(f"There is no statement {statement_id}.") from None


def _badge(statement: Record) -> str:
    count = statement.event_data["found"]
    return f"{count:,} found" if count else "none found"
