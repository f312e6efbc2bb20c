"""Legal holds: what is held, by whom and why; placed and released by those who may."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect

from audit.access import client
from audit.admin.base import ReadOnly
from audit.admin.display import badge, column, time_column, time_tag
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

    views: ClassVar = {"place/": "place", "<int:pk>/release/": "release"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[LegalHold]:
        return legal_holds.visible()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        hold = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            **_correlation_context(hold.correlation_id),
            title=f"Hold on {hold.correlation_id}",
            found=hold,
            placed_at=time_tag(hold.placed_at),
            released_at=time_tag(hold.released_at),
            state=self.state(hold),
            may_release=hold.released_at is None and request.user.has_perm(PLACE),
        )

    def place_view(self, request: HttpRequest) -> HttpResponse:
        """Say why, and hold; the act is recorded first."""
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        correlation, reason = given.get("correlation", "").replace("\x00", "\ufffd").strip(), given.get("reason", "")
        if request.method == "POST":
            by, where = request.user.get_username(), Where(address=client.address(request))
            try:
                placed = legal_holds.place(correlation, reason=reason, by=by, where=where)
            except AuditError as error:
                messages.error(request, f"Nothing is held: {_words(error)}")
            else:
                messages.success(request, "It is held, and that is recorded.")
                return redirect("admin:audit_legalhold_change", placed.pk)
        context = _correlation_context(correlation) | {"reason": reason, "reason_max": legal_holds.REASON_MAX}
        return self.page(request, "place", title="Place a legal hold", **context)

    def release_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what ended, and release; the act is recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        hold = get_object_or_404(self.get_queryset(request), pk=pk)
        reason, by = request.POST.get("reason", ""), request.user.get_username()
        try:
            legal_holds.release(hold.correlation_id, reason=reason, by=by, where=Where(address=client.address(request)))
        except AuditError as error:
            messages.error(request, f"Nothing is released: {_words(error)}")
        else:
            messages.success(request, "It is released, and that is recorded.")
        return redirect("admin:audit_legalhold_change", pk)

    placed = time_column("placed (UTC)", "placed_at")
    released = time_column("released (UTC)", "released_at")
    state = column("state", lambda hold: badge("ok", "released") if hold.released_at else badge("warning", "held"))


def _correlation_context(correlation: str) -> dict[str, Any]:
    return {
        "correlation": correlation,
        "records": Record.objects.filter(correlation_id=correlation).count() if correlation else None,
        "search": query_bar.address(Query().with_term("correlation", correlation)) if correlation else "",
    }


def _words(error: AuditError) -> str:
    return "; ".join(error.errors.values()) if isinstance(error, Invalid) else str(error)
