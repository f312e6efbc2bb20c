"""What waits for the sealer, of records that have no leaf: looked for among the first of the queue, and no further.

The queue has no index, for nothing on a writer's way is to wait for one, and millions are in it where no sealer was at
work for days.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from audit.ledger import reader
from audit.postgres import sql

# A record and its place in the queue are committed together, and so are its leaf and its leaving the queue: in one
# statement's view every record that came the right way is in exactly one of the two.
LOOK = """
WITH first AS MATERIALIZED (SELECT record_id, leaf_hash FROM audit_unsealed LIMIT %(most)s + 1)
SELECT NULL::uuid, NULL::bytea, count(*) FROM first
UNION ALL SELECT record_id, leaf_hash, 0 FROM first WHERE record_id = ANY(%(ids)s)
UNION ALL SELECT record_id, leaf_hash, 0 FROM audit_leaf WHERE record_id = ANY(%(ids)s)
"""


class Looked(NamedTuple):
    """What the sealer was given of these records; is given, or has taken since they were read."""

    hashes: dict[UUID, bytes]
    # Whether all that waits was looked through: then a record without a hash waits for nothing.
    is_all: bool


def look(ids: Sequence[UUID], using: str) -> Looked:
    """Look for records among the first `reader.COUNTED` that wait for the sealer."""
    if not ids:
        return Looked({}, is_all=True)
    first, *found = sql.rows(LOOK, {"ids": list(ids), "most": reader.COUNTED}, using)
    return Looked({record_id: bytes(leaf_hash) for record_id, leaf_hash, _ in found}, first[2] <= reader.COUNTED)


def unlooked(what: str) -> str:
    """Say of some records that they were not found among those that were looked through."""
    return f"{what} were not looked for in the queue of the sealer, in which more than {reader.COUNTED:,} records wait."
