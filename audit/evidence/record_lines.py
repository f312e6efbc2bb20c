"""record_lines: sealed records as lines of JSON, in the order of the log, written by PostgreSQL itself.

A bundle has what its checkpoint covers: leaves never move and records never change, so reading the same leaves again
gives the same bytes, and no snapshot has to be held open for it.
"""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.errors import LogDamaged
from audit.evidence.erasure import lines
from audit.formats import event
from audit.formats.erasable.commitments import ERASED, MEMBER, SALTS
from audit.formats.grammar import Query
from audit.models import Export, Record
from audit.models.base import visible_to
from audit.postgres.portions import PORTION_BYTES
from audit.search import cost, filters

TIMES = ("event_timestamp", "received_at", "parked_at", "stored_at")
# The members of a line, which are the columns of a CSV too.
MEMBERS = (
    *("event_timestamp", "leaf_index", "event_id", "writer"),
    *(name for name in event.FIELDS if name not in ("event_id", "event_timestamp")),
    *(MEMBER, SALTS, ERASED),
    *("state", "digest", "received_at", "parked_at", "stored_at"),
)
FIND_TIMEOUT_S = 40
# Writing JSON keeps one core of PostgreSQL busy for each connection.
CONNECTIONS = 2
# What PostgreSQL sorts for one read fits in its memory, where records are of the usual size.
RECORDS_PER_READ = 5_000
READ_BYTES = 32 * 2**20
# Hundreds of records go into one value, for a row of each costs both ends more; fewer where they are large.
RECORDS_PER_VALUE = 200
# Values that wait for whoever writes them, of each read.
VALUES_AHEAD = 2
_EXPRESSIONS = {
    "leaf_index": "l.index",
    "event_id": "r.id",
    "state": "'sealed'",
    SALTS: lines.SALTS_COLUMN,
    ERASED: lines.ERASED_COLUMN,
    "digest": "encode(r.digest, 'hex')",
    **{name: f"""to_char(r.{name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""" for name in TIMES},
}
# The leaves are read once: looking each record up in their index costs more than reading all of them together.
_LINES = f"""
COPY (
    SELECT count(*), max(leaf_index), min(since COLLATE "C"), max(since COLLATE "C"),
        convert_to(string_agg(line, E'\\n' ORDER BY leaf_index) || E'\\n', 'UTF8')
    FROM (
        SELECT leaf_index, since, line, sum(octet_length(line)) OVER (ORDER BY leaf_index) / {PORTION_BYTES} AS portion
        FROM (
            SELECT leaf_index, event_timestamp AS since, row_to_json(record)::text AS line
            FROM (
                WITH wanted AS MATERIALIZED (SELECT l.index, l.record_id FROM audit_leaf l WHERE {{leaves}})
                SELECT {", ".join(f"{_EXPRESSIONS.get(name, f'r.{name}')} AS {name}" for name in MEMBERS)}
                FROM wanted l JOIN audit_record r ON r.id = l.record_id
                WHERE r.id = ANY(ARRAY(SELECT record_id FROM wanted))
            ) record
        ) written
    ) placed GROUP BY leaf_index / {RECORDS_PER_VALUE}, portion ORDER BY min(leaf_index)
) TO STDOUT (FORMAT binary)
"""
_TYPES = ("int8", "int8", "text", "text", "bytea")
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


