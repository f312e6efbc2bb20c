"""The record list as a table for a spreadsheet: all records of a query up to a stated limit, and never fewer unsaid."""

import csv
import io
import time
from collections.abc import Iterable
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO, NamedTuple
from uuid import UUID

from django.http import FileResponse

from audit import visibility
from audit.evidence.volumes import BYTE_ORDER_MARK, cell
from audit.formats import event
from audit.formats.erasable.commitments import ERASED, MEMBER, SALTS
from audit.models import Record, RecordQuerySet
from audit.search import cost, query

COLUMNS = (*event.FIELDS, MEMBER, SALTS, ERASED, "writer", "state", "digest", "received_at", "parked_at", "stored_at")
MAX_RECORDS = 100_000
MAX_BYTES = 200 * 1024 * 1024
# A file that takes longer is not made: whoever needs it takes an evidence bundle, which is made in the background.
MAX_S = 45.0
# Where the file holds fewer records than match, so many are counted for its name, for so long.
COUNT_CAP, COUNT_MS = 5_000_000, 2_000
# A record may take megabytes as text.
RECORDS_PER_READ = 10
BYTES_IN_MEMORY = 1 << 20


class Table(NamedTuple):
    file: IO[bytes]
    records: int
    # Whether it ends before the records do.
    cut: bool


def response(search: query.Search, visible: RecordQuerySet) -> FileResponse:
    """Answer with the file; its name says which records it holds, of how many. Raises `TookTooLong`."""
    records = query.matching(search, visible)
    table = _write(records)
    answer = FileResponse(table.file, as_attachment=True, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{_name(table, records)}"'
    return answer


def row(record: Record) -> str:
    """Return a line of the table; no spreadsheet executes a cell, whatever its locale."""
    values = record.as_json()
    return _line([cell(values.get(name)) for name in COLUMNS])


def _write(records: RecordQuerySet) -> Table:
    """Write the table to a file: only a whole one can be named, and recorded as seen, before it is sent."""
    seen: list[UUID] = []
    ends = time.monotonic() + MAX_S
    cut = False
    with ExitStack() as unless_sent:
        file = unless_sent.enter_context(SpooledTemporaryFile(BYTES_IN_MEMORY))
        file.write((BYTE_ORDER_MARK + _line(COLUMNS)).encode())
        with cost.reading():
            for record in records.with_state()[: MAX_RECORDS + 1].iterator(RECORDS_PER_READ):
                if cut := len(seen) == MAX_RECORDS or file.tell() > MAX_BYTES:
                    break
                if time.monotonic() > ends:
                    raise cost.TookTooLong(f"The table was not made in {MAX_S:.0f} s.")
                file.write(row(record).encode())
                seen.append(record.pk)
        visibility.note_shown(seen)
        file.seek(0)
        unless_sent.pop_all()  # the answer closes it
    return Table(file, len(seen), cut)


def _name(table: Table, records: RecordQuerySet) -> str:
    return f"records-{min(table.records, 1)}-{table.records}-of-{_total(table, records)}.csv"


def _total(table: Table, records: RecordQuerySet) -> str:
    if not table.cut:
        return str(table.records)
    try:
        with cost.reading(milliseconds=COUNT_MS):
            counted, more = query.capped_count(records, COUNT_CAP)
    except cost.TookTooLong:
        return "more"
    return "more" if more else str(counted)


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
