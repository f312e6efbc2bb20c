"""Charts of a result as SVG, drawn here: axes, units and labels, nothing that a browser would have to load."""

import math
from collections.abc import Sequence
from html import escape
from statistics import median

from bench.ingest.result import Rate, Row, figure

LINE_PX, LEFT_PX, PLOT_PX, RIGHT_PX = 22, 410, 400, 210
TOP_PX, BOTTOM_PX = 44, 48
PANEL_PX = 260
WIDTH_PX = LEFT_PX + PLOT_PX + RIGHT_PX
# Shares of a goal at which the axis of goals has a line; what lies outside is drawn at its end.
SHARES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
REACHED, MISSED, NEUTRAL = "#2b7a4b", "#b3372f", "#35618e"
PALETTE = ("#35618e", "#b3372f", "#2b7a4b", "#8a5a00", "#6b4c9a", "#00727a", "#a0446f", "#555555")
# Curves by name: minutes and values.
Series = dict[str, list[tuple[float, float]]]


def goals(rows: Sequence[Row], *, title: str) -> str:
    """Each row that was measured and has a goal other than nought, as a share of it, with the spread of its rounds."""
    drawn = [row for row in rows if row.values and row.goal and row.goal.bound]
    parts = _axis(len(drawn), [(_of_share(share), f"{share:g}") for share in SHARES], "share of the goal, logarithmic")
    parts.append(_line(_of_share(1), TOP_PX - 6, _of_share(1), _bottom(len(drawn)), "#222", width=2))
    for number, row in enumerate(drawn):
        assert row.goal is not None
        shares = [_of_share(row.goal.share(value)) for value in row.values]
        color = REACHED if row.is_met else MISSED
        name = f"{row.name}, beside {row.beside}" if row.beside else row.name
        parts += _label(number, name, f"{row.said()}, goal {row.goal}")
        parts += _whisker(number, min(shares), _of_share(row.goal.share(median(row.values))), max(shares), color)
    return _svg(title, parts, _height(len(drawn)))


def rates(drawn: Sequence[Rate], *, title: str, unit: str) -> str:
    """Rates of one unit as bars from nought, with the spread of their rounds."""
    most = nice(max((max(rate.values) for rate in drawn), default=1))
    ticks = [(LEFT_PX + PLOT_PX * n / 4, figure(most * n / 4)) for n in range(5)]
    parts = _axis(len(drawn), ticks, unit)
    for number, rate in enumerate(drawn):
        at = [LEFT_PX + PLOT_PX * value / most for value in (min(rate.values), median(rate.values), max(rate.values))]
        y = TOP_PX + number * LINE_PX
        parts.append(f'<rect x="{LEFT_PX}" y="{y + 5}" width="{at[1] - LEFT_PX:.1f}" height="12" fill="#b9cde0"/>')
        parts += _label(number, rate.name, figure(median(rate.values)))
        parts += _whisker(number, at[0], at[1], at[2], NEUTRAL)
    return _svg(title, parts, _height(len(drawn)))


def curves(series: Series, *, title: str, unit: str, top: float = 0) -> list[str]:
    """A panel of lines over minutes, PANEL_PX high from `top`; `unit` names the vertical axis."""
    height, left, width = 170, 70, WIDTH_PX - 270
    minutes = nice(max((x for points in series.values() for x, _ in points), default=1))
    most = nice(max((y for points in series.values() for _, y in points), default=1))
    base = top + 40 + height
    parts = [_text(left, top + 24, title, weight="bold")]
    for n in range(5):
        y, x = base - height * n / 4, left + width * n / 4
        parts += [_line(left, y, left + width, y, "#ddd"), _text(left - 6, y + 4, figure(most * n / 4), anchor="end")]
        parts += [_line(x, base, x, base + 4, "#888"), _text(x, base + 17, figure(minutes * n / 4), anchor="middle")]
    parts += [_text(left + width / 2, base + 33, "minutes", anchor="middle"), _text(4, top + 24, unit)]
    for number, (name, points) in enumerate(series.items()):
        color = PALETTE[number % len(PALETTE)]
        path = " ".join(f"{left + width * x / minutes:.1f},{base - height * y / most:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        y = top + 50 + number * 17
        parts += [_line(left + width + 16, y - 4, left + width + 36, y - 4, color, width=3)]
        parts.append(_text(left + width + 42, y, f"{name}: {figure(points[-1][1])}"))
    return parts


def panels(drawn: Sequence[tuple[str, str, Series]], *, title: str) -> str:
    """Several panels of curves, one below the other: title, unit, series of each."""
    parts = []
    for number, (name, unit, series) in enumerate(drawn):
        parts += curves(series, title=name, unit=unit, top=number * PANEL_PX)
    return _svg(title, parts, PANEL_PX * len(drawn), headed=False)


def nice(value: float) -> float:
    """The next round number from here up, for the end of an axis."""
    if value <= 0:
        return 1
    power: float = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= value * 0.999999)


def _of_share(share: float) -> float:
    low, high = math.log(SHARES[0]), math.log(SHARES[-1])
    place = (min(max(math.log(share), low), high) - low) / (high - low)
    return LEFT_PX + PLOT_PX * place


def _axis(lines: int, ticks: Sequence[tuple[float, str]], unit: str) -> list[str]:
    bottom, parts = _bottom(lines), []
    for x, text in ticks:
        parts += [_line(x, TOP_PX - 4, x, bottom, "#ddd"), _text(x, bottom + 16, text, anchor="middle")]
    return [*parts, _text(LEFT_PX + PLOT_PX / 2, bottom + 36, unit, anchor="middle")]


def _label(number: int, name: str, value: str) -> list[str]:
    y = TOP_PX + number * LINE_PX + 15
    return [_text(LEFT_PX - 10, y, name, anchor="end"), _text(LEFT_PX + PLOT_PX + 10, y, value)]


def _whisker(number: int, low: float, middle: float, high: float, color: str) -> list[str]:
    y = TOP_PX + number * LINE_PX + 11
    ends = [_line(x, y - 4, x, y + 4, color) for x in (low, high)]
    return [_line(low, y, high, y, color), *ends, f'<circle cx="{middle:.1f}" cy="{y}" r="4.5" fill="{color}"/>']


def _bottom(lines: int) -> int:
    return TOP_PX + lines * LINE_PX


def _height(lines: int) -> int:
    return _bottom(lines) + BOTTOM_PX


def _line(x1: float, y1: float, x2: float, y2: float, color: str, *, width: float = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _svg(title: str, parts: Sequence[str], height: float, *, headed: bool = True) -> str:
    """The whole picture, on white, so that it can be read on any page."""
    head = [_text(10, 22, title, weight="bold")] if headed else []
    body = "\n".join([*head, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height:.0f}" width="{WIDTH_PX}" '
        f'height="{height:.0f}" role="img" font-family="sans-serif" font-size="12" fill="#222">\n'
        f'<title>{escape(title)}</title>\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
