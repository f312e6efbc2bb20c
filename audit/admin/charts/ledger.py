"""Figures as SVG, computed here and written by templates; classes only, for the pages allow no inline style."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.admin.display import age
from audit.formats import merkle, note
from audit.models import Checkpoint, Episode, Leaf
from dlq.history import Sample

STEP, WIDTH = 46, 720
BOX_WIDTH, BOX_GAP, SHOWN = 104, 26, 6
CHART_WIDTH, CHART_HEIGHT = 720, 110
BAR_LEFT, BAR_LENGTH = 260, 230


class Step(NamedTuple):
    """One line of a proof: what is combined with what comes from below."""

    y: int
    sibling_x: int
    path_x: int
    from_left: bool
    hash: str
    span: str
    result: str


class Box(NamedTuple):
    """One checkpoint of the chain."""

    x: int
    number: int
    size: str
    added: str
    ago: str
    cosigned: bool


class Bar(NamedTuple):
    """One bar of a chart."""

    label: str
    number: str
    y: int
    top: int
    length: float
    end: float


def proof(leaf: Leaf, checkpoint: Checkpoint, evidence: note.Proof) -> SafeString:
    """The way from a leaf up to the signed root, with what is added on each side."""
    steps: list[Step] = []
    found = bytes(leaf.leaf_hash)
    spans = merkle.inclusion_spans(leaf.index, checkpoint.size)
    for place, (span, sibling) in enumerate(zip(spans, evidence.hashes, strict=True)):
        from_left = span[0] < leaf.index
        found = merkle.node_hash(sibling, found) if from_left else merkle.node_hash(found, sibling)
        steps.append(_step(place, span, sibling, from_left, found))
    steps.reverse()
    count = len(steps)
    lines = [step._replace(y=20 + STEP * place) for place, step in enumerate(steps)]
    context = {
        "steps": lines,
        "leaf_y": 20 + STEP * count,
        "height": 20 + STEP * count + 44,
        "width": WIDTH,
        "middle": WIDTH // 2,
        "leaf": bytes(leaf.leaf_hash).hex()[:16],
        "index": leaf.index,
        "root": bytes(checkpoint.root).hex()[:16],
        "size": checkpoint.size,
    }
    return SafeString(render_to_string("admin/audit/checkpoint/proof.svg", context))


def _step(place: int, span: merkle.Span, sibling: bytes, from_left: bool, result: bytes) -> Step:
    first, last = span
    covered = f"leaf {first:,}" if last == first + 1 else f"leaves {first:,} to {last - 1:,}"
    x = 10 if from_left else WIDTH - 240
    return Step(0, x, WIDTH // 2, from_left, sibling.hex()[:16], covered, result.hex()[:16])


def queue_chart(samples: list[Sample], minutes: int) -> SafeString:
    """Depth as an area, arrivals and departures a minute as lines, over the last minutes."""
    if len(samples) < 2:
        return SafeString("")
    end = samples[-1].minute
    deepest = max(one.depth for one in samples) or 1
    flows = [
        (after.minute, (after.enqueued - before.enqueued) / step, (after.gone - before.gone) / step)
        for before, after in pairwise(samples)
        if (step := after.minute - before.minute)
    ]
    busiest = max((max(came, went) for _, came, went in flows), default=0) or 1

    def x(minute: int) -> float:
        return round(CHART_WIDTH * (1 - (end - minute) / minutes), 1)

    def points(pairs: Iterable[tuple[int, float]], most: float) -> str:
        return " ".join(f"{x(minute)},{round(CHART_HEIGHT * (1 - value / most), 1)}" for minute, value in pairs)

    area = points(((one.minute, one.depth) for one in samples), deepest)
    context = {
        "area": f"{x(samples[0].minute)},{CHART_HEIGHT} {area} {x(end)},{CHART_HEIGHT}",
        "came": points(((minute, came) for minute, came, _ in flows), busiest),
        "went": points(((minute, went) for minute, _, went in flows), busiest),
        "deepest": f"{deepest:,}",
        "busiest": f"{busiest:,.0f}",
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "hours": f"{minutes / 60:g}",
    }
    return SafeString(render_to_string("admin/audit/parked/chart.svg", context))


def outage(episode: Episode) -> SafeString:
    """How long events were parked, and how long it took to bring them home."""
    if episode.emptied_at is None:
        return SafeString("")
    up = episode.up_at or episode.emptied_at
    down, drain = (up - episode.began_at).total_seconds(), (episode.emptied_at - up).total_seconds()
    edge = round(CHART_WIDTH * max(down, 0) / max(down + drain, 0.001), 1)
    context = {
        "width": CHART_WIDTH,
        "edge": edge,
        "rest": round(CHART_WIDTH - edge, 1),
        "down": age(down),
        "drain": age(drain),
        "began": f"{episode.began_at:%Y-%m-%d %H:%M:%S}",
        "emptied": f"{episode.emptied_at:%H:%M:%S}",
    }
    return SafeString(render_to_string("admin/audit/episode/outage.svg", context))


def bars(title: str, counts: dict[str, int]) -> SafeString:
    """Horizontal bars, one for each name, in the order given."""
    most = max(counts.values(), default=0) or 1
    rows = []
    for place, (label, count) in enumerate(counts.items()):
        length = round(BAR_LENGTH * count / most, 1)
        y = 32 + place * 18
        rows.append(Bar(label[:34], f"{count:,}", y, y - 10, length, round(BAR_LEFT + length + 6, 1)))
    context = {"title": title, "bars": rows, "left": BAR_LEFT, "width": 560, "height": 32 + 18 * len(rows)}
    return SafeString(render_to_string("admin/audit/parked/bars.svg", context))


def chain(newest_first: list[Checkpoint], cosigned: set[int], now: Any) -> SafeString:
    """The newest checkpoints as a chain, the oldest on the left."""
    rows = newest_first[: SHOWN + 1][::-1]
    before = rows[0].size if len(rows) > SHOWN else 0
    shown = rows[1:] if len(rows) > SHOWN else rows
    boxes = []
    for place, row in enumerate(shown):
        added = f"+{row.size - before:,}" if row.size != before else "no new"
        ago = age((now - row.created_at).total_seconds())
        x = place * (BOX_WIDTH + BOX_GAP) + 4
        boxes.append(Box(x, row.number, f"{row.size:,}", added, ago, row.number in cosigned))
        before = row.size
    width = max(len(boxes), 1) * (BOX_WIDTH + BOX_GAP)
    return SafeString(render_to_string("admin/audit/checkpoint/chain.svg", {"boxes": boxes, "width": width}))
