"""SVG bars of the daily balance: a bar for each day, its parts told apart by shade, sign and words."""

from datetime import date
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.accounting.balance import BalanceLine

LEFT, LENGTH, ROW, SHOWN = 100, 260, 18, 31
# Each part of a bar: its name in words, and its class.
PARTS = {
    "stored": ("stored", "sum-stored"),
    "waiting": ("parked or dead", "sum-waiting"),
    "apart": ("quarantined or discarded", "sum-apart"),
    "rejected": ("rejected", "sum-rejected"),
    "lost": ("lost", "sum-lost"),
}


def account(days: list[tuple[date, BalanceLine]]) -> SafeString:
    shown = days[:SHOWN]
    if not shown:
        return SafeString("")
    most = max(sum(_pieces(line).values()) for _, line in shown) or 1
    bars = [_bar(place, day, line, most) for place, (day, line) in enumerate(shown)]
    context = {"days": bars, "width": 980, "height": 12 + ROW * len(bars)}
    return SafeString(render_to_string("admin/audit/account/bars.svg", context))


def _pieces(line: BalanceLine) -> dict[str, int]:
    return {
        "stored": line.stored,
        "waiting": line.parked + line.dead,
        "apart": line.quarantined + line.discarded,
        "rejected": line.rejected,
        "lost": line.lost,
    }


def _bar(place: int, day: date, line: BalanceLine, most: int) -> dict[str, Any]:
    parts, x, pieces = [], float(LEFT), _pieces(line)
    for name, count in pieces.items():
        length = max(round(LENGTH * count / most, 1), 1)
        if count:
            parts.append({"kind": PARTS[name][1], "x": round(x, 1), "length": length})
            x += length
    words = ", ".join(f"{count:,} {PARTS[name][0]}" for name, count in pieces.items() if count and name != "stored")
    y, number = 14 + place * ROW, f"{line.received:,}"
    shape = {"y": y, "top": y - 10, "end": round(x + 6, 1), "parts": parts}
    return {"label": day.isoformat(), "number": number, "words": words, **shape}
