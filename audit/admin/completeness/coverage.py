"""Coverage: how much each writer sent, day by day and hour by hour; what is empty says why."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from audit import visibility
from audit.admin.base import ReadOnly
from audit.admin.charts import heatmap
from audit.admin.charts.heatmap import Column
from audit.admin.display import time_tag
from audit.completeness import causes, coverage
from audit.models import Followed, HourCount, Rhythm

DAYS, WEEK = 90, 7
WRITERS = 50
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Span(NamedTuple):
    """What an address names."""

    last: date  # the newest day that is shown
    is_hours: bool  # hours of that day, instead of days
    writer: str  # hours of a week of this one, where it is named
    after: str  # the writers that come after this one


@admin.register(HourCount)
class CoverageAdmin(ReadOnly):
    """Writers by day; a day by hour; a week of one writer by hour."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        span = _span(request)
        followed = Followed.objects.filter(name=Followed.COMPLETENESS).first()
        followed_at = time_tag(followed.followed_at if followed else None)
        context = _week(span) if span.writer else _writers(span)
        return self.page(request, "list", asked=span, followed_at=followed_at, **context)


def _span(request: HttpRequest) -> Span:
    text = request.GET.get("day") or request.GET.get("until") or ""
    last = datetime.now(UTC).date()
    if text:
        try:
            last = min(max(date.fromisoformat(text), date(1, 6, 1)), last)
        except ValueError:
            messages.warning(request, "That is no day such as 2026-08-18: these are the newest.")
    clean = {name: request.GET.get(name, "").replace("\x00", "")[:100] for name in ("writer", "after")}
    return Span(last, bool(request.GET.get("day")), clean["writer"], clean["after"])


def _writers(span: Span) -> dict[str, Any]:
    """Return a row a writer: the days up to one, or the hours of one."""
    end = _midnight(span.last) + DAY
    since, step = (end - DAY, HOUR) if span.is_hours else (end - DAYS * DAY, DAY)
    rhythms = visibility.figures(Rhythm.objects.filter(last_at__gte=since - HOUR, writer__gt=span.after))
    page = list(rhythms.order_by("writer")[: WRITERS + 1])
    heard = {rhythm.writer: coverage.hour_of(rhythm.first_at) for rhythm in page[:WRITERS]}
    columns = _hours(since) if span.is_hours else _days(since)
    writers = list(heard)
    known = causes.find(writers, since, end)
    picture = heatmap.Picture(coverage.sums(writers, since, end, step), known, datetime.now(UTC))
    rows = [
        picture.row(writer, _address(writer=writer, day=span.last), writer, columns, began)
        for writer, began in heard.items()
    ]
    shown = _day_text(span.last) if span.is_hours else f"{since:%Y-%m-%d} to {span.last}"
    return {
        "title": f"Coverage: {shown}, each hour" if span.is_hours else f"Coverage: {shown}",
        "what": "writer",
        "columns": columns,
        "months": None if span.is_hours else heatmap.months(columns),
        "rows": rows,
        "legend": picture.legend,
        "next": page[WRITERS - 1].writer if len(page) > WRITERS else None,
        **_steps(span, DAY if span.is_hours else DAYS * DAY),
    }


def _week(span: Span) -> dict[str, Any]:
    """Return a row a day of one writer, the newest first."""
    if not visibility.tells(span.writer):
        raise Http404("There is no such writer.")
    end = _midnight(span.last) + DAY
    since = end - WEEK * DAY
    known = causes.find([span.writer], since, end)
    picture = heatmap.Picture(coverage.sums([span.writer], since, end, HOUR), known, datetime.now(UTC))
    heard = Rhythm.objects.filter(writer=span.writer).first()
    began = coverage.hour_of(heard.first_at) if heard else end
    days = [end - DAY * n for n in range(1, WEEK + 1)]
    rows = [picture.row(_day_text(day), _address(day=day.date()), span.writer, _hours(day), began) for day in days]
    return {
        "title": f"Coverage of {span.writer}: the week to {span.last}, each hour",
        "what": "day",
        "columns": _hours(since),
        "rows": rows,
        "legend": picture.legend,
        **_steps(span, WEEK * DAY),
    }


def _steps(span: Span, step: timedelta) -> dict[str, str]:
    more = {"writer": span.writer, "after": span.after}
    name = "day" if span.is_hours else "until"
    older, newer = span.last - step, span.last + step
    today = datetime.now(UTC).date()
    return {
        "older": _address(**more, **{name: older}) if span.last > date(2, 1, 1) else "",
        "newer": _address(**more, **{name: min(newer, today)}) if span.last < today else "",
    }


def _address(**parameters: Any) -> str:
    return "?" + urlencode({name: value for name, value in parameters.items() if value})


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day_text(day: date) -> str:
    return f"{day:%Y-%m-%d %a}"


def _days(since: datetime) -> list[Column]:
    days = [since + DAY * n for n in range(DAYS)]
    return [
        # Mondays have their number: for all of them there is no room.
        heatmap.column(
            day, day + DAY, "" if day.weekday() else f"{day:%d}", f"{day:%Y-%m-%d}", _address(day=day.date())
        )
        for day in days
    ]


def _hours(day: datetime) -> list[Column]:
    hours = [day + HOUR * n for n in range(24)]
    return [heatmap.column(hour, hour + HOUR, f"{hour:%H}", f"{hour:%Y-%m-%d %H}:00") for hour in hours]
