"""The quarantine: what waited too long in Redis, or was put aside, as it was."""

import json
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

import dlq.errors
from audit.admin.base import ReadOnly
from audit.admin.display import number, pretty, time_tag
from audit.errors import AuditError
from audit.models import Quarantined, Record
from audit.queue.quarantine import release
from dlq.message import digest_of

RELEASED = {
    "parked": "It is in the queue again; the next drain tries it.",
    "duplicate": "It is in the queue already.",
    "conflict": "The queue has another event with this id: that one has to go first.",
}
TIMES = ("received_at", "parked_at", "quarantined_at")


@admin.register(Quarantined)
class QuarantineAdmin(ReadOnly):
    """What is here stays; it can be parked again for the drain to try."""

    list_display = ("key", "kind", "source", "reason", "attempts", "parked", "cause", "quarantined_by", "since")
    search_fields = ("key__exact",)
    search_help_text = "Exactly: an event id."
    ordering = ("-n",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.release_view)
        return [path("<int:n>/release/", view, name="audit_quarantined_release"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Quarantined.objects.filter(n=number(object_id)).first()
        if found is None:
            raise Http404(f"Nothing is in the quarantine under {object_id}.")
        body = bytes(found.body)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Quarantined event {found.key}",
            "found": found,
            "times": [
                (name, time_tag(getattr(found, name))) for name in ("received_at", "parked_at", "quarantined_at")
            ],
            "errors": json.loads(found.errors),
            "digest": bytes(found.digest).hex(),
            "record": _record_of(found.key),
            "digest_holds": digest_of(body) == bytes(found.digest),
            "payload": _payload(body),
            "raw": body.decode("utf-8", errors="backslashreplace"),
        }
        return TemplateResponse(request, "admin/audit/quarantined/detail.html", context)

    def release_view(self, request: HttpRequest, n: int) -> HttpResponse:
        """Park it again: the drain tries it as any other. The act is recorded first, and the row stays."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.retry_parked"):
            raise PermissionDenied
        found = Quarantined.objects.filter(n=n).first()
        if found is None:
            raise Http404(f"Nothing is in the quarantine under {n}.")
        try:
            outcome = release(found, by=request.user.get_username())
        except (AuditError, dlq.errors.Refused) as error:
            messages.error(request, f"Nothing was done: {error}")
        else:
            messages.success(request, RELEASED[outcome])
        return redirect("admin:audit_quarantined_change", n)

    @admin.display(description="parked (UTC)", ordering="parked_at")
    def parked(self, found: Quarantined) -> Any:
        return time_tag(found.parked_at)

    @admin.display(description="quarantined (UTC)", ordering="quarantined_at")
    def since(self, found: Quarantined) -> Any:
        return time_tag(found.quarantined_at)


def _record_of(key: str) -> Record | None:
    """The record that the event became, if it did: before, or after it was parked again."""
    try:
        return Record.objects.filter(id=UUID(key)).first()
    except ValueError:
        return None


def _payload(body: bytes) -> str:
    try:
        return pretty(json.loads(body)).encode(errors="backslashreplace").decode()
    except (ValueError, RecursionError):
        return "not readable as JSON: see the raw bytes"
