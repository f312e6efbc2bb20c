"""Pages of requests for rights: made by one person, decided by another."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from audit.access import rights
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, time_column, time_tag
from audit.models import RightsRequest

DECISIONS = {
    "": ("pending", "waiting for a decision"),
    "granted": ("ok", "granted"),
    "declined": ("warning", "declined"),
}
PERMISSION = "audit.approve_rights"


@admin.register(RightsRequest)
class RightsRequestAdmin(ReadOnly):
    list_display = ("subject", "kind", "what", "asked_on", "asked_by", "state", "decided_by")
    list_filter = ("decision", "kind")
    views: ClassVar = {"<int:pk>/decide/": "decide"}

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            title=f"Rights of {row.get_kind_display()} {row.subject}",
            request_row=row,
            what=row.words,
            asked_at=time_tag(row.asked_at),
            decided_at=time_tag(row.decided_at),
            state=self.state(row),
            may_decide=rights.may_decide(row, request.user),
        )

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def act() -> None:
            row = RightsRequest.objects.filter(pk=pk, decision="").first()
            if row is None:
                raise Http404("Nothing waits for a decision here.")
            rights.decide(row, approve="approve" in request.POST, by=request.user.get_username())

        success, back = "It is decided, and that is recorded.", reverse("admin:audit_rightsrequest_change", args=[pk])
        return post_act(request, PERMISSION, act, success, back=back)

    what = column("rights", lambda row: row.words)
    asked_on = time_column("requested (UTC)", "asked_at")
    state = column("state", lambda row: badge(*DECISIONS[row.decision]))
