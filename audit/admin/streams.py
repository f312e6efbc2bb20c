"""Streams: which targets are given the log, how far each is behind, and what it said last."""

from typing import Any

from django.contrib import admin
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.base import ReadOnly
from audit.admin.charts import lag as charts
from audit.admin.display import age, badge, breakable, column, time_column, time_tag
from audit.models import Stream
from audit.streams import state
from audit.streams.state import Lag

BADGES = {"up to date": "ok", "behind": "warning", "failing": "error", "no streamer": "warning", "ended": "pending"}
SHOWN = 120


@admin.register(Stream)
class StreamAdmin(ReadOnly):
    list_display = ("target", "state_badge", "lacks", "position_text", "taken", "problem_text")
    list_display_links = None
    change_list_template = "admin/audit/stream/list.html"
    sortable_by = ()
    # What nobody waits for any more comes last.
    ordering = (F("ended_at").asc(nulls_first=True), "name")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        row = self.get_queryset(request).filter(pk=object_id).first()
        if row is None:
            raise Http404(f"There is no target of streams named {object_id}.")
        lag = lag_of(row)
        return self.page(
            request,
            "detail",
            title=f"Stream to {row.name}",
            stream=row,
            lag=lag,
            state=state_badge(lag),
            lacks=lacks(lag),
            lag_chart=charts.lag(row.samples, Stream.SAMPLE_MINUTES),
            taken=time_tag(row.taken_at),
            seen=time_tag(row.seen_at),
            begun=time_tag(row.begun_at),
            since=time_tag(row.problem_since),
            ended=time_tag(row.ended_at),
            refusals=row.refusals[::-1],
        )

    target = column("target", lambda row: _link(row))
    state_badge = column("state", lambda row: state_badge(lag_of(row)))
    lacks = column("lacks", lambda row: lacks(lag_of(row)))
    position_text = column("next entry", lambda row: f"{row.position:,}")
    taken = time_column("last taken (UTC)", "taken_at", sortable=False)
    problem_text = column("last error", lambda row: breakable(_short(row.problem)) if row.problem else "—")


def lag_of(row: Stream) -> Lag:
    """How far a target is behind; asked for once for each row of a page."""
    known: Lag = row.__dict__.setdefault("_lag", None) or state.lag_of(row)
    row.__dict__["_lag"] = known
    return known


def state_badge(lag: Lag) -> SafeString:
    """The state, as a badge; one that is overdue is an error whatever it is."""
    return badge("error" if lag.is_overdue else BADGES[lag.state], lag.state)


def lacks(lag: Lag) -> str:
    """What the target does not have, in words."""
    if lag.stream.ended_at is not None:
        return "—"
    if not lag.records:
        return "nothing"
    return f"{lag.records:,} records, the oldest for {age(lag.seconds)}"


def _link(row: Stream) -> SafeString:
    url = reverse("admin:audit_stream_change", args=[row.pk])
    # One element, or a narrow screen would put the parts below each other with room between them.
    kind, place = row.kind, breakable(row.place)
    return format_html('<span><a href="{}">{}</a><br>{} <code>{}</code></span>', url, row.name, kind, place)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
