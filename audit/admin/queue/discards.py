"""Discards: asked for by one person, decided by another."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

import dlq.errors
from audit.admin.base import ReadOnly
from audit.admin.display import badge, number, time_tag
from audit.errors import AuditError
from audit.models import Discard
from audit.models.base import raw
from audit.queue import discards

DECISIONS = {
    "": ("pending", "asked for"),
    "discarded": ("warning", "discarded"),
    "discard_declined": ("ok", "declined"),
}


@admin.register(Discard)
class DiscardAdmin(ReadOnly):
    """All that was ever asked for, newest first."""

    list_display = ("key", "kind", "source", "reason", "asked", "asked_by", "state", "decided_by")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        return [path("<int:pk>/decide/", view, name="audit_discard_decide"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discard]:
        """Of the events that may be seen."""
        found: QuerySet[Discard] = super().get_queryset(request)
        return found.filter(raw("source"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = self.get_queryset(request).filter(pk=number(object_id)).first()
        if asked is None:
            raise Http404(f"Nobody asked for a discard {object_id}.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Discard of {asked.key}",
            "asked": asked,
            "asked_at": time_tag(asked.asked_at),
            "decided_at": time_tag(asked.decided_at),
            "state": self.state(asked),
            "may_decide": not asked.decision
            and request.user.has_perm("audit.approve_discard")
            and request.user.get_username() != asked.asked_by,
        }
        return TemplateResponse(request, "admin/audit/discard/detail.html", context)

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve or decline; the act is recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.approve_discard"):
            raise PermissionDenied
        asked = self.get_queryset(request).filter(pk=pk, decision="").first()
        if asked is None:
            raise Http404("Nothing waits for a decision here.")
        try:
            discards.decide(asked, approve="approve" in request.POST, by=request.user.get_username())
        except (AuditError, dlq.errors.Refused) as error:
            messages.error(request, f"Nothing was done: {error}")
        return redirect("admin:audit_discard_change", pk)

    @admin.display(description="asked (UTC)", ordering="asked_at")
    def asked(self, found: Discard) -> Any:
        return time_tag(found.asked_at)

    @admin.display(description="state")
    def state(self, found: Discard) -> SafeString:
        return badge(*DECISIONS[found.decision])
