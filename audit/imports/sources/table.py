"""Rows of CSV (RFC 4180), each an object by the names of its columns: those of the first row, or of the mapping."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from audit.formats.canonical import Unreadable
from audit.imports.reading.window import MAX_CHARACTERS, Broken

csv.field_size_limit(MAX_CHARACTERS)


def rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the values of each row; one may have several lines. Raises `Broken` for a row that does not end."""
    reader = csv.reader(_bounded(lines), delimiter=delimiter, strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Broken(f"it is not CSV: {error}") from None
        if row:
            yield row


def names(row: Sequence[str]) -> Sequence[str]:
    """Return the names of columns that a first row gives. Raises `Broken` where two are the same."""
    if twice := repeated(row):
        stands = "column {} stands" if len(twice) == 1 else "columns {} stand"
        raise Broken(
            f"the {stands.format(', '.join(map(repr, twice)))} twice in its first row, and of two values one would be "
            "lost: give each column a name of its own"
        )
    return row


def repeated(columns: Sequence[str]) -> list[str]:
    """Return the names that stand more than once."""
    return [name for name, count in Counter(columns).items() if count > 1]


def as_object(row: Sequence[str], columns: Sequence[str]) -> Any:
    """Return a row by the names of its columns; an `Unreadable` where it has more values than there are columns."""
    if len(row) > len(columns):
        text = ",".join(row)
        return Unreadable({"": f"has {len(row)} values, and there are {len(columns)} columns"}, text)
    return dict(zip(columns, row, strict=False))


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    """A quote that does not end would take in the rest of a file: the csv module itself bounds a field."""
    yield from lines
