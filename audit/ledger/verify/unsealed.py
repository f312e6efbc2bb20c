"""Verify that no record passed the sealer by, no leaf is unsigned, and the queue is short."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from audit.ledger import reader
from audit.ledger.verify import waiting
from audit.ledger.verify.result import RunReport, Verdict
from audit.postgres import sql

CHUNK = 20_000
# Each leaf is looked up by itself, whatever PostgreSQL believes of the rows.
NO_LEAF = """
SELECT r.id FROM audit_record r
WHERE (r.id > %s OR r.id = %s) AND r.id <= %s
  AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.record_id = r.id OFFSET 0)
"""
NEXT = "SELECT id FROM audit_record WHERE id > %s ORDER BY id OFFSET %s LIMIT 1"
UNSIGNED = """
SELECT coalesce((SELECT max(index) + 1 FROM audit_leaf), 0),
       coalesce((SELECT size FROM audit_head WHERE NOT kept),
                (SELECT size FROM audit_checkpoint ORDER BY number DESC LIMIT 1), 0)
"""
LEAST, MOST = UUID(int=0), UUID(int=2**128 - 1)
# Among the counts of a run: how many records were looked at for a leaf.
LOOKED_AT = "ids"
LEFT = "Records without a leaf and with ids past"


def walk(report: RunReport, using: str, most: int | None) -> None:
    """Look for a leaf of every record from `ids_position` on, in the order of ids; at most `most` in the whole run.

    It has a cursor of its own: leaves of neighbouring places may have ids that are years apart, with the whole store
    between them. Saves its place after each portion, and stays before one with records that may wait for the sealer,
    behind more than are looked through. Raises `OutOfTime` where the report's time is over.
    """
    run = report.run
    if any(text.startswith(LEFT) for text in report.not_covered):
        return  # an earlier part of this run stayed there, and has said so
    while (start := run.ids_position) < MOST and (most is None or report.counts[LOOKED_AT] < most):
        portion = CHUNK if most is None else min(CHUNK, most - report.counts[LOOKED_AT])
        end = _first_id(NEXT, [start, portion - 1], using) or MOST
        if not _look(report, start, end, using):
            report.leave_out(waiting.unlooked(f"{LEFT} {start}"), "record")
            return
        report.count(LOOKED_AT, portion)
        run.ids_position = end
        report.save()
        if end < MOST:
            report.stop_if_late()


def _look(report: RunReport, start: UUID, end: UUID, using: str) -> bool:
    """Report the records of a portion that have no leaf and do not wait for one; return whether all were looked for."""
    # The first bound is an id that a record could have; every other one belongs to the portion before.
    rows = sql.rows(NO_LEAF, [start, LEAST if start == LEAST else None, end], using)
    lacking = [record_id for (record_id,) in rows]
    looked = waiting.look(lacking, using)
    strays = [record_id for record_id in lacking if record_id not in looked.hashes]
    if not looked.is_all:
        return not strays
    for record_id in strays:
        detail = "This record has no leaf and does not wait for one: it came into the table past the store."
        report.find(Verdict.UNKNOWN, "record", detail, record_id=record_id)
    return True


def id_of(at: datetime) -> UUID:
    """Return the least UUIDv7 of a moment."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | 0x7 << 76 | 0x2 << 62)


def check_tail(report: RunReport, using: str) -> None:
    """Check how much waits for the sealer, and for how long; and that no leaf is past the signed end."""
    tail = reader.waiting(using)
    if tail.number:
        report.count("unsealed", tail.number)
        late = tail.oldest_s > settings.SEAL_MERGE_DELAY_S or tail.newest_s < -settings.SEAL_MERGE_DELAY_S
        detail = f"{_waits(tail.number)}, the oldest for {tail.oldest_s:.0f} s: nothing is shown of them yet."
        if late:
            report.find(Verdict.UNKNOWN, "queue", detail)
        else:
            report.leave_out(detail)
    [(leaves, size)] = sql.rows(UNSIGNED, using=using)
    if leaves != size:
        detail = f"The log has {leaves} leaves, and its newest checkpoint covers {size}."
        report.find(Verdict.MISSING if leaves < size else Verdict.UNKNOWN, "leaf", detail, index=min(leaves, size))


def _waits(count: int) -> str:
    about = "About " if count > reader.COUNTED else ""
    return "1 record waits for the sealer" if count == 1 else f"{about}{count} records wait for the sealer"


def _first_id(statement: str, parameters: list[Any], using: str) -> UUID | None:
    rows = sql.rows(statement, parameters, using)
    return rows[0][0] if rows else None
