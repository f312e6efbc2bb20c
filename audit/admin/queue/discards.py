"""Discards: requested by one person, decided by another."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, time_column, time_tag
from audit.models import Discard
from audit.models.base import visible_raw
from audit.queue import discards

DECISIONS = {
    "": ("pending", "waiting for approval"),
    "discarded": ("warning", "discarded"),
    "discard_declined": ("ok", "declined"),
    "discard_withdrawn": ("ok", "withdrawn"),
}
PERMISSION, REQUEST_PERMISSION = "audit.approve_discard", "audit.retry_parked"


@admin.register(Discard)
class DiscardAdmin(ReadOnly):
    change_list_template = "admin/audit/discard/list.html"
    list_display = ("key", "kind", "source", "reason", "asked", "asked_by", "state", "decided_by")
    views: ClassVar = {"<int:pk>/decide/": "decide", "<int:pk>/withdraw/": "withdraw"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discard]:
        rows: QuerySet[Discard] = super().get_queryset(request)
        return rows.filter(visible_raw("source"))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        discard = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            title=f"Discard of {discard.key}",
            discard=discard,
            asked_at=time_tag(discard.asked_at),
            decided_at=time_tag(discard.decided_at),
            state=self.state(discard),
            may_decide=not discard.decision
            and request.user.has_perm(PERMISSION)
            and request.user.get_username() != discard.asked_by,
            may_withdraw=not discard.decision
            and request.user.has_perm(REQUEST_PERMISSION)
            and request.user.get_username() == discard.asked_by,
        )

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def act() -> None:
            discard = self._waiting_or_404(request, pk)
            discards.decide(discard, approve="approve" in request.POST, by=request.user.get_username())

        return post_act(request, PERMISSION, act, back=reverse("admin:audit_discard_change", args=[pk]))

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def act() -> None:
            discards.withdraw(self._waiting_or_404(request, pk), by=request.user.get_username())

        back = reverse("admin:audit_discard_change", args=[pk])
        return post_act(request, REQUEST_PERMISSION, act, "The request is withdrawn: the event stays.", back=back)

    def _waiting_or_404(self, request: HttpRequest, pk: int) -> Discard:
        discard = self.get_queryset(request).filter(pk=pk, decision="").first()
        if discard is None:
            raise Http404("Nothing waits for a decision here.")
        return discard

    asked = time_column("requested (UTC)", "asked_at")
    state = column("state", lambda discard: badge(*DECISIONS[discard.decision]))
