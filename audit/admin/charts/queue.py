"""SVG figures of the queue: its depth, its contents, an outage."""

from collections.abc import Iterable
from itertools import pairwise

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.admin.display import age
from audit.models import Episode
from dlq.history import Sample

CHART_WIDTH, CHART_HEIGHT = 720, 110

BAR_LENGTH, BAR_STEP = 270, 32
# The figure of an outage is as wide as there is room: its parts are thousandths.
PER_MILLE = 1_000


def queue_chart(samples: list[Sample], minutes: int, depth: int = 0) -> SafeString:
    """Draw the depth as an area, and arrivals and departures a minute as lines; `depth` is that of now."""
    if len(samples) < 2:
        return SafeString("")
    end = samples[-1].minute
    deepest = max(depth, *(sample.depth for sample in samples)) or 1
    flows = [
        (after.minute, (after.enqueued - before.enqueued) / step, (after.gone - before.gone) / step)
        for before, after in pairwise(samples)
        if (step := after.minute - before.minute)
    ]
    busiest = max((max(arrived, left) for _, arrived, left in flows), default=0) or 1

    def x(minute: int) -> float:
        return round(CHART_WIDTH * (1 - (end - minute) / minutes), 1)

    def points(pairs: Iterable[tuple[int, float]], most: float) -> str:
        return " ".join(f"{x(minute)},{round(CHART_HEIGHT * (1 - value / most), 1)}" for minute, value in pairs)

    area = points(((sample.minute, sample.depth) for sample in samples), deepest)
    context = {
        "area": f"{x(samples[0].minute)},{CHART_HEIGHT} {area} {x(end)},{CHART_HEIGHT}",
        "came": points(((minute, arrived) for minute, arrived, _ in flows), busiest),
        "went": points(((minute, left) for minute, _, left in flows), busiest),
        "deepest": f"{deepest:,}",
        "half": f"{deepest / 2:,.0f}" if deepest > 1 else "",
        "middle": CHART_HEIGHT // 2,
        "busiest": f"{busiest:,.0f}",
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "hours": f"{minutes / 60:g}",
    }
    return SafeString(render_to_string("admin/audit/parked/chart.svg", context))


def outage(episode: Episode) -> SafeString:
    if episode.emptied_at is None:
        return SafeString("")
    up = episode.up_at or episode.emptied_at
    down, drain = (up - episode.began_at).total_seconds(), (episode.emptied_at - up).total_seconds()
    edge = round(PER_MILLE * max(down, 0) / max(down + drain, 0.001), 1)
    context = {
        "edge": edge,
        "rest": round(PER_MILLE - edge, 1),
        "down": age(down),
        "drain": age(drain),
        "began": f"{episode.began_at:%Y-%m-%d %H:%M:%S}",
        "emptied": f"{episode.emptied_at:%H:%M:%S}",
    }
    return SafeString(render_to_string("admin/audit/episode/outage.html", context))


def bars(title: str, counts: dict[str, int]) -> SafeString:
    most = max(counts.values(), default=0) or 1
    rows = []
    for place, (label, count) in enumerate(counts.items()):
        length = round(BAR_LENGTH * count / most, 1)
        y = 32 + place * BAR_STEP
        end = round(length + 6, 1)
        rows.append({"label": label[:44], "number": f"{count:,}", "y": y, "top": y + 5, "length": length, "end": end})
    context = {"title": title, "bars": rows, "width": 340, "height": 20 + BAR_STEP * len(rows)}
    return SafeString(render_to_string("admin/audit/parked/bars.svg", context))
