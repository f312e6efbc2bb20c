"""Legal holds: what is held, by whom and why; placed and released by those who may."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from audit.access import client
from audit.admin.base import ReadOnly
from audit.admin.display import badge, column, number, time_column, time_tag
from audit.admin.search import query_bar
from audit.errors import AuditError, Invalid
from audit.evidence import legal_holds
from audit.formats.grammar import Query
from audit.ingest.trail import Where
from audit.models import LegalHold, Record

PLACE = "audit.place_legalhold"


@admin.register(LegalHold)
class LegalHoldAdmin(ReadOnly):
    """Every hold that was ever placed, newest first."""

    list_display = ("correlation_id", "state", "reason", "placed", "placed_by", "released", "released_by")
    search_fields = ("correlation_id",)
    search_help_text = "A correlation, or a part of it"
    change_list_template = "admin/audit/legalhold/list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("place/", view(self.place_view), name="audit_legalhold_place"),
            path("<int:pk>/release/", view(self.release_view), name="audit_legalhold_release"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LegalHold]:
        return legal_holds.visible()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self._found(number(object_id))
        context = {
            **self._page(request, found.correlation_id),
            "title": f"Hold on {found.correlation_id}",
            "found": found,
            "placed_at": time_tag(found.placed_at),
            "released_at": time_tag(found.released_at),
            "state": self.state(found),
            "may_release": found.released_at is None and request.user.has_perm(PLACE),
        }
        return TemplateResponse(request, "admin/audit/legalhold/detail.html", context)

    def place_view(self, request: HttpRequest) -> HttpResponse:
        """Say why, and hold; the act is recorded first."""
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        correlation, reason = given.get("correlation", "").replace("\x00", "\ufffd").strip(), given.get("reason", "")
        if request.method == "POST":
            try:
                placed = legal_holds.place(
                    correlation, reason=reason, by=request.user.get_username(), where=_where(request)
                )
            except (AuditError, Invalid) as error:
                messages.error(request, f"Nothing is held: {_words(error)}")
            else:
                messages.success(request, "It is held, and that is recorded.")
                return redirect("admin:audit_legalhold_change", placed.pk)
        context = {
            **self._page(request, correlation),
            "title": "Place a legal hold",
            "reason": reason,
            "reason_max": legal_holds.REASON_MAX,
        }
        return TemplateResponse(request, "admin/audit/legalhold/place.html", context)

    def release_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what ended, and release; the act is recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        reason, by = request.POST.get("reason", ""), request.user.get_username()
        try:
            legal_holds.release(self._found(pk).correlation_id, reason=reason, by=by, where=_where(request))
        except (AuditError, Invalid) as error:
            messages.error(request, f"Nothing is released: {_words(error)}")
        else:
            messages.success(request, "It is released, and that is recorded.")
        return redirect("admin:audit_legalhold_change", pk)

    def _found(self, pk: int) -> LegalHold:
        found = legal_holds.visible().filter(pk=pk).first()
        if found is None:
            raise Http404("There is no such hold.")
        return found

    def _page(self, request: HttpRequest, correlation: str) -> dict[str, Any]:
        of_it = Record.objects.filter(correlation_id=correlation)
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "correlation": correlation,
            "records": of_it.count() if correlation else None,
            "search": query_bar.address(Query().with_term("correlation", correlation)) if correlation else "",
        }

    placed = time_column("placed (UTC)", "placed_at")
    released = column(
        "released (UTC)", lambda found: time_tag(found.released_at) if found.released_at else "—", "released_at"
    )
    state = column("state", lambda found: badge("ok", "released") if found.released_at else badge("warning", "held"))


def _where(request: HttpRequest) -> Where:
    return Where(address=client.address(request))


def _words(error: AuditError | Invalid) -> str:
    return "; ".join(error.errors.values()) if isinstance(error, Invalid) else str(error)
