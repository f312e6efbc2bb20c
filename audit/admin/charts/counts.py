"""Counts over time as bars, by outcome: drawn on the server, each bar a link, and one drags over them to narrow."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 1000, 96
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 8, 20
# From the bottom up: failures stand on the axis, where they can be compared.
STACK = ("failure", "pending", "success")
TICKS = 6


class Bucket(NamedTuple):
    """The records of one span of time, by outcome."""

    begins: datetime
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def bars(buckets: Sequence[Bucket], step: timedelta, addresses: Sequence[str], note: str) -> SafeString:
    """Return the chart; `addresses` are where each bar leads."""
    most = max((bucket.total for bucket in buckets), default=0)
    slot = (WIDTH - LEFT - RIGHT) / len(buckets)
    drawn = format_html_join(
        "",
        '<a href="{}"><title>{}</title><rect class="slot" x="{}" y="{}" width="{}" height="{}"/>{}</a>',
        (
            (
                address,
                _words(bucket, step),
                _px(LEFT + n * slot),
                TOP,
                _px(slot),
                HEIGHT - TOP - BOTTOM,
                _bar(bucket, n, slot, most),
            )
            for n, (bucket, address) in enumerate(zip(buckets, addresses, strict=True))
            if bucket.total
        ),
    )
    first, end = buckets[0].begins, buckets[-1].begins + step
    return format_html(
        '<svg class="figure counts" viewBox="0 0 {} {}" role="group" aria-label="{}" data-first="{}" data-end="{}"'
        ' data-left="{}" data-right="{}">{}<line class="edge" x1="{}" y1="{}" x2="{}" y2="{}"/>{}{}'
        '<rect class="brush" y="{}" height="{}" width="0" x="0"/></svg>',
        *(WIDTH, HEIGHT, note, first.isoformat(), end.isoformat(), LEFT, WIDTH - RIGHT, _levels(most)),
        *(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, _ticks(first, end), drawn),
        *(TOP, HEIGHT - TOP - BOTTOM),
    )


def _bar(bucket: Bucket, n: int, slot: float, most: int) -> SafeString:
    parts, base = [], float(HEIGHT - BOTTOM)
    for outcome in STACK:
        if count := bucket.counts.get(outcome, 0):
            height = max(count / most * (HEIGHT - TOP - BOTTOM), 1.0)
            base -= height
            parts.append((outcome, *map(_px, (LEFT + n * slot + slot * 0.08, base, slot * 0.84, height))))
    return format_html_join("", '<rect class="outcome-{}" x="{}" y="{}" width="{}" height="{}"/>', parts)


def _words(bucket: Bucket, step: timedelta) -> str:
    parts = ", ".join(
        f"{bucket.counts[outcome]:,} {outcome}" for outcome in reversed(STACK) if bucket.counts.get(outcome)
    )
    return f"{_moment(bucket.begins)} to {_moment(bucket.begins + step)} UTC: {bucket.total:,} records, {parts}"


def _levels(most: int) -> SafeString:
    levels = [(0, "0"), (0.5, f"{most / 2:,.0f}"), (1, f"{most:,}")] if most > 1 else [(0, "0"), (1, f"{most:,}")]
    rows = [(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), text) for share, text in levels]
    return format_html_join(
        "",
        '<line class="level" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="label" x="{}" y="{}" text-anchor="end">{}</text>',
        ((LEFT, WIDTH - RIGHT, _px(y), _px(y), LEFT - 5, _px(y + 4), text) for y, text in rows),
    )


def _ticks(first: datetime, end: datetime) -> SafeString:
    span = end - first
    form = "%H:%M:%S" if span < timedelta(minutes=10) else "%H:%M" if span <= timedelta(days=1) else "%m-%d %H:%M"
    if span > timedelta(days=10):
        form = "%Y-%m-%d"
    places = [n / (TICKS - 1) for n in range(TICKS)]
    anchors = ["start", *["middle"] * (TICKS - 2), "end"]
    return format_html_join(
        "",
        '<text class="label" x="{}" y="{}" text-anchor="{}">{}</text>',
        (
            (_px(LEFT + place * (WIDTH - LEFT - RIGHT)), HEIGHT - 5, anchor, (first + span * place).strftime(form))
            for place, anchor in zip(places, anchors, strict=True)
        ),
    )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" + (f":{moment:%S}" if moment.second else "")


def _px(length: float) -> str:
    return f"{length:.1f}"
