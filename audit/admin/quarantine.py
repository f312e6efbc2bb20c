"""The quarantine: what waited too long in Redis, or was put aside, as it was."""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from audit.admin.format import pretty, time_tag
from audit.admin.verification import ReadOnly
from audit.models import Quarantined
from dlq.message import digest_of

TIMES = ("received_at", "parked_at", "quarantined_at")


@admin.register(Quarantined)
class QuarantineAdmin(ReadOnly):
    """For looking; what is here stays."""

    list_display = ("key", "kind", "source", "reason", "attempts", "parked", "cause", "quarantined_by", "since")
    search_fields = ("key__exact",)
    search_help_text = "Exactly: an event id."
    ordering = ("-n",)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Quarantined.objects.filter(n=int(object_id)).first() if object_id.isdigit() else None
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
            "digest_holds": digest_of(body) == bytes(found.digest),
            "payload": _payload(body),
            "raw": body.decode("utf-8", errors="backslashreplace"),
        }
        return TemplateResponse(request, "admin/audit/quarantined/detail.html", context)

    @admin.display(description="parked (UTC)", ordering="parked_at")
    def parked(self, found: Quarantined) -> Any:
        return time_tag(found.parked_at)

    @admin.display(description="quarantined (UTC)", ordering="quarantined_at")
    def since(self, found: Quarantined) -> Any:
        return time_tag(found.quarantined_at)


def _payload(body: bytes) -> str:
    try:
        return pretty(json.loads(body)).encode(errors="backslashreplace").decode()
    except (ValueError, RecursionError):
        return "not readable as JSON: see the raw bytes"
