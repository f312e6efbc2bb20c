"""record_lines: sealed records as lines of JSON, in the order of the log, written by PostgreSQL itself.

A bundle has what its checkpoint covers: leaves never move and records never change, so reading the same leaves again
gives the same bytes, and no snapshot has to be held open for it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.errors import LogDamaged
from audit.formats import event
from audit.formats.grammar import Query
from audit.models import Export, Record
from audit.models.base import visible_to
from audit.search import filters

TIMES = ("event_timestamp", "received_at", "parked_at", "stored_at")
# The members of a line, which are the columns of a CSV too.
MEMBERS = (
    *("event_timestamp", "leaf_index", "event_id", "writer"),
    *(name for name in event.FIELDS if name not in ("event_id", "event_timestamp")),
    *("state", "digest", "received_at", "parked_at", "stored_at"),
)
FIND_TIMEOUT_S = 40
# Writing JSON keeps one core of PostgreSQL busy for each connection.
CONNECTIONS = 2
# What PostgreSQL sorts for one read fits in its memory.
RECORDS_PER_READ = 5_000
# Hundreds of records go into one value: a row for each costs both ends more.
RECORDS_PER_VALUE = 200
_EXPRESSIONS = {
    "leaf_index": "l.index",
    "event_id": "r.id",
    "state": "'sealed'",
    "digest": "encode(r.digest, 'hex')",
    **{name: f"""to_char(r.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""" for name in TIMES},
}
# The leaves are read once: looking each record up in their index costs more than reading all of them together.
_LINES = f"""
COPY (
    SELECT count(*), min(event_timestamp COLLATE "C"), max(event_timestamp COLLATE "C"),
        convert_to(string_agg(row_to_json(line)::text, E'\\n' ORDER BY leaf_index) || E'\\n', 'UTF8')
    FROM (
        WITH wanted AS MATERIALIZED (SELECT l.index, l.record_id FROM audit_leaf l WHERE {{leaves}})
        SELECT {", ".join(f"{_EXPRESSIONS.get(name, f'r.{name}')} AS {name}" for name in MEMBERS)}
        FROM wanted l JOIN audit_record r ON r.id = l.record_id
        WHERE r.id = ANY(ARRAY(SELECT record_id FROM wanted))
    ) line GROUP BY leaf_index / {RECORDS_PER_VALUE} ORDER BY leaf_index / {RECORDS_PER_VALUE}
) TO STDOUT (FORMAT binary)
"""
_TYPES = ("int8", "text", "text", "bytea")
_RANGE = "l.index >= %s AND l.index < %s"
_LISTED = "l.index = ANY(%s)"
_FIND = """
SELECT l.index FROM audit_record JOIN audit_leaf l ON l.record_id = audit_record.id
WHERE l.index < %s AND {where} ORDER BY l.index
"""


class RecordLines(NamedTuple):
    """Some lines, and the first and the last time of their events."""

    lines: bytes
    records: int
    since: str
    until: str


class Readers:
    def __init__(self, using: str = "reader"):
        self._idle: SimpleQueue[BaseDatabaseWrapper] = SimpleQueue()
        self._open = [connections[using].copy() for _ in range(CONNECTIONS)]
        for connection in self._open:
            connection.inc_thread_sharing()
            self._idle.put(connection)
        self._threads = ThreadPoolExecutor(CONNECTIONS)

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def read(self, indexes: Sequence[int]) -> Iterator[RecordLines]:
        """A line for each of these leaves, in order, RECORDS_PER_READ at a time, at most CONNECTIONS reads ahead.

        Raises `LogDamaged` where a record is missing.
        """
        starts = iter(range(0, len(indexes), RECORDS_PER_READ))
        waiting: deque[Future[RecordLines]] = deque()
        while True:
            for start in islice(starts, CONNECTIONS + 1 - len(waiting)):
                waiting.append(self._threads.submit(self._read, indexes[start : start + RECORDS_PER_READ]))
            if not waiting:
                return
            yield waiting.popleft().result()

    def _read(self, indexes: Sequence[int]) -> RecordLines:
        connection = self._idle.get()
        try:
            return _read_lines(indexes, connection)
        finally:
            self._idle.put(connection)


def _read_lines(indexes: Sequence[int], connection: BaseDatabaseWrapper) -> RecordLines:
    is_range = isinstance(indexes, range)
    parameters = [indexes[0], indexes[-1] + 1] if is_range else [list(indexes)]
    with connection.cursor() as cursor:
        statement = _LINES.format(leaves=_RANGE if is_range else _LISTED)
        with cursor.connection.cursor().copy(statement, parameters) as copy:
            copy.set_types(_TYPES)
            rows = list(copy.rows())
    records = sum(count for count, _, _, _ in rows)
    if records != len(indexes):
        raise LogDamaged(
            f"Of the {len(indexes)} records of the leaves {indexes[0]} to {indexes[-1]} only {records} are here: "
            "verify the log (`manage.py verify`)."
        )
    since, until = min(first for _, first, _, _ in rows), max(last for _, _, last, _ in rows)
    return RecordLines(b"".join(lines for _, _, _, lines in rows), records, since, until)


def find(export: Export, query: Query, using: str = "reader") -> Iterator[list[int]]:
    """The leaves of the records that match and that the requester may see, in order, RECORDS_PER_READ at a time."""
    condition, parameters = _condition(export, query, using)
    with transaction.atomic(using=using), _longer_timeout(using), connections[using].chunked_cursor() as cursor:
        cursor.execute(_FIND.format(where=condition), [export.size, *parameters])
        while rows := cursor.fetchmany(RECORDS_PER_READ):
            yield [index for (index,) in rows]


@contextmanager
def _longer_timeout(using: str) -> Iterator[None]:
    """Finding all that match may take longer than finding a page of them."""
    connection: Any = connections[using].connection
    before, connection.patience = connection.patience, FIND_TIMEOUT_S + 1
    try:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{FIND_TIMEOUT_S}s"])
        yield
    finally:
        connection.patience = before


def _condition(export: Export, query: Query, using: str) -> tuple[str, Any]:
    rows = Record.objects.using(using).filter(filters.where(query, export.requested_at)).order_by()
    if scopes := export.scopes():
        rows = rows.filter(visible_to(scopes, "writer", "event_category"))
    try:
        statement, parameters = rows.query.get_compiler(using).compile(rows.query.where)
        return statement, parameters
    except FullResultSet:
        return "true", ()
    except EmptyResultSet:
        return "false", ()
