"""Read the log from the database: heads, hashes and proofs, in a few rows whatever its size.

Verification does not trust this: it checks what is read against signed roots.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from audit.errors import LogDamaged, NotSealed
from audit.formats import merkle, note, tiles
from audit.formats.tiles import Edge, Lookup, Run
from audit.ledger import heads
from audit.models import Checkpoint, Leaf, newest_head
from audit.postgres import sql

# Bounds are written into each part, so that PostgreSQL plans a look into the index, however large the table is.
_LEAVES = "SELECT 0, index, leaf_hash FROM audit_leaf WHERE index >= %s AND index < %s"
# Where no sealer was at work for days, millions wait: more than these are estimated by PostgreSQL.
COUNTED = 100_000
_WAITING = """
WITH first AS MATERIALIZED (SELECT stored_at FROM audit_unsealed LIMIT %(most)s + 1)
SELECT CASE WHEN count(*) > %(most)s THEN greatest(count(*), pg_stat_get_live_tuples('audit_unsealed'::regclass))
            ELSE count(*) END,
       coalesce(extract(epoch FROM clock_timestamp() - min(stored_at)), 0)::float8,
       coalesce(extract(epoch FROM clock_timestamp() - max(stored_at)), 0)::float8
FROM first
"""
_NODES = "SELECT level, index, hash FROM audit_node WHERE level = %s AND index >= %s AND index < %s"

_COSIGNATURES_OF = """
SELECT c.name, c.line, c.checkpoint FROM audit_cosignature c JOIN audit_checkpoint k ON k.number = c.checkpoint
WHERE k.number = %s AND k.note = %s ORDER BY c.name
"""
# From name to name by the index: as fast with one cosignature as with millions.
LAST_COSIGNED = """
WITH RECURSIVE witness AS (
    SELECT min(name) AS name FROM audit_cosignature
    UNION ALL
    SELECT (SELECT min(name) FROM audit_cosignature WHERE name > witness.name) FROM witness WHERE name IS NOT NULL
)
SELECT name, (
    SELECT attested_at FROM audit_cosignature WHERE name = witness.name ORDER BY checkpoint DESC LIMIT 1
) FROM witness WHERE name IS NOT NULL
"""


class Evidence(NamedTuple):
    leaf: Leaf
    checkpoint: Checkpoint
    proof: note.Proof


class Waiting(NamedTuple):
    """How many records wait for the sealer, about how many beyond `COUNTED`; and for how many seconds the oldest and
    the newest of those that were counted have."""

    number: int
    oldest_s: float
    newest_s: float


def head(using: str = "reader") -> Checkpoint | None:
    """Return the newest signed head; one that is no checkpoint yet has the number of the next one."""
    return newest_head(using)


def checkpoint_sizes(count: int, using: str = "reader") -> list[int]:
    """Return the sizes of the newest checkpoints, the newest first."""
    return list(Checkpoint.objects.using(using).values_list("size", flat=True)[:count])


def signed_head(using: str = "reader") -> Checkpoint:
    """Return the newest signed head. Raises `NotSealed` while nothing was ever sealed."""
    if (newest := head(using)) is None:
        raise NotSealed("Nothing is sealed yet: is the sealer running?")
    return newest


def signed_size(using: str = "reader") -> int:
    newest = head(using)
    return 0 if newest is None else newest.size


def hashes(runs: Iterable[Run], using: str = "reader") -> Lookup:
    """Read runs of kept hashes in one statement and return a lookup, which raises `LogDamaged` for a missing one."""
    parts: list[str] = []
    parameters: list[int] = []
    for run in tiles.merged(runs):
        parts.append(_LEAVES if run.level == 0 else _NODES)
        parameters += [run.first, run.last] if run.level == 0 else run
    values: dict[tuple[int, int], bytes] = {}
    if parts:
        rows = sql.rows(" UNION ALL ".join(parts), parameters, using)
        values = {(level, index): bytes(value) for level, index, value in rows}

    def look_up(level: int, index: int) -> bytes:
        try:
            return values[level, index]
        except KeyError:
            what = f"leaf {index}" if level == 0 else f"node {index} of level {level}"
            raise LogDamaged(f"The log is damaged: {what} is missing.") from None

    return look_up


def edge(size: int, using: str = "reader") -> Edge:
    return Edge(size, hashes(tiles.edge_runs(size), using))


def root(size: int, using: str = "reader") -> bytes:
    return edge(size, using).root()


def inclusion(index: int, size: int, using: str = "reader") -> list[bytes]:
    return _span_hashes(merkle.inclusion_spans(index, size), using)


def inclusions(indexes: Sequence[int], size: int, using: str = "reader") -> list[list[bytes]]:
    """Return the proofs of several leaves, read in one statement."""
    spans = [merkle.inclusion_spans(index, size) for index in indexes]
    look_up = hashes((run for proof in spans for run in tiles.runs(proof)), using)
    return [[tiles.span_hash(span, look_up) for span in proof] for proof in spans]


def consistency(old: int, new: int, using: str = "reader") -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `new`."""
    return _span_hashes(merkle.consistency_spans(old, new), using)


def evidence(record_id: UUID, using: str = "reader") -> Evidence:
    """Return the proof of one record under a checkpoint that stays. Raises `NotSealed`."""
    leaf = Leaf.objects.using(using).filter(record_id=record_id).first()
    if leaf is None:
        raise NotSealed
    checkpoint = heads.give_out(covering=leaf.index + 1)
    proof = note.Proof(leaf.index, inclusion(leaf.index, checkpoint.size, using), full_note(checkpoint, using))
    return Evidence(leaf, checkpoint, proof)


def full_note(head: Checkpoint, using: str = "reader") -> str:
    """Return the note of a checkpoint, or of a head that is none, with the cosignatures that arrived since."""
    return head.note + "".join(line for _, line, _ in cosignatures_of(head, using))


def cosignatures(numbers: Sequence[int], using: str = "reader") -> list[tuple[str, str, int]]:
    """Return name, signature line and checkpoint number of each cosignature of these checkpoints."""
    return sql.rows(
        "SELECT name, line, checkpoint FROM audit_cosignature WHERE checkpoint = ANY(%s) ORDER BY checkpoint, name",
        [list(numbers)],
        using=using,
    )


def cosignatures_of(head: Checkpoint, using: str = "reader") -> list[tuple[str, str, int]]:
    """Return the same of one head, which may be no checkpoint. Of one that did not stay there are none: those of its
    number are of the head that has taken its place."""
    return sql.rows(_COSIGNATURES_OF, [head.number, head.note], using=using)


def best_cosigned(using: str = "reader") -> Checkpoint | None:
    """Return the newest checkpoint that a witness has cosigned."""
    [(number,)] = sql.rows("SELECT max(checkpoint) FROM audit_cosignature", using=using)
    return None if number is None else Checkpoint.objects.using(using).filter(number=number).first()


def waiting(using: str = "reader") -> Waiting:
    """Return what waits for the sealer."""
    [row] = sql.rows(_WAITING, {"most": COUNTED}, using)
    return Waiting(*row)


def last_cosigned() -> dict[str, datetime]:
    """When each witness last cosigned, by its name."""
    return dict(sql.rows(LAST_COSIGNED, using="reader"))


def _span_hashes(spans: Sequence[merkle.Span], using: str) -> list[bytes]:
    look_up = hashes(tiles.runs(spans), using)
    return [tiles.span_hash(span, look_up) for span in spans]
