"""The statements that insert records, for events with and without what each column costs."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from django.conf import settings

from audit.formats.event import Accepted
from audit.ingest import again
from audit.postgres.gateway import Statement

INSERT = Statement(b"record", Path(__file__).with_name("record.sql").read_bytes())
# The same with commitments, and what stands beside events. Whatever has none is stored as ever: each column costs.
INSERT_BESIDE = Statement(
    b"record_beside",
    INSERT.sql.replace(b"source_epoch, digest,", b"source_epoch, erasable, digest,")
    .replace(b"source_epoch text\n", b"source_epoch text, erasable jsonb\n")
    .removesuffix(b"\nSELECT id FROM stored\n")
    + Path(__file__).with_name("record_beside.sql").read_bytes(),
)


def _traced(statement: Statement, place: int) -> Statement:
    """The same where the sealer is told which trace brought each event, by its id; never a part of the record."""
    sql = statement.sql.replace(b"(record_id, leaf_hash, stored_at)", b"(record_id, leaf_hash, stored_at, trace)")
    sql = sql.replace(b"), stored_at FROM stored\n", b"), stored_at, $%d::jsonb ->> id::text FROM stored\n" % place)
    return Statement(statement.name + b"_traced", sql)


INSERT_TRACED, INSERT_BESIDE_TRACED = _traced(INSERT, 5), _traced(INSERT_BESIDE, 6)


def of(events: Sequence[Accepted]) -> tuple[Statement, tuple[bytes, ...]]:
    """Return the statement for these events, and its parameters beyond the four that all have."""
    more: tuple[bytes, ...] = ()
    is_beside = any(event.beside for event in events)
    if is_beside:
        more = (again.beside_of(events),)
    traces = {str(event.id): event.trace for event in events if event.trace}
    if traces:
        statement = INSERT_BESIDE_TRACED if is_beside else INSERT_TRACED
        more = (*more, json.dumps(traces).encode())
    else:
        statement = INSERT_BESIDE if is_beside else INSERT
    return (_pooled(statement, settings.SYNCHRONOUS_COMMIT) if settings.DATABASE_POOLED else statement), more


@cache
def _pooled(statement: Statement, commit: str) -> Statement:
    """The same behind a pooler, where the next statement may meet another session: nothing is prepared under a name.

    The session's `synchronous_commit` is whatever others made it, so the statement sets its own, for its transaction.
    """
    before = b"\n    ON CONFLICT (id) DO NOTHING"
    assert statement.sql.count(before) == 1
    waits = b"\n    WHERE (SELECT set_config('synchronous_commit', '%b', true)) IS NOT NULL" % commit.encode()
    return Statement(b"", statement.sql.replace(before, waits + before))
