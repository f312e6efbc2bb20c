"""Legal holds: what is held, by whom and why; placed and released."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audit.access import client
from audit.admin.base import ReadOnly, post_act
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
    list_display = ("correlation_id", "state", "reason", "placed", "placed_by", "released", "released_by")
    search_fields = ("correlation_id",)
    search_help_text = "A correlation, or a part of it"
    change_list_template = "admin/audit/legalhold/list.html"
    views: ClassVar[dict[str, str]] = {"place/": "place", "<int:pk>/release/": "release"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[LegalHold]:
        return legal_holds.visible()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        hold = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            **_correlation(hold.correlation_id),
            title=f"Hold on {hold.correlation_id}",
            hold=hold,
            placed_at=time_tag(hold.placed_at),
            released_at=time_tag(hold.released_at),
            state=self.state(hold),
            may_release=hold.released_at is None and request.user.has_perm(PLACE),
        )

    def place_view(self, request: HttpRequest) -> HttpResponse:
        """The form, and the act. A form that is refused keeps what was written."""
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        correlation, reason = given.get("correlation", "").replace("\x00", "\ufffd").strip(), given.get("reason", "")
        if request.method == "POST":
            by, where = request.user.get_username(), Where(address=client.address(request))
            try:
                hold = legal_holds.place(correlation, reason=reason, by=by, where=where)
            except AuditError as error:
                words = "; ".join(error.errors.values()) if isinstance(error, Invalid) else str(error)
                messages.error(request, f"Nothing is held: {words}")
            else:
                messages.success(request, "It is held, and that is recorded.")
                return redirect("admin:audit_legalhold_change", hold.pk)
        context = {**_correlation(correlation), "reason": reason, "reason_max": legal_holds.REASON_MAX}
        return self.page(request, "place", title="Place a legal hold", **context)

    def release_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def release() -> None:
            correlation, by = self.row_or_404(request, pk).correlation_id, request.user.get_username()
            where = Where(address=client.address(request))
            try:
                legal_holds.release(correlation, reason=request.POST.get("reason", ""), by=by, where=where)
            except Invalid as error:  # the form has one field: its name says nothing
                raise AuditError("; ".join(error.errors.values())) from None

        success, back = "It is released, and that is recorded.", reverse("admin:audit_legalhold_change", args=[pk])
        return post_act(request, PLACE, release, success, back=back, refusal="Nothing is released")

    placed = time_column("placed (UTC)", "placed_at")
    released = time_column("released (UTC)", "released_at")
    state = column("state", lambda hold: badge("ok", "released") if hold.released_at else badge("warning", "held"))


def _correlation(correlation: str) -> dict[str, Any]:
    records = Record.objects.filter(correlation_id=correlation)
    return {
        "correlation": correlation,
        "records": records.count() if correlation else None,
        "search": query_bar.address(Query().with_term("correlation", correlation)) if correlation else "",
    }
