"""Legal holds: what is held, by whom and why; placed by one person, released by two."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audit.access import client
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, time_column, time_tag
from audit.admin.search import query_bar
from audit.errors import AuditError, Invalid
from audit.formats import grammar, times
from audit.ingest.trail import Where
from audit.models import LegalHold, LegalHoldQuerySet
from audit.retention import legal_holds
from audit.retention.legal_holds import Named

PLACE = "audit.place_legalhold"
# What the form calls each thing that may be named; the address of a record's page names its correlation.
FIELDS = {"correlation": "correlation_id", **{name: name for name in ("actor", "resource", "writer", "category")}}
TIMES = ("since", "before")


@admin.register(LegalHold)
class LegalHoldAdmin(ReadOnly):
    list_display = ("held", "matter", "state", "reason", "placed", "placed_by", "released", "released_by")
    search_fields = ("matter", "correlation_id", "actor", "resource", "writer", "category")
    search_help_text = "A matter, or a part of what is held"
    change_list_template = "admin/audit/legalhold/list.html"
    views: ClassVar[dict[str, str]] = {"place/": "place", "<int:pk>/release/": "release"}

    def get_queryset(self, request: HttpRequest) -> LegalHoldQuerySet:
        return legal_holds.visible().select_related("release")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        hold = self.row_or_404(request, object_id)
        asked = hold.release_requests.filter(decision=None).first()
        return self.page(
            request,
            "detail",
            **_covered(legal_holds.named(hold)),
            title=f"Hold on {self.held(hold)}",
            hold=hold,
            held=self.held(hold),
            placed_at=time_tag(hold.placed_at),
            released_at=time_tag(hold.released_at),
            state=self.state(hold),
            asked=asked,
            may_release=hold.released is None and asked is None and request.user.has_perm(PLACE),
        )

    def place_view(self, request: HttpRequest) -> HttpResponse:
        """The form, how much it covers now, and the act. A form that is refused keeps what was written."""
        if not request.user.has_perm(PLACE):
            raise PermissionDenied
        sent = request.POST if request.method == "POST" else request.GET
        given = {
            name: sent.get(name, "").replace("\x00", "\ufffd").strip() for name in (*FIELDS, *TIMES, "matter", "reason")
        }
        refused, named = "", Named()
        try:
            named = _named(given)
            if "place" in request.POST:
                return self._place(request, named, given)
        except AuditError as error:
            refused = "; ".join(error.errors.values()) if isinstance(error, Invalid) else str(error)
            messages.error(request, f"Nothing is held: {refused}")
        context = {**_covered(named), **given, "reason_max": legal_holds.REASON_MAX}
        return self.page(request, "place", title="Place a legal hold", **context)

    def _place(self, request: HttpRequest, named: Named, given: dict[str, str]) -> HttpResponse:
        if not given["matter"]:
            raise Invalid({"matter": "name the matter: a case, an audit, an incident"})
        by, where = request.user.get_username(), Where(address=client.address(request))
        hold = legal_holds.place(named, reason=given["reason"], matter=given["matter"], by=by, where=where)
        messages.success(request, "It is held, and that is recorded.")
        return redirect("admin:audit_legalhold_change", hold.pk)

    def release_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def ask() -> HttpResponse:
            hold, by = self.row_or_404(request, pk), request.user.get_username()
            where = Where(address=client.address(request))
            try:
                asked = legal_holds.ask_release(hold, reason=request.POST.get("reason", ""), by=by, where=where)
            except Invalid as error:  # the form has one field: its name says nothing
                raise AuditError("; ".join(error.errors.values())) from None
            return redirect("admin:audit_retentionrequest_change", asked.pk)

        success = "The release is requested, and that is recorded: a second person has to approve it."
        back = reverse("admin:audit_legalhold_change", args=[pk])
        return post_act(request, PLACE, ask, success, back=back, refusal="Nothing is requested")

    held = column("held", lambda hold: grammar.text(legal_holds.named(hold).query()))
    placed = time_column("placed (UTC)", "placed_at")
    released = time_column("released (UTC)", "released_at", sortable=False)
    released_by = column("released by", lambda hold: hold.released.released_by if hold.released else "—")
    state = column("state", lambda hold: badge("ok", "released") if hold.released else badge("warning", "held"))


def _named(given: dict[str, str]) -> Named:
    """What the form names. Raises `Invalid`."""
    moments: dict[str, datetime | None] = {}
    for name in TIMES:
        try:
            moments[name] = times.read_time(given[name]) if given[name] else None
        except ValueError as error:
            raise Invalid({name: f"{given[name]!r} {error}"}) from None
    texts: Any = {column: given[name] for name, column in FIELDS.items()}
    return Named(**texts, since=moments["since"], before=moments["before"])


def _covered(named: Named) -> dict[str, Any]:
    """The search for what is named, and how many records it finds now."""
    if named == Named():
        return {"counted": None, "search": "", "is_named": False}
    counted = legal_holds.how_many(named)
    return {"counted": counted, "search": query_bar.address(named.query()), "is_named": True}
