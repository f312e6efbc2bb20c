"""figures: what a section of a report is made of. Pure: no Django.

Values are whole numbers and texts, never floats: what is hashed must look the same whoever computes it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

State = Literal["shown", "none", "exception"]
Value = int | str
OUT_OF_SCOPE = "Outside what the one who asked may see."


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A statement and where to look it up. State `none`: there is no evidence of it in this period."""

    key: str
    label: str
    value: Value
    state: State = "shown"
    # The search of records that finds it.
    query: str = ""
    # The page of the admin that shows it, without the site's address.
    page: str = ""
    note: str = ""


class TableRow(msgspec.Struct, frozen=True):
    """`query` is the search that finds what the row is about."""

    cells: tuple[Value, ...]
    query: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows below the figures; `left_off` more are not listed."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    left_off: int = 0


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Named numbers in their order, drawn as columns."""

    title: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """`says` tells how the figures are computed, and what they do not say."""

    key: str
    title: str
    says: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()


def share(part: int, whole: int) -> str:
    """`99.8 %`; rounded down, so that only all of it is 100."""
    return "—" if not whole else f"{1000 * part // whole / 10:.1f} %"


def minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"


def counted(key: str, label: str, count: int, *, query: str = "", page: str = "", note: str = "") -> Figure:
    """A number that says something even where it is 0."""
    return Figure(key=key, label=label, value=count, query=query, page=page, note=note)


def wrong(key: str, label: str, count: int, *, query: str = "", page: str = "", note: str = "") -> Figure:
    """A number that should be 0."""
    state: State = "exception" if count else "shown"
    return Figure(key=key, label=label, value=count, state=state, query=query, page=page, note=note)


def needed(key: str, label: str, count: int, lacking: str, *, query: str = "", page: str = "") -> Figure:
    """A number that shows nothing where it is 0; `lacking` is the note then."""
    state: State = "shown" if count else "none"
    note = "" if count else lacking
    return Figure(key=key, label=label, value=count, state=state, query=query, page=page, note=note)


def out_of_scope(labels: Mapping[str, str]) -> tuple[Figure, ...]:
    """Figures without a value, for a requester who may not see what they count."""
    return tuple(
        Figure(key=key, label=label, value="—", state="none", note=OUT_OF_SCOPE) for key, label in labels.items()
    )


def listing(
    caption: str,
    columns: tuple[str, ...],
    rows: Sequence[TableRow],
    limit: int,
    *,
    last: bool = False,
    total: int | None = None,
) -> Table:
    """A table of the first `limit` rows, or of the last ones. `total`: how many there are, where `rows` has not all."""
    shown = rows[-limit:] if last else rows[:limit]
    left_off = max((len(rows) if total is None else total) - limit, 0)
    return Table(caption=caption, columns=columns, rows=tuple(shown), left_off=left_off)
