"""Verify that no record passed the sealer by, no leaf is unsigned, and the queue is short."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from audit.ledger.verify.result import RunReport, Verdict
from audit.postgres import sql

CHUNK = 20_000
# A record and its place in the queue are committed together, and so are its leaf and its leaving the queue: in one
# statement's view every record that came the right way is in exactly one of the two.
STRAYS = """
SELECT r.id FROM audit_record r
WHERE (r.id > %s OR r.id = %s) AND r.id <= %s
  AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.record_id = r.id)
  AND NOT EXISTS (SELECT FROM audit_unsealed q WHERE q.record_id = r.id)
"""
NEXT = "SELECT id FROM audit_record WHERE id > %s ORDER BY id OFFSET %s LIMIT 1"
TAIL = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(stored_at))::float8,
       extract(epoch FROM clock_timestamp() - max(stored_at))::float8
FROM audit_unsealed
"""
UNSIGNED = """
SELECT coalesce((SELECT max(index) + 1 FROM audit_leaf), 0),
       coalesce((SELECT size FROM audit_head WHERE NOT kept),
                (SELECT size FROM audit_checkpoint ORDER BY number DESC LIMIT 1), 0)
"""
LEAST, MOST = UUID(int=0), UUID(int=2**128 - 1)
# Among the counts of a run: how many records were looked at for a leaf.
LOOKED_AT = "ids"


def walk(report: RunReport, using: str, most: int | None) -> None:
    """Look for a leaf of every record from `ids_position` on, in the order of ids; at most `most` in the whole run.

    It has a cursor of its own: leaves of neighbouring places may have ids that are years apart, with the whole store
    between them. Saves its place after each portion. Raises `OutOfTime` where the report's time is over.
    """
    run = report.run
    while (start := run.ids_position) < MOST and (most is None or report.counts[LOOKED_AT] < most):
        portion = CHUNK if most is None else min(CHUNK, most - report.counts[LOOKED_AT])
        end = _first_id(NEXT, [start, portion - 1], using) or MOST
        # The first bound is an id that a record could have; every other one belongs to the portion before.
        for (record_id,) in sql.rows(STRAYS, [start, LEAST if start == LEAST else None, end], using):
            detail = "This record has no leaf and does not wait for one: it came into the table past the store."
            report.find(Verdict.UNKNOWN, "record", detail, record_id=record_id)
        report.count(LOOKED_AT, portion)
        run.ids_position = end
        report.save()
        if end < MOST:
            report.stop_if_late()


def id_of(at: datetime) -> UUID:
    """Return the least UUIDv7 of a moment."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | 0x7 << 76 | 0x2 << 62)


def check_tail(report: RunReport, using: str) -> None:
    """Check what waits for the sealer, and for how long; and that no leaf is past the signed end."""
    [(count, oldest, newest)] = sql.rows(TAIL, using=using)
    if count:
        report.count("unsealed", count)
        late = oldest > settings.SEAL_MERGE_DELAY_S or newest < -settings.SEAL_MERGE_DELAY_S
        wait = "1 record waits" if count == 1 else f"{count} records wait"
        detail = f"{wait} for the sealer, the oldest for {oldest:.0f} s: nothing is shown of them yet."
        if late:
            report.find(Verdict.UNKNOWN, "queue", detail)
        else:
            report.leave_out(detail)
    [(leaves, size)] = sql.rows(UNSIGNED, using=using)
    if leaves != size:
        detail = f"The log has {leaves} leaves, and its newest checkpoint covers {size}."
        report.find(Verdict.MISSING if leaves < size else Verdict.UNKNOWN, "leaf", detail, index=min(leaves, size))


def _first_id(statement: str, parameters: list[Any], using: str) -> UUID | None:
    rows = sql.rows(statement, parameters, using)
    return rows[0][0] if rows else None
