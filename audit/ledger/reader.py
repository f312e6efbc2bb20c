"""The log as the database has it: heads, hashes and proofs, read in a few rows whatever its size.

Nothing here is believed by those who verify: what is read is checked against signed roots elsewhere.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from audit.errors import LogDamaged, NotSealed
from audit.formats import merkle, note, tiles
from audit.formats.tiles import Edge, Lookup, Run
from audit.models import Checkpoint, Leaf

# Bounds are written into each part, so that PostgreSQL plans a look into the index, however large the table is.
_LEAVES = "SELECT 0, index, leaf_hash FROM audit_leaf WHERE index >= %s AND index < %s"
_NODES = "SELECT level, index, hash FROM audit_node WHERE level = %s AND index >= %s AND index < %s"


class Evidence(NamedTuple):
    """All that shows one record to be in the log."""

    leaf: Leaf
    checkpoint: Checkpoint
    proof: note.Proof


def head(using: str = "reader") -> Checkpoint | None:
    """The newest checkpoint."""
    return Checkpoint.objects.using(using).first()


def signed_head(using: str = "reader") -> Checkpoint:
    """The newest checkpoint. Raises `NotSealed` while nothing was ever sealed."""
    if (found := head(using)) is None:
        raise NotSealed("Nothing is sealed yet: is the sealer running?")
    return found


def hashes(runs: Iterable[Run], using: str = "reader") -> Lookup:
    """Read runs of kept hashes in one statement; the result answers for them. Raises `LogDamaged` for a missing one."""
    parts: list[str] = []
    parameters: list[int] = []
    for run in tiles.merged(runs):
        parts.append(_LEAVES if run.level == 0 else _NODES)
        parameters += [run.first, run.last] if run.level == 0 else run
    found: dict[tuple[int, int], bytes] = {}
    if parts:
        with connections[using].cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), parameters)
            found = {(level, index): bytes(value) for level, index, value in cursor.fetchall()}

    def look_up(level: int, index: int) -> bytes:
        try:
            return found[level, index]
        except KeyError:
            what = f"leaf {index}" if level == 0 else f"node {index} of level {level}"
            raise LogDamaged(f"The log is damaged: {what} is missing.") from None

    return look_up


def edge(size: int, using: str = "reader") -> Edge:
    """The right edge of the first `size` leaves."""
    return Edge(size, hashes(tiles.edge_runs(size), using))


def root(size: int, using: str = "reader") -> bytes:
    """The root of the first `size` leaves, from the kept hashes."""
    return edge(size, using).root()


def inclusion(index: int, size: int, using: str = "reader") -> list[bytes]:
    """The proof that the leaf is in the tree of `size`. Raises merkle's `ProofError` where it is not."""
    return _span_hashes(merkle.inclusion_spans(index, size), using)


def inclusions(indexes: Sequence[int], size: int, using: str = "reader") -> list[list[bytes]]:
    """The proofs of several leaves, read in one statement."""
    spans = [merkle.inclusion_spans(index, size) for index in indexes]
    look_up = hashes((run for one in spans for run in tiles.runs(one)), using)
    return [[tiles.span_hash(span, look_up) for span in one] for one in spans]


def consistency(old: int, new: int, using: str = "reader") -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of the one of `new`."""
    return _span_hashes(merkle.consistency_spans(old, new), using)


def evidence(record_id: UUID, using: str = "reader") -> Evidence:
    """The proof of one record against the newest checkpoint. Raises `NotSealed`."""
    leaf = Leaf.objects.using(using).filter(record_id=record_id).first()
    if leaf is None:
        raise NotSealed
    checkpoint = signed_head(using)
    proof = note.Proof(leaf.index, inclusion(leaf.index, checkpoint.size, using), full_note(checkpoint, using))
    return Evidence(leaf, checkpoint, proof)


def full_note(checkpoint: Checkpoint, using: str = "reader") -> str:
    """The checkpoint with the cosignatures that came in since."""
    return checkpoint.note + "".join(line for _, line, _ in cosignatures([checkpoint.number], using))


def cosignatures(numbers: Sequence[int], using: str = "reader") -> list[tuple[str, str, int]]:
    """Name, signature line and checkpoint number of each witness's cosignature of these checkpoints."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT name, line, checkpoint FROM audit_cosignature WHERE checkpoint = ANY(%s) ORDER BY checkpoint, name",
            [list(numbers)],
        )
        return list(cursor.fetchall())


def best_cosigned(using: str = "reader") -> Checkpoint | None:
    """The newest checkpoint that a witness has cosigned."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT max(checkpoint) FROM audit_cosignature")
        (number,) = cursor.fetchone()
    return None if number is None else Checkpoint.objects.using(using).filter(number=number).first()


def _span_hashes(spans: Sequence[merkle.Span], using: str) -> list[bytes]:
    look_up = hashes(tiles.runs(spans), using)
    return [tiles.span_hash(span, look_up) for span in spans]
