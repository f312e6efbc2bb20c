"""Statements that are written as SQL, each by itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connections

Parameters = Sequence[Any] | Mapping[str, Any] | None


# Joined to a leaf `l`, its record `r`. Each is looked up in its own month: to a plain join PostgreSQL adds the cost of
# all months for each row, and would rather read the whole store for every batch.
RECORD_OF_LEAF = "LATERAL (SELECT * FROM audit_record WHERE id = l.record_id OFFSET 0) r ON true"

# Which of these records are under a legal hold.
HELD = "SELECT id FROM audit_record r WHERE id = ANY(%s) AND audit_held(r)"


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


def run(statement: str, parameters: Parameters = None) -> int:
    """Return how many rows it wrote."""
    with connections["default"].cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
