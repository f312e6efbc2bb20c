"""The quarantine: events that waited too long in Redis, or were put aside, as they were."""

import json
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from audit.admin.base import ReadOnly, post_act
from audit.admin.display import time_column, time_tag
from audit.admin.queue.parked_rows import pretty_body
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
    views: ClassVar = {"<int:n>/release/": "release"}

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        body = bytes(row.body)
        return self.page(
            request,
            "detail",
            title=f"Quarantined event {row.key}",
            row=row,
            times=[(name.removesuffix("_at"), time_tag(getattr(row, name))) for name in TIMES],
            errors=json.loads(row.errors),
            digest=bytes(row.digest).hex(),
            record=_record_of(row.key),
            digest_holds=digest_of(body) == bytes(row.digest),
            payload=pretty_body(body),
            raw=body.decode("utf-8", errors="backslashreplace"),
        )

    def release_view(self, request: HttpRequest, n: int) -> HttpResponse:
        """Return it to the queue: the drain tries it as any other. The row stays."""

        def act() -> str:
            row = Quarantined.objects.filter(n=n).first()
            if row is None:
                raise Http404(f"Nothing is in the quarantine under {n}.")
            return release(row, by=request.user.get_username())

        back = reverse("admin:audit_quarantined_change", args=[n])
        return post_act(request, "audit.retry_parked", act, RELEASED.__getitem__, back=back)

    parked = time_column("parked (UTC)", "parked_at")
    since = time_column("quarantined (UTC)", "quarantined_at")


def _record_of(key: str) -> Record | None:
    """The record that the event became, before or after it was parked again; None where it did not."""
    try:
        return Record.objects.filter(id=UUID(key)).first()
    except ValueError:
        return None
