"""The lag of a target of streams over a day, as a line. Classes only: the pages allow no inline style."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 720, 110


def lag(samples: Sequence[Sequence[Any]], minutes: int) -> SafeString:
    """Draw samples (time in ISO 8601, records), taken so many minutes apart; "" where there are less than two."""
    if len(samples) < 2:
        return SafeString("")
    times = [datetime.fromisoformat(text).astimezone(UTC) for text, _ in samples]
    first, span = times[0], max((times[-1] - times[0]).total_seconds(), 1.0)
    most = max(*(records for _, records in samples), 1)
    places = [
        f"{WIDTH * (at - first).total_seconds() / span:.1f},{HEIGHT * (1 - records / most):.1f}"
        for at, (_, records) in zip(times, samples, strict=True)
    ]
    context = {
        "width": WIDTH,
        "height": HEIGHT,
        "line": " ".join(places),
        "area": f"0,{HEIGHT} {' '.join(places)} {WIDTH},{HEIGHT}",
        "most": f"{most:,}",
        "first": f"{first:%Y-%m-%d %H:%M}",
        "last": f"{times[-1]:%H:%M}",
        "minutes": minutes,
    }
    return SafeString(render_to_string("admin/audit/stream/lag.svg", context))
