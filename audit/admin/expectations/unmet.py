"""Unmet expectations: each with the events that came, and what is missing among them."""

from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.completeness.discrepancy import DiscrepancyAdmin
from audit.admin.display import badge, breakable, column, time_column, time_tag
from audit.models import Record, Unmet

# Events of a correlation that are shown before and after the one that began it.
BEFORE, AFTER = 20, 200


class Moment(NamedTuple):
    """A line of the timeline; without a record it is what is missing."""

    at: datetime
    time: Any
    record: Record | None
    remark: SafeString | str


@admin.register(Unmet)
class UnmetAdmin(DiscrepancyAdmin):
    list_display = ("subject", "missing_event", "rule", "state_badge", "due", "detected", "owner")
    search_fields = ("subject__exact", "expectation__name__exact", "writer__exact")
    search_help_text = "Correlation, rule or writer, as it is written"
    list_select_related = ("expectation",)

    def detail(self, request: HttpRequest, unmet: Unmet) -> dict[str, Any]:
        may_see = request.user.has_perm("audit.view_record") and unmet.kind != "rate"
        return {
            "title": f"Unmet: {unmet}",
            "since": time_tag(unmet.since),
            "due_at": time_tag(unmet.due_at),
            "moments": _moments(unmet) if may_see else [],
            "left_out": may_see and _later(unmet)[AFTER : AFTER + 1].exists(),
        }

    missing_event = column("missing event", lambda unmet: breakable(_missing(unmet)))
    rule = column("rule, and what it says", lambda unmet: _rule(unmet), "expectation__name")
    due = time_column("due (UTC)", "due_at")


def _rule(unmet: Unmet) -> SafeString:
    return format_html('{}<br><span class="quiet">{}</span>', unmet.expectation.name, unmet.wanted)


def _missing(unmet: Unmet) -> str:
    types = " or ".join(unmet.expect_types)
    if unmet.kind == "rate":
        return f"{max((unmet.least or 0) - unmet.came, 0):,} {types} on {unmet.key}"
    return types


def _moments(unmet: Unmet) -> list[Moment]:
    """The events of the correlation in the order of their times, with what is missing where it was due."""
    before = Record.objects.filter(correlation_id=unmet.subject, event_timestamp__lt=unmet.since)
    earlier = before.order_by("-event_timestamp", "-id")[:BEFORE]
    moments = [
        Moment(record.event_timestamp, time_tag(record.event_timestamp), record, _remark(unmet, record))
        for record in [*reversed(earlier), *_later(unmet)[:AFTER]]
    ]
    if unmet.met_at is None or unmet.late:
        text = f"missing: {' or '.join(unmet.expect_types)}"
        moments.append(Moment(unmet.due_at, time_tag(unmet.due_at), None, badge("error", text)))
    return sorted(moments, key=lambda moment: moment.at)


def _remark(unmet: Unmet, record: Record) -> SafeString | str:
    if record.pk == unmet.began_by:
        return badge("pending", "began it")
    if record.pk == unmet.met_by:
        return badge("warning", "came too late") if unmet.late else badge("ok", "answers it")
    return ""


def _later(unmet: Unmet) -> QuerySet[Record]:
    later = Record.objects.filter(correlation_id=unmet.subject, event_timestamp__gte=unmet.since)
    return later.order_by("event_timestamp", "id")