class _Read:
    """The lines of one read, of which a few wait for whoever writes them. Its thread waits when these are too many."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[RecordLines | Exception | None] = deque()
        self._is_abandoned = False

    def put(self, item: RecordLines | Exception | None) -> None:
        """Hand over lines, an error, or None for the end. Raises `_Abandoned`."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < VALUES_AHEAD or self._is_abandoned)
            if self._is_abandoned:
                raise _Abandoned
            self._waiting.append(item)
            self._changed.notify_all()

    def abandon(self) -> None:
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[RecordLines]:
        while (item := self._next()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def _next(self) -> RecordLines | Exception | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            self._changed.notify_all()
            return self._waiting.popleft()


class _Abandoned(Exception):
    """Nobody wants the lines any more."""


class Readers:
    def __init__(self, using: str = "reader"):
        self._idle: SimpleQueue[BaseDatabaseWrapper] = SimpleQueue()
        self._open = [connections[using].copy() for _ in range(CONNECTIONS)]
        for connection in self._open:
            connection.inc_thread_sharing()
            self._idle.put(connection)
        self._threads = ThreadPoolExecutor(CONNECTIONS)
        self._reads: deque[_Read] = deque()
        # What a record took in the newest read.
        self._record_bytes = 0

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *error: object) -> None:
        for read in self._reads:
            read.abandon()
        self._threads.shutdown(cancel_futures=True)
        for connection in self._open:
            connection.close()

    def read(self, indexes: Sequence[int]) -> Iterator[RecordLines]:
        """A line for each of these leaves, in order, at most CONNECTIONS reads ahead.

        Raises `LogDamaged` where a record is missing.
        """
        place = 0
        while True:
            while place < len(indexes) and len(self._reads) <= CONNECTIONS:
                wanted = indexes[place : place + self._records_per_read()]
                place += len(wanted)
                self._reads.append(read := _Read())
                self._threads.submit(self._read, wanted, read)
            if not self._reads:
                return
            yield from self._reads[0]
            self._reads.popleft()

    def _records_per_read(self) -> int:
        """As many as can be expected to be read within the time that the server gives a statement."""
        return max(min(RECORDS_PER_READ, READ_BYTES // max(self._record_bytes, 1)), 1)

    def _read(self, indexes: Sequence[int], read: _Read) -> None:
        connection = self._idle.get()
        try:
            read_bytes = 0
            for part in _read_lines(indexes, connection):
                read_bytes += len(part.lines)
                read.put(part)
            self._record_bytes = read_bytes // len(indexes)
            read.put(None)
        except _Abandoned:
            pass
        except Exception as error:
            with suppress(_Abandoned):
                read.put(error)
        finally:
            self._idle.put(connection)


def _read_lines(indexes: Sequence[int], connection: BaseDatabaseWrapper) -> Iterator[RecordLines]:
    """Read the lines of these leaves; in halves where the server gives up on all at once. Raises `LogDamaged`."""
    rest = indexes
    try:
        for part, last in _lines(indexes, connection):
            # Leaves are in order, in a range as in a list.
            rest = indexes[bisect_right(indexes, last) :]
            yield part
    except DatabaseError as error:
        if not cost.was_stopped(error) or len(indexes) == 1:
            raise
        middle = -(-len(rest) // 2)
        for half in filter(len, (rest[:middle], rest[middle:])):
            yield from _read_lines(half, connection)


def _lines(indexes: Sequence[int], connection: BaseDatabaseWrapper) -> Iterator[tuple[RecordLines, int]]:
    """Yield lines, and the last leaf of them. Raises `LogDamaged`."""
    is_range, records = isinstance(indexes, range), 0
    parameters = [indexes[0], indexes[-1] + 1] if is_range else [list(indexes)]
    statement = _LINES.format(leaves=_RANGE if is_range else _LISTED)
    connection.ensure_connection()
    assert connection.connection is not None
    with connection.wrap_database_errors, connection.connection.cursor().copy(statement, parameters) as copy:
        copy.set_types(_TYPES)
        for count, last, since, until, body in copy.rows():
            records += count
            # Each time: what is read again in halves begins behind the last of them.
            _check_whole(indexes[: bisect_right(indexes, last)], records)
            yield RecordLines(lines.opened(body), count, since, until), last
    _check_whole(indexes, records)


def _check_whole(indexes: Sequence[int], records: int) -> None:
    if records != len(indexes):
        raise LogDamaged(
            f"Of the {len(indexes)} records of the leaves {indexes[0]} to {indexes[-1]} only {records} are here: "
            "verify the log (`manage.py verify`)."
        )


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
