"""Outages: each with its exact account, its records and what people did about it."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

import dlq.errors
import dlq.outage
import dlq.stream
from audit.admin.base import ReadOnly
from audit.admin.charts import queue
from audit.admin.display import age, badge, number, time_tag
from audit.errors import AuditError
from audit.models import Episode, Record
from audit.queue import outages

SHOWN = 50
SLACK = timedelta(seconds=5)
"""Redis and this host may not agree on the time."""
REASONS = {
    "database-down": "PostgreSQL did not answer",
    "database-busy": "PostgreSQL gave writes up (timeout, deadlock)",
    "database-refused": "PostgreSQL refused",
}


@admin.register(Episode)
class EpisodeAdmin(ReadOnly):
    """All that were, newest first; the open one on top."""

    list_display = ("began", "lasted", "cause", "parked_count", "stored_count", "left_count", "lost_badge", "has_note")
    change_list_template = "admin/audit/episode/list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.note_view)
        return [path("<int:pk>/note/", view, name="audit_episode_note"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"current": _current(), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        episode = Episode.objects.filter(pk=number(object_id)).first()
        if episode is None:
            raise Http404(f"There was no outage {object_id}.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Outage of {episode.began_at:%Y-%m-%d %H:%M:%S}Z",
            "episode": episode,
            "times": [(name, time_tag(at)) for name, at in _times(episode)],
            "figure": queue.outage(episode),
            "reasons": [(REASONS.get(why, why), count) for why, count in episode.reasons.items()],
            "lost": self.lost_badge(episode),
            "noted_at": time_tag(episode.noted_at),
            "records": _records(episode) if request.user.has_perm("audit.view_record") else None,
            "shown": SHOWN,
        }
        return TemplateResponse(request, "admin/audit/episode/detail.html", context)

    def note_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep what was done about it; the words are recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.note_episode"):
            raise PermissionDenied
        episode = Episode.objects.filter(pk=pk).first()
        if episode is None:
            raise Http404(f"There was no outage {pk}.")
        try:
            outages.annotate(episode, request.POST.get("note", ""), by=request.user.get_username())
        except AuditError as error:
            messages.error(request, f"Nothing was done: {error}")
        else:
            messages.success(request, "The note is kept, and recorded.")
        return redirect("admin:audit_episode_change", pk)

    @admin.display(description="began (UTC)", ordering="began_at")
    def began(self, found: Episode) -> Any:
        return time_tag(found.began_at)

    @admin.display(description="until empty")
    def lasted(self, found: Episode) -> str:
        return _span(found.began_at, found.emptied_at)

    @admin.display(description="cause")
    def cause(self, found: Episode) -> str:
        return "; ".join(REASONS.get(why, why) for why in found.reasons)

    @admin.display(description="parked", ordering="parked")
    def parked_count(self, found: Episode) -> str:
        return str(intcomma(found.parked))

    @admin.display(description="stored", ordering="stored")
    def stored_count(self, found: Episode) -> str:
        return str(intcomma(found.stored))

    @admin.display(description="left", ordering="left")
    def left_count(self, found: Episode) -> str:
        return str(intcomma(found.left))

    @admin.display(description="lost", ordering="lost")
    def lost_badge(self, found: Episode) -> SafeString:
        return badge("error", f"{found.lost} lost") if found.lost else badge("ok", "0 lost")

    @admin.display(description="remediation", boolean=True)
    def has_note(self, found: Episode) -> bool:
        return bool(found.note)


def _current() -> dict[str, Any] | None:
    try:
        found = dlq.outage.current(dlq.stream.for_drain())
    except dlq.errors.Refused:
        return None
    if found is None:
        return None
    causes = "; ".join(REASONS.get(why, why) for why in found.reasons)
    return {"began_at": time_tag(found.began_at), "causes": causes, "parked": found.parked, "stored": found.stored}


def _records(episode: Episode) -> list[Record]:
    """The first records that came by way of the queue during it."""
    until = (episode.emptied_at or episode.began_at) + SLACK
    found = Record.objects.filter(parked_at__gte=episode.began_at - SLACK, parked_at__lte=until)
    return list(found.order_by("parked_at", "id")[:SHOWN])


def _times(episode: Episode) -> list[tuple[str, datetime | None]]:
    return [
        ("First event parked", episode.began_at),
        ("PostgreSQL up again", episode.up_at),
        ("Queue empty", episode.emptied_at),
    ]


def _span(first: datetime, last: datetime | None) -> str:
    return "—" if last is None else age((last - first).total_seconds())
