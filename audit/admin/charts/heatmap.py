"""Counts as shaded cells of a table, so that the picture can be read, heard and followed by link."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString

from audit.completeness.causes import Cause, Causes
from audit.completeness.coverage import NONE, Count, Key

SHADES = 5
# What stands in a cell without events, by why it is so.
SIGNS = {"gap": "!", "outage": "~", "silence": "…", "": "·"}
OUTSIDE = '<td class="heat"></td>'  # before the writer was first heard, and after now


class Column(NamedTuple):
    first: datetime
    last: datetime
    label: str
    name: str
    url: str
    within: str  # what a search for records of this span has in its address


class Picture:
    """With `links`, each cell leads to its records; else it is read with pointer or keyboard alone."""

    def __init__(self, counts: Mapping[Key, Count], known: Causes, now: datetime, *, links: bool = True):
        self._counts, self._known, self._now, self._links = counts, known, now, links
        most = max((count.events for count in counts.values()), default=1)
        # Equal ratios, for a busy writer sends a thousand times what a quiet one does.
        self._bounds = [round(most ** (level / SHADES)) for level in range(1, SHADES)] + [most]

    @property
    def legend(self) -> list[dict[str, Any]]:
        """How many events each shade stands for."""
        shades, least = [], 1
        for level, most in enumerate(self._bounds, 1):
            if most >= least:
                shades.append({"level": level, "text": f"{least:,}" if least == most else f"{least:,} to {most:,}"})
                least = most + 1
        return shades

    def row(self, label: str, url: str, writer: str, columns: Sequence[Column], began: datetime) -> dict[str, Any]:
        cells = SafeString("".join(self._cells(writer, columns, began)))
        total = sum(self._counts.get((writer, column.first), NONE).events for column in columns)
        return {"label": label, "url": url, "cells": cells, "total": total}

    def _cells(self, writer: str, columns: Sequence[Column], began: datetime) -> Iterator[str]:
        """Yield the cells of a line. There are thousands on a page, so what they have in common is escaped once."""
        records = escape(f"{reverse('admin:audit_record_changelist')}?{urlencode({'q': f'writer:{writer}'})}")
        name = escape(writer)
        for column in columns:
            count = self._counts.get((writer, column.first), NONE)
            if not count.events and (column.last <= began or column.first > self._now):
                yield OUTSIDE
                continue
            why = self._known.why(writer, column.first, column.last)
            css, sign = self._look(count, why)
            words = f"{name} {column.name}: {escape(_words(count, why)) if why else _words(count, why)}"
            opening = f'<a href="{records}{column.within}">' if self._links else '<b tabindex="0">'
            closing = "</a>" if self._links else "</b>"
            yield f'<td class="heat heat-{css}">{opening}{sign}<span>{words}</span>{closing}</td>'

    def _look(self, count: Count, why: Sequence[Cause]) -> tuple[str, str]:
        kind = why[0].kind if why else ""
        if not count.events:
            return f"why-{kind or 'unknown'}", SIGNS[kind]
        level = next(level for level, most in enumerate(self._bounds, 1) if count.events <= most)
        return str(level), SIGNS["gap"] if kind == "gap" else ""


def column(first: datetime, last: datetime, label: str, name: str, url: str = "") -> Column:
    within = f"+after:{first:%Y-%m-%dT%H:%M}Z+before:{last:%Y-%m-%dT%H:%M}Z"
    return Column(first, last, label, name, url, within)


def months(columns: Sequence[Column]) -> list[tuple[str, int]]:
    return [(name, len(list(days))) for name, days in groupby(columns, key=lambda column: f"{column.first:%Y-%m}")]


def _words(count: Count, why: Sequence[Cause]) -> str:
    parts = [f"{count.events:,} event{'' if count.events == 1 else 's'}"]
    parts += [f"{count.failures:,} failed"] if count.failures else []
    parts += [f"{count.parked:,} through the queue"] if count.parked else []
    nothing = [] if count.events or why else ["no outage, gap or silence is known of"]
    return "; ".join([", ".join(parts), *(reason.text for reason in why), *nothing])
