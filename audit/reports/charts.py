"""charts: numbers as columns, in SVG. With attributes too, for printers that read no style sheet inside a figure."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

WIDTH, HEIGHT, TOP, NAMED = 720, 90, 18, 14


def columns(drawing: dict[str, Any]) -> SafeString:
    """A column for each number; names below as far as there is room."""
    names, numbers = drawing["names"], drawing["numbers"]
    most, step = max(numbers), WIDTH / len(numbers)
    every = -(-len(numbers) // NAMED)
    bars = [
        {
            "x": round(place * step + step * 0.1, 1),
            "name_x": round(min(place * step + step * 0.1, WIDTH - 40), 1),
            "y": round(TOP + HEIGHT * (1 - number / most), 1),
            "height": round(HEIGHT * number / most, 1),
            "name": name[5:] if len(name) == 10 and name[4] == "-" else name,
            "is_named": place % every == 0,
            "title": f"{name}: {number:,}",
        }
        for place, (name, number) in enumerate(zip(names, numbers, strict=True))
    ]
    said = f"{drawing['title']}, from {names[0]} to {names[-1]}; the most: {most:,}"
    context = {"bars": bars, "width": WIDTH, "bottom": TOP + HEIGHT, "height": TOP + HEIGHT + 18, "said": said}
    context |= {
        "title": drawing["title"],
        "most": f"{most:,}",
        "thick": round(min(step * 0.8, 48), 1),
        "names_y": TOP + HEIGHT + 13,
    }
    return SafeString(render_to_string("reports/columns.svg", context))
