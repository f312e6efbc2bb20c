"""seal: give unsealed records their leaves and sign the new tree head. The only code that writes the log.

1. One transaction, one sealer: an advisory lock; another sealer goes home.
2. The newest checkpoint must be signed by a key we know, and the kept hashes must fold to its root: nothing is ever
   signed on top of a tree that is not the one that was signed before, so the log cannot fork by our hand.
3. Take records from the queue, in the order of their storage; write leaf, node and checkpoint rows; sign; commit.

A kill at any point leaves the transaction undone, and the next pass does it again.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import IntegrityError, connections, transaction

from audit.errors import KeyMissing, LogDamaged
from audit.formats import merkle, note
from audit.formats.tiles import Edge, Node
from audit.ingest import trail
from audit.ledger import anchor, reader
from audit.ledger import keys as ledger_keys
from audit.models import OWN_WRITER, Checkpoint

log = structlog.get_logger(__name__)

BATCH = 20_000
HASH = merkle.HASH_SIZE
TAKE = Path(__file__).with_name("seal.sql").read_text(encoding="utf-8")
FULL_SCAN_EVERY_S = 0.25
RESTORED = "the database was restored from an older copy. See docs/operations.md, A restored database."
SCAN_SHARE = 10  # A look at the whole queue costs at most a tenth of the time


class Sealed(NamedTuple):
    """What one pass did."""

    # The newest checkpoint; None where another sealer was at work, or nothing was to be signed yet.
    checkpoint: Checkpoint | None
    added: int = 0
    signed: bool = False

    @property
    def more(self) -> bool:
        """Whether records may wait that did not fit."""
        return self.added == BATCH


class Sealer:
    """Seals again and again, and remembers the tree's edge and its place in the queue in between."""

    def __init__(self) -> None:
        self._edge: Edge | None = None
        self._head: Checkpoint | None = None
        self._highest = -1
        self._block = 0
        self._full_scan_at = 0.0

    def once(self, *, sign_anyway: bool = False, from_start: bool = False) -> Sealed:
        """One pass. Signs where records were added, where an hour was silent, or `sign_anyway`. Looks at the whole
        queue now and then, and always `from_start`: only then does a pass that is not full mean that nothing waits.

        Raises `KeyMissing`, `LogDamaged` and what the database raises; nothing is changed then.
        """
        if from_start:
            self._full_scan_at = 0.0
        try:
            return self._pass(sign_anyway)
        except IntegrityError:
            # Somebody put records into the queue that are sealed: they would stop every pass to come.
            self._forget()
            _drop_repeated()
            return self._pass(sign_anyway)
        except BaseException:
            self._forget()
            raise

    def _pass(self, sign_anyway: bool) -> Sealed:
        keys = ledger_keys.load()
        if keys.signer is None:
            raise KeyMissing("This process has only public keys: the sealer needs SEAL_KEY_FILE.")
        with transaction.atomic(), connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('audit_seal'))")
            if not cursor.fetchone()[0]:
                return Sealed(None)
            edge = self._edge_of(reader.head("default"), keys)
            leaves = self._take(cursor, edge.size)
            if not (leaves or sign_anyway or self._is_silent()):
                return Sealed(self._head)
            _write_nodes(cursor, edge.extend(leaves))
            head = _sign(cursor, self._head, edge, keys.signer)
        self._head, self._highest = head, head.number
        return Sealed(head, len(leaves), signed=True)

    def _edge_of(self, head: Checkpoint | None, keys: ledger_keys.Keys) -> Edge:
        """The edge of the signed tree: remembered, or read and checked against the signature."""
        if (-1 if head is None else head.number) < self._highest:
            raise LogDamaged(f"Checkpoint {self._highest} was signed and is gone: {RESTORED}")
        known = self._head
        if self._edge is not None and known is not None and head is not None and _are_same(known, head):
            return self._edge
        self._edge, self._head = checked_edge(head, keys), head
        return self._edge

    def _take(self, cursor: Any, size: int) -> list[bytes]:
        """Move records from the queue to the leaves; return their hashes, in order of index."""
        started = time.monotonic()
        full = started >= self._full_scan_at
        cursor.execute(TAKE, {"place": f"({0 if full else self._block},0)", "size": size, "limit": BATCH})
        count, hashes, first, last, place = cursor.fetchone()
        if full:
            took = time.monotonic() - started
            self._full_scan_at = started + max(FULL_SCAN_EVERY_S, SCAN_SHARE * took)
        if not count:
            return []
        if (first, last) != (size, size + count - 1):
            raise LogDamaged(f"The leaves {first} to {last} were written where {size} was to come.")
        self._block = int(place[1:].split(",")[0])
        return [bytes(hashes[at : at + HASH]) for at in range(0, len(hashes), HASH)]

    def _is_silent(self) -> bool:
        if self._head is None:
            return True
        return (datetime.now(UTC) - self._head.created_at).total_seconds() >= settings.SEAL_IDLE_S

    def _forget(self) -> None:
        self._edge = self._head = None
        self._block, self._full_scan_at = 0, 0.0


