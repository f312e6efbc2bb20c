"""record_lines: sealed records as lines of JSON, in the order of the log, made by PostgreSQL itself.

What is exported is not everything that is there now but what a checkpoint covers: leaves never move and records never
change, so reading the same leaves a second time gives the same bytes, and no snapshot has to be held open for it.
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

from audit import visibility
from audit.errors import LogDamaged
from audit.formats import event
from audit.formats.grammar import Query
from audit.models import Export, Record, Report
from audit.models.base import visible_to
from audit.search import filters

TIMES = ("event_timestamp", "received_at", "parked_at", "stored_at")
FIELDS = (
    *("event_timestamp", "leaf_index", "event_id", "writer"),
    *(name for name in event.FIELDS if name not in ("event_id", "event_timestamp")),
    *("state", "digest", "received_at", "parked_at", "stored_at"),
)
"""The members of a line."""
FIND_S = 40
READERS, CHUNK, TOGETHER = 2, 5_000, 200
"""Connections, records for each look, records in one value: what PostgreSQL sorts for a look fits in its memory."""
_MADE = {
    "leaf_index": "l.index",
    "event_id": "r.id",
    "state": "'sealed'",
    "digest": "encode(r.digest, 'hex')",
    **{name: f"""to_char(r.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""" for name in TIMES},
}
# Hundreds of records go into one value: a row for each costs both ends more. The leaves are read once, for a look into
# their index for each record costs more than all of them together.
_LINES = f"""
COPY (
    SELECT count(*), min(event_timestamp COLLATE "C"), max(event_timestamp COLLATE "C"),
        convert_to(string_agg(row_to_json(line)::text, E'\\n' ORDER BY leaf_index) || E'\\n', 'UTF8')
    FROM (
        WITH wanted AS MATERIALIZED (SELECT l.index, l.record_id FROM audit_leaf l WHERE {{leaves}})
        SELECT {", ".join(f"{_MADE.get(name, f'r.{name}')} AS {name}" for name in FIELDS)}
        FROM wanted l JOIN audit_record r ON r.id = l.record_id
        WHERE r.id = ANY(ARRAY(SELECT record_id FROM wanted))
    ) line GROUP BY leaf_index / {TOGETHER} ORDER BY leaf_index / {TOGETHER}
) TO STDOUT (FORMAT binary)
"""
_TYPES = ("int8", "text", "text", "bytea")
_RANGE = "l.index >= %s AND l.index < %s"
_LISTED = "l.index = ANY(%s)"
_FIND = """
SELECT l.index FROM audit_record JOIN audit_leaf l ON l.record_id = audit_record.id
WHERE l.index < %s AND {where} ORDER BY l.index
"""


class Part(NamedTuple):
    """Some lines, and the first and the last time of their events."""

    lines: bytes
    records: int
    since: str
    until: str


class Readers:
    """Several connections that read at once: writing JSON is what PostgreSQL is busy with, one core a connection."""

    def __init__(self, using: str = "reader"):
        self._idle: SimpleQueue[BaseDatabaseWrapper] = SimpleQueue()
        self._open = [connections[using].copy() for _ in range(READERS)]
        for connection in self._open:
            connection.inc_thread_sharing()
            self._idle.put(connection)
        self._threads = ThreadPoolExecutor(READERS)

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def parts(self, indexes: Sequence[int]) -> Iterator[Part]:
        """A line of JSON for each of these leaves: some thousands at a time, in order, READERS at most ahead.

        Raises `LogDamaged` where the record of one is gone.
        """
        starts = iter(range(0, len(indexes), CHUNK))
        waiting: deque[Future[Part]] = deque()
        while True:
            for start in islice(starts, READERS + 1 - len(waiting)):
                waiting.append(self._threads.submit(self._read, indexes[start : start + CHUNK]))
            if not waiting:
                return
            yield waiting.popleft().result()

    def _read(self, indexes: Sequence[int]) -> Part:
        connection = self._idle.get()
        try:
            return _part(indexes, connection)
        finally:
            self._idle.put(connection)


def _part(indexes: Sequence[int], connection: BaseDatabaseWrapper) -> Part:
    dense = isinstance(indexes, range)
    parameters = [indexes[0], indexes[-1] + 1] if dense else [list(indexes)]
    with connection.cursor() as cursor:
        statement = _LINES.format(leaves=_RANGE if dense else _LISTED)
        with cursor.connection.cursor().copy(statement, parameters) as copy:
            copy.set_types(_TYPES)
            found = list(copy.rows())
    records = sum(count for count, _, _, _ in found)
    if records != len(indexes):
        raise LogDamaged(
            f"Of the {len(indexes)} records of the leaves {indexes[0]} to {indexes[-1]} only {records} are here: "
            "verify the log (`manage.py verify`)."
        )
    since, until = min(first for _, first, _, _ in found), max(last for _, _, last, _ in found)
    return Part(b"".join(lines for _, _, _, lines in found), records, since, until)


def find(export: Export, query: Query, using: str = "reader") -> Iterator[list[int]]:
    """The leaves of the records that match and that the one who asked may see, in order, some thousands at a time."""
    condition, parameters = _condition(export, query, using)
    with transaction.atomic(using=using), _patience(using), connections[using].chunked_cursor() as cursor:
        cursor.execute(_FIND.format(where=condition), [export.size, *parameters])
        while rows := cursor.fetchmany(CHUNK):
            yield [index for (index,) in rows]


@contextmanager
def _patience(using: str) -> Iterator[None]:
    """Finding all that match may take longer than finding a page of them."""
    connection: Any = connections[using].connection
    before, connection.patience = connection.patience, FIND_S + 1
    try:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{FIND_S}s"])
        yield
    finally:
        connection.patience = before


def sight_of(asked: Export | Report) -> visibility.Scopes:
    """What the one who asked may see."""
    return tuple(visibility.Scope(tuple(writers), tuple(categories)) for writers, categories in asked.sight)


def _condition(export: Export, query: Query, using: str) -> tuple[str, Any]:
    found = Record.objects.using(using).filter(filters.where(query, export.requested_at)).order_by()
    if sight := sight_of(export):
        found = found.filter(visible_to(sight, "writer", "event_category"))
    try:
        statement, parameters = found.query.get_compiler(using).compile(found.query.where)
        return statement, parameters
    except FullResultSet:
        return "true", ()
    except EmptyResultSet:
        return "false", ()
