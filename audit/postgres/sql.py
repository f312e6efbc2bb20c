"""Statements that are written as SQL, each by itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connections

Parameters = Sequence[Any] | Mapping[str, Any] | None


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
