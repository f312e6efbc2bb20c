"""period: the days that people report on. Pure: no Django."""

from datetime import date, timedelta

PRESETS = {
    "month": "the last month",
    "quarter": "the last quarter",
    "year": "the last year",
    "so_far": "this month so far",
}


def days(name: str, today: date) -> tuple[date, date]:
    """First and last day of one of PRESETS."""
    if name == "so_far":
        return today.replace(day=1), today
    months = {"month": 1, "quarter": 3, "year": 12}[name]
    begins = date(today.year, (today.month - 1) // months * months + 1, 1)
    last = begins - timedelta(days=1)
    count = begins.year * 12 + begins.month - 1 - months
    return date(count // 12, count % 12 + 1, 1), last
