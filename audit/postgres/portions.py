"""Rows that are bounded by bytes and not by their number: an event may be as long as a thousand others.

What is read from records goes through here wherever more than a few of them are read at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.db import connections, transaction

# So many bytes are worked on at once; a single row may be longer.
PORTION_BYTES = 4 * 2**20
# Rows that PostgreSQL hands over together, where their length is not known before.
ROWS_PER_READ = 16

Row = TypeVar("Row")


def stream(statement: str, parameters: Sequence[Any] | Mapping[str, Any], using: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a statement, some at a time; what is done with them does not count to the statement's time."""
    with transaction.atomic(using=using), connections[using].chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(ROWS_PER_READ):
            yield from rows


def portions(rows: Iterable[Row], size: Callable[[Row], int], *, most: int = PORTION_BYTES) -> Iterator[list[Row]]:
    """Yield the rows in lists of at most so many bytes, of one row at least."""
    portion: list[Row] = []
    total = 0
    for row in rows:
        if portion and total + size(row) > most:
            yield portion
            portion, total = [], 0
        portion.append(row)
        total += size(row)
    if portion:
        yield portion