def _are_same(one: Checkpoint, other: Checkpoint) -> bool:
    return (one.number, bytes(one.root)) == (other.number, bytes(other.root))


def checked_edge(head: Checkpoint | None, keys: ledger_keys.Keys) -> Edge:
    """The edge under the newest checkpoint. Raises `LogDamaged` unless it is what was signed, here and outside."""
    _check_outside(head)
    size = 0 if head is None else head.size
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT coalesce(max(index) + 1, 0) FROM audit_leaf")
        (leaves,) = cursor.fetchone()
    if leaves != size:
        raise LogDamaged(f"The log has {leaves} leaves, but {size} were signed: run `manage.py verify`.")
    if head is None:
        return Edge()
    try:
        text, _ = note.verify(head.note, keys.all_verifiers)
        signed = note.TreeHead.parse(text)
    except note.NoteError as error:
        raise LogDamaged(f"Checkpoint {head.number} cannot be believed: {error}.") from None
    if signed != note.TreeHead(keys.origin, head.size, bytes(head.root)):
        raise LogDamaged(f"Checkpoint {head.number} says other than what was signed: run `manage.py verify`.")
    edge = reader.edge(size, "default")
    if edge.root() != signed.root:
        raise LogDamaged(
            f"The kept hashes do not lead to the root of checkpoint {head.number}: run `manage.py verify`."
        )
    return edge


def _check_outside(head: Checkpoint | None) -> None:
    """A database that is older than what was anchored was restored: to go on would fork the log."""
    anchored = anchor.last_anchored()
    if anchored is not None and anchored.size > (0 if head is None else head.size):
        raise LogDamaged(
            f"The anchor has a checkpoint of {anchored.size} records, the database of "
            f"{0 if head is None else head.size}: {RESTORED}"
        )


def _write_nodes(cursor: Any, nodes: list[Node]) -> None:
    if nodes:
        cursor.execute(
            "INSERT INTO audit_node (level, index, hash) SELECT * FROM unnest(%s::int[], %s::bigint[], %s::bytea[])",
            [[node.level for node in nodes], [node.index for node in nodes], [node.hash for node in nodes]],
        )


def _sign(cursor: Any, before: Checkpoint | None, edge: Edge, signer: note.Signer) -> Checkpoint:
    """Sign twice with the one key: plainly, and with the time, so that silence is signed too."""
    text = note.TreeHead(signer.name, edge.size, edge.root()).text
    now = datetime.now(UTC)
    if before is not None:
        now = max(now, before.created_at)  # a clock that was set back must not turn the log's time around
    head = Checkpoint(
        number=0 if before is None else before.number + 1,
        size=edge.size,
        root=edge.root(),
        note=note.join(text, [signer.sign(text), signer.cosign(text, int(now.timestamp()))]),
        created_at=now,
    )
    cursor.execute(
        "INSERT INTO audit_checkpoint (number, size, root, note, created_at) VALUES (%s, %s, %s, %s, %s)",
        [head.number, head.size, head.root, head.note, head.created_at],
    )
    return head


def _drop_repeated() -> None:
    """Take out of the queue what is sealed or stands there twice, and leave a record of it."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_unsealed q USING audit_leaf l WHERE l.record_id = q.record_id")
        dropped = cursor.rowcount
        cursor.execute(
            "DELETE FROM audit_unsealed a USING audit_unsealed b WHERE a.record_id = b.record_id AND a.ctid > b.ctid"
        )
        dropped += cursor.rowcount
    if not dropped:
        return
    log.error("queue_had_repeated_records", dropped=dropped)
    trail.add("audit.seal.repeated", actor=OWN_WRITER, outcome="failure", correlation="seal", dropped=dropped)
