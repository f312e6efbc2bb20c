"""Outages: each with its exact account, its records and what people did about it."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

import dlq.errors
import dlq.outage
import dlq.stream
from audit.admin.base import ReadOnly, post_act
from audit.admin.charts import queue
from audit.admin.display import age, badge, time_tag
from audit.models import Episode, Record
from audit.queue import outages

RECORDS_SHOWN = 50
# Redis and this host may not agree on the time.
CLOCK_SLACK = timedelta(seconds=5)
REASONS = {
    "database-down": "PostgreSQL did not answer",
    "database-busy": "PostgreSQL gave writes up (timeout, deadlock)",
    "database-refused": "PostgreSQL refused",
}


@admin.register(Episode)
class OutageAdmin(ReadOnly):
    list_display = ("began", "lasted", "cause", "parked_count", "stored_count", "left_count", "lost_badge", "has_note")
    change_list_template = "admin/audit/episode/list.html"
    views: ClassVar = {"<int:pk>/note/": "note"}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"current": _current(), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        outage = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            title=f"Outage of {outage.began_at:%Y-%m-%d %H:%M:%S}Z",
            episode=outage,
            times=[(name, time_tag(at)) for name, at in _times(outage)],
            figure=queue.outage(outage),
            reasons=[(REASONS.get(reason, reason), count) for reason, count in outage.reasons.items()],
            lost=self.lost_badge(outage),
            noted_at=time_tag(outage.noted_at),
            records=_records(outage) if request.user.has_perm("audit.view_record") else None,
            shown=RECORDS_SHOWN,
        )

    def note_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep what was done about it; the words are recorded first."""

        def act() -> None:
            outages.annotate(self.row_or_404(request, pk), request.POST.get("note", ""), by=request.user.get_username())

        back = reverse("admin:audit_episode_change", args=[pk])
        return post_act(request, "audit.note_episode", act, "The note is kept, and recorded.", back=back)

    @admin.display(description="began (UTC)", ordering="began_at")
    def began(self, outage: Episode) -> Any:
        return time_tag(outage.began_at)

    @admin.display(description="until empty")
    def lasted(self, outage: Episode) -> str:
        return _span(outage.began_at, outage.emptied_at)

    @admin.display(description="cause")
    def cause(self, outage: Episode) -> str:
        return "; ".join(REASONS.get(reason, reason) for reason in outage.reasons)

    @admin.display(description="parked", ordering="parked")
    def parked_count(self, outage: Episode) -> str:
        return str(intcomma(outage.parked))

    @admin.display(description="stored", ordering="stored")
    def stored_count(self, outage: Episode) -> str:
        return str(intcomma(outage.stored))

    @admin.display(description="left", ordering="left")
    def left_count(self, outage: Episode) -> str:
        return str(intcomma(outage.left))

    @admin.display(description="lost", ordering="lost")
    def lost_badge(self, outage: Episode) -> SafeString:
        return badge("error", f"{outage.lost} lost") if outage.lost else badge("ok", "0 lost")

    @admin.display(description="remediation", boolean=True)
    def has_note(self, outage: Episode) -> bool:
        return bool(outage.note)


def _current() -> dict[str, Any] | None:
    try:
        outage = dlq.outage.current(dlq.stream.for_drain())
    except dlq.errors.Refused:
        return None
    if outage is None:
        return None
    causes = "; ".join(REASONS.get(reason, reason) for reason in outage.reasons)
    return {"began_at": time_tag(outage.began_at), "causes": causes, "parked": outage.parked, "stored": outage.stored}


def _records(outage: Episode) -> list[Record]:
    """The first records that came by way of the queue during it."""
    first, last = outage.began_at - CLOCK_SLACK, (outage.emptied_at or outage.began_at) + CLOCK_SLACK
    return list(Record.objects.filter(parked_at__range=(first, last)).order_by("parked_at", "id")[:RECORDS_SHOWN])


def _times(outage: Episode) -> list[tuple[str, datetime | None]]:
    return [
        ("First event parked", outage.began_at),
        ("PostgreSQL up again", outage.up_at),
        ("Queue empty", outage.emptied_at),
    ]


def _span(first: datetime, last: datetime | None) -> str:
    return "—" if last is None else age((last - first).total_seconds())
