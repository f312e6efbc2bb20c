"""Coverage: how much each writer sent, day by day and hour by hour; what is empty says why."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

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


class Asked(NamedTuple):
    """What an address asks for."""

    last: date
    """The newest day that is shown."""
    is_hours: bool
    """Hours of that day, instead of days."""
    writer: str
    """Hours of a week of this one, where it is named."""
    after: str
    """The writers that come after this one."""


@admin.register(HourCount)
class CoverageAdmin(ReadOnly):
    """Writers by day; a day by hour; a week of one writer by hour."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = _asked(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "asked": asked,
            "followed_at": time_tag(_followed_at()),
            **(_week(asked) if asked.writer else _writers(asked)),
        }
        return TemplateResponse(request, "admin/audit/hourcount/list.html", context)


def _followed_at() -> datetime | None:
    return Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()


def _asked(request: HttpRequest) -> Asked:
    text = request.GET.get("day") or request.GET.get("until") or ""
    last = datetime.now(UTC).date()
    if text:
        try:
            last = min(max(date.fromisoformat(text), date(1, 6, 1)), last)
        except ValueError:
            messages.warning(request, "That is no day such as 2026-08-18: these are the newest.")
    clean = {name: request.GET.get(name, "").replace("\x00", "")[:100] for name in ("writer", "after")}
    return Asked(last, bool(request.GET.get("day")), clean["writer"], clean["after"])


def _writers(asked: Asked) -> dict[str, Any]:
    """A row a writer: the days up to one, or the hours of one."""
    end = _midnight(asked.last) + DAY
    since, step = (end - DAY, HOUR) if asked.is_hours else (end - DAYS * DAY, DAY)
    found = list(
        visibility.figures(Rhythm.objects.filter(last_at__gte=since - HOUR, writer__gt=asked.after)).order_by("writer")[
            : WRITERS + 1
        ]
    )
    heard = {one.writer: coverage.hour_of(one.first_at) for one in found[:WRITERS]}
    columns = _hours(since) if asked.is_hours else _days(since)
    picture = heatmap.Picture(
        coverage.sums(list(heard), since, end, step), causes.find(list(heard), since, end), datetime.now(UTC)
    )
    rows = [
        picture.row(writer, _address(writer=writer, day=asked.last), writer, columns, began)
        for writer, began in heard.items()
    ]
    span = _day_text(asked.last) if asked.is_hours else f"{since:%Y-%m-%d} to {asked.last}"
    return {
        "title": f"Coverage: {span}, each hour" if asked.is_hours else f"Coverage: {span}",
        "what": "writer",
        "columns": columns,
        "months": None if asked.is_hours else heatmap.months(columns),
        "rows": rows,
        "legend": picture.legend,
        "next": found[WRITERS - 1].writer if len(found) > WRITERS else None,
        **_steps(asked, DAY if asked.is_hours else DAYS * DAY),
    }


def _week(asked: Asked) -> dict[str, Any]:
    """A row a day of one writer, the newest first."""
    if not visibility.tells(asked.writer):
        raise Http404("There is no such writer.")
    end = _midnight(asked.last) + DAY
    since = end - WEEK * DAY
    known = causes.find([asked.writer], since, end)
    picture = heatmap.Picture(coverage.sums([asked.writer], since, end, HOUR), known, datetime.now(UTC))
    heard = Rhythm.objects.filter(writer=asked.writer).first()
    began = coverage.hour_of(heard.first_at) if heard else end
    days = [end - DAY * n for n in range(1, WEEK + 1)]
    rows = [picture.row(_day_text(day), _address(day=day.date()), asked.writer, _hours(day), began) for day in days]
    return {
        "title": f"Coverage of {asked.writer}: the week to {asked.last}, each hour",
        "what": "day",
        "columns": _hours(since),
        "rows": rows,
        "legend": picture.legend,
        **_steps(asked, WEEK * DAY),
    }


def _steps(asked: Asked, step: timedelta) -> dict[str, str]:
    """The same picture of the time before, and of the time after."""
    more = {"writer": asked.writer, "after": asked.after}
    name = "day" if asked.is_hours else "until"
    older, newer = asked.last - step, asked.last + step
    today = datetime.now(UTC).date()
    return {
        "older": _address(**more, **{name: older}) if asked.last > date(2, 1, 1) else "",
        "newer": _address(**more, **{name: min(newer, today)}) if asked.last < today else "",
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
