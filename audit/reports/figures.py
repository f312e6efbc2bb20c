"""figures: what a section of a report is made of. Pure: no Django.

Values are whole numbers and texts, never floats: what is hashed must look the same whoever computes it.
"""

from typing import Literal

import msgspec

State = Literal["shown", "none", "exception"]
Value = int | str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is said, and where it is looked up. `none`: there is no evidence of it in this period."""

    key: str
    label: str
    value: Value
    state: State = "shown"
    query: str = ""
    """The search of records that gives it."""
    page: str = ""
    """The page of the admin that shows it, without its site."""
    note: str = ""


class Row(msgspec.Struct, frozen=True):
    """One line of a table; `query` finds what it is about."""

    cells: tuple[Value, ...]
    query: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Lines below the figures, of which so many are left off."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    left_off: int = 0


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Named numbers in their order, drawn as columns."""

    title: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a report."""

    key: str
    title: str
    says: str
    """How the figures come about, and what they do not say."""
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()


def share(part: int, whole: int) -> str:
    """`99.8 %`; rounded down, so that only all of it is 100."""
    return "—" if not whole else f"{1000 * part // whole / 10:.1f} %"


def counted(key: str, label: str, count: int, *, query: str = "", page: str = "", note: str = "") -> Figure:
    """A number that says something even where it is 0."""
    return Figure(key=key, label=label, value=count, query=query, page=page, note=note)


def wrong(key: str, label: str, count: int, *, query: str = "", page: str = "", note: str = "") -> Figure:
    """A number that should be 0."""
    state: State = "exception" if count else "shown"
    return Figure(key=key, label=label, value=count, state=state, query=query, page=page, note=note)


def needed(key: str, label: str, count: int, lacking: str, *, query: str = "", page: str = "") -> Figure:
    """A number that shows nothing where it is 0; `lacking` says so."""
    state: State = "shown" if count else "none"
    note = "" if count else lacking
    return Figure(key=key, label=label, value=count, state=state, query=query, page=page, note=note)
