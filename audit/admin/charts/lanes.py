"""SVG timeline: a lane for each writer, time from left to right, long pauses cut out and labelled with their length."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from audit.formats import times
from audit.formats.times import timestamp_text
from audit.models import Record

WIDTH, LEFT, RIGHT, TOP, LANE = 1240, 190, 20, 26, 30
BREAK = 56  # what a pause that is cut out takes, however long it was
BREAKS, LANES = 8, 30
OUTSTANDING = 20.0  # A pause is cut out when it is so many times what half of them stay below
TOUCHING = 8.0  # Marks that are nearer to each other than this many pixels cannot be told apart
TICK_APART = 210.0  # Pixels between the times below the lanes
WIDE = 120.0  # A pause that is so wide is labelled as well
CHARACTER = 7.0  # What a character of a label takes, and so many pixels lie between two labels


class Pause(NamedTuple):
    """A stretch without events; one that is cut out has a fixed width."""

    x: float
    middle: float
    width: int
    text: str


class Scale:
    """Maps times to pixels, linearly except for the pauses that are cut out."""

    def __init__(self, moments: Sequence[datetime], width: float):
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
        cut = _outstanding(gaps)
        time_left = sum(gap for place, gap in enumerate(gaps) if place not in cut)
        per_second = max(width - BREAK * len(cut), 1.0) / time_left if time_left else 0.0
        self._moments, self._x = list(moments), [0.0]
        self.pauses: list[Pause] = []
        for place, gap in enumerate(gaps):
            x, wide = self._x[-1], BREAK if place in cut else gap * per_second
            self._x.append(x + wide)
            if place in cut or wide > WIDE:
                shaded = BREAK if place in cut else 0
                self.pauses.append(Pause(round(x, 1), round(x + wide / 2, 1), shaded, times.precise(gap)))

    def at(self, moment: datetime) -> float:
        """Return pixels from the left edge; earlier times are at the edge."""
        place = bisect_right(self._moments, moment) - 1
        if place < 0:
            return 0.0
        if place >= len(self._moments) - 1:
            return self._x[-1]
        first, last = self._moments[place], self._moments[place + 1]
        part = (moment - first) / (last - first) if last > first else 0.0
        return self._x[place] + part * (self._x[place + 1] - self._x[place])


def draw(records: Sequence[Record]) -> SafeString:
    if not records:
        return SafeString("")
    names = sorted({record.writer for record in records})
    lanes = {name: TOP + LANE * min(place, LANES) + LANE // 2 for place, name in enumerate(names)}
    scale = Scale([record.event_timestamp for record in records], WIDTH - LEFT - RIGHT)
    height = TOP + LANE * min(len(names), LANES + 1)
    shown = [{"name": _short(name), "y": lanes[name]} for name in names[:LANES]]
    if len(names) > LANES:
        shown.append({"name": f"{len(names) - LANES} more", "y": TOP + LANE * LANES + LANE // 2})
    marks = [_mark(record, scale, lanes[record.writer]) for record in records]
    # What is drawn last lies on top: a failure must not hide behind what went well.
    marks.sort(key=lambda mark: mark["css"] == "failure")
    context = {
        "width": WIDTH,
        "height": height + 24,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": height,
        "lanes": shown,
        "pauses": _labelled(scale.pauses),
        "marks": marks,
        "clusters": _clusters(marks),
        "ticks": _ticks([record.event_timestamp for record in records], scale),
        "first": timestamp_text(records[0].event_timestamp)[:-4] + "Z",
        "last": timestamp_text(records[-1].event_timestamp)[:-4] + "Z",
    }
    return SafeString(render_to_string("admin/audit/record/lanes.svg", context))


def _labelled(pauses: Sequence[Pause]) -> list[Pause]:
    """Move the pauses right of the names; a text that would lie on the one before it is left out."""
    moved: list[Pause] = []
    end = 0.0
    for pause in pauses:
        half, middle = CHARACTER * len(pause.text) / 2, LEFT + pause.middle
        has_room = middle - half >= end
        end = middle + half + CHARACTER if has_room else end
        moved.append(Pause(LEFT + pause.x, middle, pause.width, pause.text if has_room else ""))
    return moved


def _clusters(marks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the marks of a lane lie on each other: the place, how many there are, and how many of them failed."""
    clusters: list[dict[str, Any]] = []
    for mark in sorted(marks, key=lambda mark: (mark["y"], mark["x"])):
        last = clusters[-1] if clusters else None
        if last and last["y"] == mark["y"] and mark["x"] - last["x"] < TOUCHING:
            last["count"] += 1
            last["failed"] += mark["css"] == "failure"
        else:
            clusters.append({"x": mark["x"], "y": mark["y"], "count": 1, "failed": int(mark["css"] == "failure")})
    return [cluster for cluster in clusters if cluster["count"] > 1]


def _ticks(moments: Sequence[datetime], scale: Scale) -> list[dict[str, Any]]:
    """The times of some events between the first and the last, far enough from each other to be read."""
    ticks: list[dict[str, Any]] = []
    x, end = TICK_APART, scale.at(moments[-1]) - TICK_APART
    for moment in moments:
        if x <= (place := scale.at(moment)) <= end:
            ticks.append({"x": round(LEFT + place, 1), "text": f"{timestamp_text(moment)[11:23]}"})
            x = place + TICK_APART
    return ticks


def _mark(record: Record, scale: Scale, y: int) -> dict[str, Any]:
    x = LEFT + scale.at(record.event_timestamp)
    took = record.duration_ms or 0
    begins = LEFT + scale.at(times.earlier(record.event_timestamp, timedelta(milliseconds=took))) if took else x
    title = f"{timestamp_text(record.event_timestamp)[11:23]}Z {_short(record.event_type, 60)}, {record.event_outcome}"
    title += f", took {times.precise(took / 1000)}" if took else ""
    shape = {"x": round(x, 1), "begins": round(begins, 1), "length": round(x - begins, 1), "y": y}
    url = reverse("admin:audit_record_change", args=[record.pk])
    return {**shape, "css": record.event_outcome, "title": title, "url": url}


def _outstanding(gaps: Sequence[float]) -> set[int]:
    """Return the few longest pauses, where they would leave no room for the rest."""
    usual = median([gap for gap in gaps if gap > 0] or [0.0])
    longest = sorted(range(len(gaps)), key=lambda place: -gaps[place])[:BREAKS]
    return {place for place in longest if gaps[place] > OUTSTANDING * usual}


def _short(text: str, most: int = 26) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
