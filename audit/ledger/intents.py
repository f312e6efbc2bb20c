"""What the sealer is about to seal is committed before it is signed.

A signature cannot be taken back, and a commit can be lost with its server. So a head is signed only over records whose
order is in the database already, confirmed by every server that has to: whoever seals after a failover finds the same
intent and signs the same tree, though the first signature was never seen (docs/decisions/0052-intended-then-signed.md).
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import IntegrityError, connections, transaction

from audit import tracing
from audit.errors import LogDamaged, NotReplicated
from audit.ingest import trail
from audit.ledger.crosslinks import RESTORED
from audit.models import OWN_WRITER
from audit.postgres import sql
from audit.postgres.backend.base import PatientConnection

log = structlog.get_logger(__name__)

_INTEND = Path(__file__).with_name("intent.sql").read_text(encoding="utf-8")
_TAKE = Path(__file__).with_name("seal.sql").read_text(encoding="utf-8")
# The same, and which traces brought the records: as many as a span may have links.
_TAKE_TRACED = _TAKE.replace("q.record_id, q.leaf_hash", "q.record_id, q.leaf_hash, q.trace").replace(
    "\nFROM written",
    f""",
       (SELECT (array_agg(DISTINCT trace) FILTER (WHERE trace IS NOT NULL))[1:{tracing.MOST_LINKS}] FROM taken)
FROM written""",
)
# What taking it would answer, while everything stays where it is; and whether it would fail.
_LOOK = """
WITH intended AS MATERIALIZED (
    SELECT u.record_id, u.position FROM audit_intent, unnest(records) WITH ORDINALITY u (record_id, position)
)
SELECT (SELECT count(*) FROM intended), count(*), string_agg(q.leaf_hash, ''::bytea ORDER BY i.position),
       (SELECT digest FROM audit_intent),
       count(*) > count(DISTINCT q.record_id) OR EXISTS (SELECT FROM audit_leaf JOIN intended USING (record_id))
FROM audit_unsealed q JOIN intended i ON q.record_id = i.record_id AND q.ctid BETWEEN %(first)s::tid AND %(last)s::tid
"""
_OPEN = "SELECT size, cardinality(records), digest FROM audit_intent"
# A transaction that has written nothing waits for no standby: this one has.
_WRITE = "SELECT pg_logical_emit_message(true, 'auditsite', 'seal')"
ANYWHERE = ("(0,0)", "(4294967294,65535)")
# The planner does not know how many are intended, and would compare each with each.
_COMPARE_BY_HASH = "SET LOCAL enable_nestloop = off"
# Records that are sealed already, or stand in it twice, go; the order of the others stays.
_WITHDRAW_REPEATED = """
UPDATE audit_intent SET (records, digest) = (
    SELECT coalesce(array_agg(u.record_id ORDER BY u.first), '{}'),
           sha256(coalesce(string_agg(q.leaf_hash, ''::bytea ORDER BY u.first), ''))
    FROM (
        SELECT record_id, min(position) AS first
        FROM unnest(records) WITH ORDINALITY o (record_id, position) GROUP BY record_id
    ) u LEFT JOIN audit_unsealed q ON q.record_id = u.record_id
    WHERE NOT EXISTS (SELECT FROM audit_leaf l WHERE l.record_id = u.record_id)
)
WHERE size = (SELECT coalesce(max(index) + 1, 0) FROM audit_leaf)
"""


class Intent(NamedTuple):
    """Records that are to be sealed next."""

    # What their hashes hash to.
    digest: bytes
    # Where in the queue's table they stand, as tuple ids; None where another sealer chose them.
    places: tuple[str, str] | None

    @property
    def block(self) -> int | None:
        """The block of the queue's table at which the next scan starts."""
        return None if self.places is None else int(self.places[1][1:].split(",")[0])


def intend(cursor: Any, size: int, *, block: int, most: int) -> Intent | None:
    """Choose what is sealed next on top of `size` leaves; what was chosen before and is not sealed yet comes first.

    None where nothing waits from the block on. Raises `LogDamaged` where more was intended than is signed.
    """
    cursor.execute(_OPEN)
    if (row := cursor.fetchone()) is not None:
        after, count, digest = row
        if after > size:
            raise LogDamaged(f"The sealer went on from {after} records, and {size} are signed: {RESTORED}")
        if after == size and count:
            cursor.execute(_WRITE)
            return Intent(bytes(digest), None)
    cursor.execute(_INTEND, {"place": f"({block},0)", "size": size, "limit": most})
    if (row := cursor.fetchone()) is None:
        return None
    digest, first, last = row
    return Intent(bytes(digest), (first, last))


class Taken(NamedTuple):
    """What was moved to the leaves: hashes in their order, and the traces that brought them, where they are known."""

    leaves: list[bytes]
    traces: list[str]


NOTHING = Taken([], [])


def take(cursor: Any, size: int, intent: Intent, *, only_looks: bool = False) -> Taken:
    """Move what is intended on top of `size` leaves from the queue to the leaves; or say which leaves these would be.

    Nothing where another sealer has done so. Raises `LogDamaged` where it is not there as it was, `IntegrityError`
    where some of it is sealed already.
    """
    cursor.execute(_OPEN)
    if (row := cursor.fetchone()) is None or row[0] != size or not row[1]:
        return NOTHING
    cursor.execute(_COMPARE_BY_HASH)
    statement = _LOOK if only_looks else _TAKE_TRACED if settings.TRACING else _TAKE
    # Another sealer may have taken these meanwhile, and chosen others.
    first, last = intent.places if intent.places is not None and bytes(row[2]) == intent.digest else ANYWHERE
    cursor.execute(statement, {"first": first, "last": last, "size": size})
    intended, count, hashes, digest, *more = cursor.fetchone()
    if only_looks and more.pop():
        raise IntegrityError("records are intended that are sealed already, or twice in the queue")
    hashes = bytes(hashes or b"")
    if count != intended or hashlib.sha256(hashes).digest() != bytes(digest):
        raise LogDamaged(
            f"Of the {intended} records that come after {size}, {count} wait as the sealer chose them: somebody "
            "changed its queue. Nothing is signed over another order than the one that may be signed already."
        )
    leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    return Taken(leaves, [tracing.known(trace.encode()) for trace in (more and more[0]) or ()])


def drop_repeated() -> None:
    """Remove from the queue, and from what is intended, what is sealed or queued twice, and record that.

    In one transaction: what is intended and not queued any more would stop every sealer. No head was signed with it.
    """
    with transaction.atomic():
        dropped = sql.run("DELETE FROM audit_unsealed q USING audit_leaf l WHERE l.record_id = q.record_id")
        dropped += sql.run(
            "DELETE FROM audit_unsealed a USING audit_unsealed b WHERE a.record_id = b.record_id AND a.ctid > b.ctid"
        )
        sql.run(_WITHDRAW_REPEATED)
    if not dropped:
        return
    log.error("queue_had_repeated_records", dropped=dropped)
    trail.add("audit.seal.repeated", actor=OWN_WRITER, outcome="failure", correlation="seal", dropped=dropped)


def require_confirmed() -> None:
    """Raise `NotReplicated` where the last commit is on this server alone, though it was to wait for a standby."""
    connection = connections["default"].connection
    if isinstance(connection, PatientConnection) and connection.unreplicated.taken():
        raise NotReplicated
