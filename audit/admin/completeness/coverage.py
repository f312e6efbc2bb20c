"""Coverage: how much each writer sent, day by day and hour by hour; what is empty says why."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse

from audit import visibility
from audit.admin.base import ReadOnly
from audit.admin.charts import heatmap
from audit.admin.charts.heatmap import Column
from audit.admin.display import time_tag
from audit.completeness import causes, coverage
from audit.formats import times
from audit.models import Followed, HourCount, Rhythm

# The first is shown where none is chosen.
SPANS_DAYS, WEEK_DAYS = (30, 90), 7
WRITERS_SHOWN = 50
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class CoverageQuery(NamedTuple):
    # The newest day that is shown; with `is_hours`, the hours of that day instead of days.
    last: date
    is_hours: bool
    # The hours of a week of this writer, where it is named.
    writer: str
    # The writers that come after this one.
    after: str
    # How many days are shown.
    days: int = SPANS_DAYS[0]


@admin.register(HourCount)
class CoverageAdmin(ReadOnly):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        asked = _parse(request)
        followed_at = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
        links = request.user.has_perm("audit.view_record")
        context = _week(asked, links) if asked.writer else _writers(asked, links)
        return self.page(request, "list", asked=asked, followed_at=followed_at and time_tag(followed_at), **context)


def _parse(request: HttpRequest) -> CoverageQuery:
    text = request.GET.get("day") or request.GET.get("until") or ""
    last = datetime.now(UTC).date()
    if text:
        try:
            last = min(max(date.fromisoformat(text), date(1, 6, 1)), last)
        except ValueError:
            messages.warning(request, "That is no day such as 2026-08-18: these are the newest.")
    clean = {name: request.GET.get(name, "").replace("\x00", "")[:100] for name in ("writer", "after")}
    days = next((days for days in SPANS_DAYS if request.GET.get("days") == str(days)), SPANS_DAYS[0])
    return CoverageQuery(last, bool(request.GET.get("day")), clean["writer"], clean["after"], days)


def _writers(asked: CoverageQuery, links: bool) -> dict[str, Any]:
    """A row a writer: the days up to one, or the hours of one."""
    end = times.midnight(asked.last) + DAY
    since, step = (end - DAY, HOUR) if asked.is_hours else (end - asked.days * DAY, DAY)
    heard = visibility.visible_totals(Rhythm.objects.filter(last_at__gte=since - HOUR, writer__gt=asked.after))
    rhythms = list(heard.order_by("writer")[: WRITERS_SHOWN + 1])
    began = {rhythm.writer: coverage.hour_of(rhythm.first_at) for rhythm in rhythms[:WRITERS_SHOWN]}
    columns = _hours(since) if asked.is_hours else _days(since, asked.days)
    counts, known = coverage.sums(list(began), since, end, step), causes.find(list(began), since, end)
    picture = heatmap.Picture(counts, known, datetime.now(UTC), links=links)
    rows = [
        picture.row(writer, _address(writer=writer, day=asked.last), writer, columns, first)
        for writer, first in began.items()
    ]
    title = f"{_day_text(asked.last)}, each hour" if asked.is_hours else f"{since:%Y-%m-%d} to {asked.last}"
    return {
        "title": f"Activity by writer: {title}",
        "what": "writer",
        "columns": columns,
        "spans": [] if asked.is_hours else [(days, _span_address(asked, days)) for days in SPANS_DAYS],
        "months": None if asked.is_hours else heatmap.months(columns),
        "rows": rows,
        "legend": picture.legend,
        "next": rhythms[WRITERS_SHOWN - 1].writer if len(rhythms) > WRITERS_SHOWN else None,
        **_steps(asked, DAY if asked.is_hours else asked.days * DAY),
    }


def _week(asked: CoverageQuery, links: bool) -> dict[str, Any]:
    """A row a day of one writer, the newest first."""
    if not visibility.may_see_totals(asked.writer):
        raise Http404("There is no such writer.")
    end = times.midnight(asked.last) + DAY
    since = end - WEEK_DAYS * DAY
    counts, known = coverage.sums([asked.writer], since, end, HOUR), causes.find([asked.writer], since, end)
    picture = heatmap.Picture(counts, known, datetime.now(UTC), links=links)
    rhythm = Rhythm.objects.filter(writer=asked.writer).first()
    began = coverage.hour_of(rhythm.first_at) if rhythm else end
    days = [end - DAY * n for n in range(1, WEEK_DAYS + 1)]
    return {
        "title": f"Activity of {asked.writer}: the week to {asked.last}, each hour",
        "what": "day",
        "columns": _hours(since),
        "rows": [
            picture.row(_day_text(day), _address(day=day.date()), asked.writer, _hours(day), began) for day in days
        ],
        "legend": picture.legend,
        **_steps(asked, WEEK_DAYS * DAY),
    }


def _steps(asked: CoverageQuery, step: timedelta) -> dict[str, str]:
    """The addresses of the same picture one step earlier and one later."""
    same = {"writer": asked.writer, "after": asked.after, "days": "" if asked.days == SPANS_DAYS[0] else asked.days}
    name, today = "day" if asked.is_hours else "until", datetime.now(UTC).date()
    return {
        "older": _address(**same, **{name: asked.last - step}) if asked.last > date(2, 1, 1) else "",
        "newer": _address(**same, **{name: min(asked.last + step, today)}) if asked.last < today else "",
    }


def _span_address(asked: CoverageQuery, days: int) -> str:
    return _address(after=asked.after, until=asked.last, days=days)


def _address(**parameters: Any) -> str:
    return "?" + urlencode({name: value for name, value in parameters.items() if value})


def _day_text(day: date) -> str:
    return f"{day:%Y-%m-%d %a}"


def _days(since: datetime, number: int) -> list[Column]:
    """A column a day; of many days, Mondays alone have their number: for all of them there is no room."""
    is_wide = number == SPANS_DAYS[0]
    return [
        heatmap.column(
            day,
            day + DAY,
            f"{day:%d}" if is_wide or not day.weekday() else "",
            f"{day:%Y-%m-%d}",
            _address(day=day.date()),
        )
        for day in (since + DAY * n for n in range(number))
    ]


def _hours(day: datetime) -> list[Column]:
    hours = [day + HOUR * n for n in range(24)]
    return [heatmap.column(hour, hour + HOUR, f"{hour:%H}", f"{hour:%Y-%m-%d %H}:00") for hour in hours]
