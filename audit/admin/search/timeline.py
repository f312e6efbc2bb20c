"""Timelines: all of one correlation, actor or resource, drawn and as a table, with the pauses between the steps."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from audit.admin.charts import lanes
from audit.admin.display import OUTCOMES, STATES, badge, precise, time_tag
from audit.formats import times
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.models import Record
from audit.search import query, timeline


class TimelineStep(NamedTuple):
    """A line of the table."""

    record: Record
    at: Any
    since: str  # how long after the step before; "" for the first of a page
    took: str
    outcome: Any
    state: Any


class TimelineRequest(NamedTuple):
    """What an address asks for."""

    subject: str
    value: str
    since: datetime | None
    before: timeline.Place | None
    after: timeline.Place | None
    kept: dict[str, str]  # what leads to the same timeline again


class TimelinePage(admin.ModelAdmin):
    """`timeline/?correlation=...`, or `actor`, or `resource`."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.timeline_view)
        return [path("timeline/", view, name="audit_record_timeline"), *super().get_urls()]

    def timeline_view(self, request: HttpRequest) -> HttpResponse:
        """What happened, step by step."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            asked = _asked(request)
        except ValueError as error:
            messages.warning(request, str(error))
            return redirect("admin:audit_record_changelist")
        found = timeline.page(asked.subject, asked.value, since=asked.since, before=asked.before, after=asked.after)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Timeline of {asked.subject} {asked.value}",
            "asked": asked,
            "steps": _steps(found.records),
            "picture": lanes.draw(found.records),
            "lasted": _lasted(found.records),
            "failures": sum(record.event_outcome == "failure" for record in found.records),
            "older": found.older and "?" + urlencode(asked.kept | {"before": found.older}),
            "newer": found.newer and "?" + urlencode(asked.kept | {"after": found.newer}),
            "newest": "?" + urlencode(asked.kept) if asked.before or asked.after else "",
            "bundles": [(f"this {asked.subject}", _query(asked))],
        }
        return TemplateResponse(request, "admin/audit/record/timeline.html", context)


def _asked(request: HttpRequest) -> TimelineRequest:
    """Read the address. Raises `ValueError` with what is wrong with it and what to do."""
    parameters = {name: str(value).replace("\x00", "") for name, value in request.GET.items()}
    named = [name for name in timeline.SUBJECTS if parameters.get(name)]
    if len(named) != 1:
        raise ValueError("A timeline is of one correlation, actor or resource: name one of them in the address.")
    since = _read("since", times.read_time, parameters)
    before, after = (_read(name, query.read_cursor, parameters) for name in ("before", "after"))
    kept = {name: parameters[name] for name in (*named, "since") if parameters.get(name)}
    return TimelineRequest(named[0], parameters[named[0]], since, before, after, kept)


def _query(asked: TimelineRequest) -> Query:
    """All of the timeline, not the page alone."""
    found = Query().with_term(asked.subject, asked.value)
    return found if asked.since is None else found.with_term("after", timestamp_text(asked.since))


def _read(name: str, read: Any, parameters: dict[str, str]) -> Any:
    try:
        return read(parameters[name]) if parameters.get(name) else None
    except ValueError as error:
        raise ValueError(f"The timeline's address is damaged: {name} {error}.") from None


def _steps(records: Sequence[Record]) -> list[TimelineStep]:
    pauses = [later.event_timestamp - earlier.event_timestamp for earlier, later in pairwise(records)]
    texts = ["", *(f"+{precise(pause.total_seconds())}" for pause in pauses)][: len(records)]
    return [_step(record, since) for record, since in zip(records, texts, strict=True)]


def _step(record: Record, since: str) -> TimelineStep:
    return TimelineStep(
        record,
        time_tag(record.event_timestamp),
        since,
        precise(record.duration_ms / 1000) if record.duration_ms is not None else "—",
        badge(OUTCOMES[record.event_outcome], record.event_outcome),
        badge(STATES[record.state], record.state),
    )


def _lasted(records: Sequence[Record]) -> str:
    if len(records) < 2:
        return ""
    return precise((records[-1].event_timestamp - records[0].event_timestamp).total_seconds())
