"""Outages: each with its exact account, its records and what people did about it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

import dlq.errors
import dlq.outage
import dlq.stream
from audit.admin.base import ReadOnly, post_act
from audit.admin.charts import queue
from audit.admin.display import age, badge, column, time_column, time_tag
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
TIMES = {"First event parked": "began_at", "PostgreSQL up again": "up_at", "Queue worked off": "emptied_at"}


@admin.register(Episode)
class OutageAdmin(ReadOnly):
    list_display = ("began", "lasted", "cause", "parked_count", "stored_count", "left_count", "lost_badge", "has_note")
    change_list_template = "admin/audit/episode/list.html"
    views: ClassVar = {"<int:pk>/note/": "note"}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"current": _current(), **(extra_context or {})})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        outage = self.row_or_404(request, object_id)
        return self.page(
            request,
            "detail",
            title=f"Outage of {outage.began_at:%Y-%m-%d %H:%M:%S}Z",
            episode=outage,
            times=[(name, time_tag(getattr(outage, column))) for name, column in TIMES.items()],
            figure=queue.outage(outage),
            reasons=[(REASONS.get(reason, reason), count) for reason, count in outage.reasons.items()],
            lost=self.lost_badge(outage),
            noted_at=time_tag(outage.noted_at),
            records=_records(outage) if request.user.has_perm("audit.view_record") else None,
            shown=RECORDS_SHOWN,
        )

    def note_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def act() -> None:
            outages.annotate(self.row_or_404(request, pk), request.POST.get("note", ""), by=request.user.get_username())

        back = reverse("admin:audit_episode_change", args=[pk])
        return post_act(request, "audit.note_episode", act, "The note is kept, and recorded.", back=back)

    began = time_column("began (UTC)", "began_at")
    lasted = column("until worked off", lambda outage: _span(outage.began_at, outage.emptied_at))
    cause = column("cause", lambda outage: _causes(outage.reasons))
    parked_count = column("parked", lambda outage: intcomma(outage.parked), "parked")
    stored_count = column("stored", lambda outage: intcomma(outage.stored), "stored")
    left_count = column("left", lambda outage: intcomma(outage.left), "left")
    lost_badge = column("lost", lambda outage: badge("error" if outage.lost else "ok", f"{outage.lost} lost"), "lost")

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
    facts = {"causes": _causes(outage.reasons), "parked": outage.parked, "stored": outage.stored}
    return {"began_at": time_tag(outage.began_at), **facts}


def _causes(reasons: Iterable[str]) -> str:
    return "; ".join(REASONS.get(reason, reason) for reason in reasons)


def _records(outage: Episode) -> list[Record]:
    """The first records that came by way of the queue during it."""
    first, last = outage.began_at - CLOCK_SLACK, (outage.emptied_at or outage.began_at) + CLOCK_SLACK
    return list(Record.objects.filter(parked_at__range=(first, last)).order_by("parked_at", "id")[:RECORDS_SHOWN])


def _span(first: datetime, last: datetime | None) -> str:
    return "—" if last is None else age((last - first).total_seconds())
