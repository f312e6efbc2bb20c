"""Times, sizes, JSON and badges as people read them."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from audit.ledger import reader

_PART_ENDS = re.compile(r"[._/:@]")


def age(seconds: float) -> str:
    """`42 s`, `5 min`, `3 h`, `12 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def waiting_records(count: int, seconds: float) -> str:
    """`3 records wait, the oldest for 5 min`."""
    about = "about " if count > reader.COUNTED else ""
    wait = "1 record waits" if count == 1 else f"{about}{intcomma(count)} records wait"
    return f"{wait}, the oldest for {age(seconds)}"


def time_tag(moment: datetime | None) -> SafeString | str:
    """A time in UTC at milliseconds, readable by people and machines."""
    if moment is None:
        return "—"
    text = moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return format_html(
        '<time datetime="{}" title="{}">{}Z</time>', moment.astimezone(UTC).isoformat(), moment.astimezone(UTC), text
    )


def number(text: str) -> int:
    """The key in an address; -1, which no row has, for what is not a number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def column(title: str, read: Callable[[Any], Any], order_by: str | None = None) -> "staticmethod[[Any], Any]":
    """A column of a list: its title, what it shows of a row, and the field that it can be sorted by."""
    return staticmethod(admin.display(description=title, ordering=order_by)(read))


def time_column(title: str, field: str, *, sortable: bool = True) -> "staticmethod[[Any], Any]":
    """A column that shows a time of the row, UTC."""
    return column(title, lambda row: time_tag(getattr(row, field)), field if sortable else None)


def breakable(text: str) -> SafeString:
    """Text of a narrow column, which breaks between its parts before it breaks within one."""
    return mark_safe(_PART_ENDS.sub(r"\g<0><wbr>", escape(text)))


def badge(kind: str, text: str) -> SafeString:
    """A word with a sign: colour is never the only difference."""
    return format_html(
        '<span class="badge badge-{}"><span aria-hidden="true">{}</span> {}</span>', kind, SIGNS[kind], text
    )


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


SIGNS = {"ok": "✓", "warning": "!", "error": "✗", "pending": "…"}
OUTCOMES = {"success": "ok", "failure": "error", "pending": "pending"}
STATES = {
    "sealed": "ok",
    "stored": "pending",
    "due": "pending",
    "waiting": "pending",
    "leased": "pending",
    "dead": "error",
}
