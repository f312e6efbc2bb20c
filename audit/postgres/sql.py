"""Statements that are written as SQL, each by itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connections, transaction

Parameters = Sequence[Any] | Mapping[str, Any] | None


# Joined to a leaf `l`, its record `r`. Each is looked up in its own month: to a plain join PostgreSQL adds the cost of
# all months for each row, and would rather read the whole store for every batch.
RECORD_OF_LEAF = "LATERAL (SELECT * FROM audit_record WHERE id = l.record_id OFFSET 0) r ON true"

# Which of these records are under a legal hold.
HELD = "SELECT id FROM audit_record r WHERE id = ANY(%s) AND audit_held(r)"

_IN_ORDER = """
SELECT set_config(name, %s, true)
FROM unnest('{enable_seqscan,enable_bitmapscan,enable_sort,enable_incremental_sort}'::text[]) name
"""


def rows(statement: str, parameters: Parameters = None, using: str = "default") -> list[Any]:
    """All rows of a query, as tuples. Without parameters a `%` in it stands for itself."""
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def now() -> datetime:
    """The time by PostgreSQL's clock: what is judged by age is judged by one clock, whichever process judges."""
    [(at,)] = rows("SELECT clock_timestamp()")
    assert isinstance(at, datetime)
    return at


@contextmanager
def in_order() -> Iterator[None]:
    """Within, what a statement asks for in the order of an index is read by that index, whatever is known of the rows.

    In a transaction: the one around, or one of its own.
    """
    with transaction.atomic():
        rows(_IN_ORDER, ["off"])
        yield
        rows(_IN_ORDER, ["on"])  # where a statement failed, all ends with the transaction, or with its savepoint


def run(statement: str, parameters: Parameters = None) -> int:
    """Return how many rows it wrote."""
    with connections["default"].cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
