"""What statements read: the rows that each node of their plans took from a table, as they ran."""

import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

from django.db import connections

from audit.postgres import sql

STATEMENT_CHARACTERS = 400


class Read(NamedTuple):
    """The rows that a node of a plan read of a table, those that a filter dropped among them."""

    rows: int
    # Such as `Index Scan of audit_gap by audit_gap_newest`.
    node: str
    statement: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows by {self.node}, for: {' '.join(self.statement.split())[:STATEMENT_CHARACTERS]}"


def reads(statement: str, parameters: Any = None, *, using: str = "default") -> list[Read]:
    """Run a statement, and return what each node of its plan read."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT json) {statement}", parameters)
        [(plan,)] = cursor.fetchall()
    return list(_reads(plan[0]["Plan"], statement))


def reads_of(statements: Iterable[str], about: re.Pattern[str]) -> list[Read]:
    """Run the SELECTs among these that are about something again, and those in the order of an index as they ran."""
    found, is_in_order = list[Read](), False
    for text in statements:
        if "enable_incremental_sort" in text:
            is_in_order = "'off'" in text
        elif text.lstrip().startswith("SELECT") and about.search(text):
            with sql.in_order() if is_in_order else nullcontext():
                found += reads(text)
    return found


def tables(statement: str, *, using: str = "default") -> set[str]:
    """Return the tables and partitions that the plan of a statement opens."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT json) {statement}")
        [(plan,)] = cursor.fetchall()
    return {node["Relation Name"] for node in _nodes(plan[0]["Plan"]) if "Relation Name" in node}


def most(found: Iterable[Read], count: int = 3) -> str:
    """Which of them read the most, a line each."""
    return "\n".join(map(str, sorted(found, reverse=True)[:count]))


def _reads(node: dict[str, Any], statement: str) -> Iterator[Read]:
    for each in _nodes(node):
        if "Relation Name" in each:
            by = f" by {each['Index Name']}" if "Index Name" in each else ""
            dropped = each.get("Rows Removed by Filter", 0) + each.get("Rows Removed by Index Recheck", 0)
            name = f"{each['Node Type']} of {each['Relation Name']}{by}, {each['Actual Loops']:g} times"
            yield Read(round((each["Actual Rows"] + dropped) * each["Actual Loops"]), name, statement)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from _nodes(part)
