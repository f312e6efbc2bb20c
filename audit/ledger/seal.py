"""Assign leaves to unsealed records and sign the new head. The only code that writes the log.

1. One sealer at a time: each transaction takes an advisory lock; another sealer gives up.
2. The newest checkpoint must be signed by a known key, and the kept hashes must fold to its root: nothing is ever
   signed on top of a tree other than the one that was signed before, so this code cannot fork the log.
3. Nor beside or below a head that the anchor or a witness has: a database that was restored is resumed first
   (audit/ledger/resume.py). Both are asked before the first pass, and the anchor before each signature.
4. Choose records from the queue, in the order of their storage, and commit that they come next: confirmed by each
   server that has to, before anything is signed over them (audit/ledger/intents.py).
5. In a second transaction take them from the queue; write leaf and node rows; sign; write the head, which becomes a
   checkpoint where it is its turn (audit/ledger/heads.py); commit. A key in a token has signed
   before that: what is intended says which tree it will be.

A kill at any point rolls a transaction back. The next pass, of whichever sealer and on whichever server, takes what was
intended: it signs the tree that was or would have been signed, and no other.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import IntegrityError, connections, transaction

from audit import tracing
from audit.errors import ClocksDisagree, KeyMissing, KeyUnknown, LogDamaged
from audit.formats import note
from audit.formats.tiles import Edge, Node
from audit.ledger import crosslinks, heads, intents, outside, reader
from audit.ledger import keys as ledger_keys
from audit.ledger.crosslinks import RESTORED
from audit.ledger.heads import Draft
from audit.models import Checkpoint
from audit.postgres import sql

log = structlog.get_logger(__name__)

BATCH = 20_000
# A head that was kept, perhaps at this very moment, has its number for good; one that was not gives it to the next.
REPLACE_HEAD = """
UPDATE audit_head SET number = CASE WHEN kept THEN greatest(number + 1, %(number)s) ELSE number END,
    size = %(size)s, root = %(root)s, note = %(note)s, created_at = %(created_at)s, kept = %(keep)s
RETURNING number, extract(epoch FROM clock_timestamp() - %(now)s)::float8
"""
FIRST_HEAD = """
INSERT INTO audit_head (number, size, root, note, created_at, kept)
VALUES (%(number)s, %(size)s, %(root)s, %(note)s, %(created_at)s, %(keep)s)
RETURNING number, extract(epoch FROM clock_timestamp() - %(now)s)::float8
"""
FULL_SCAN_EVERY_S = 0.25
# No time is signed that PostgreSQL contradicts by more than this.
CLOCK_TOLERANCE_S = 60.0
# How often a head is signed by a token, where other sealers go on meanwhile.
DRAFTS = 3
SCAN_SHARE = 10  # scans of the whole queue take at most a tenth of the time


class Sealed(NamedTuple):
    # The newest head; None where another sealer was at work, or nothing was to be signed yet.
    checkpoint: Checkpoint | None
    added: int = 0
    signed: bool = False
    # Whether it became a checkpoint in this pass.
    kept: bool = False

    @property
    def more(self) -> bool:
        """Whether records may be waiting that did not fit into the pass."""
        return self.added == BATCH


@dataclass
class _Memory:
    edge: Edge | None = None
    head: Checkpoint | None = None
    # The newest checkpoint; None where it was not looked up yet.
    newest: Checkpoint | None = None
    # The block of the queue's table at which the next scan starts: the first half of a ctid.
    block: int = 0
    # In seconds of the monotonic clock.
    full_scan_at: float = 0.0
    # The end of the anchor when it was last compared.
    anchored: list[outside.Outside] | None = None


class _Signed(NamedTuple):
    """A head that is not committed yet, and what it follows."""

    before: Checkpoint | None
    head: Checkpoint
    edge: Edge
    added: int
    keep: bool
    origin: str


class Sealer:
    """Seals pass after pass. Between passes it remembers the tree's edge and its place in the queue."""

    def __init__(self) -> None:
        self._memory = _Memory()
        # Number and size of the newest head that it signed, and under which name; no failure makes it forget that.
        self._highest, self._name = (-1, 0), ""

    def once(self, *, sign_anyway: bool = False, from_start: bool = False, keep_each: bool = True) -> Sealed:
        """Run one pass. It signs where records were added, where SEAL_IDLE_S passed in silence, or `sign_anyway`.

        The head becomes a checkpoint, or, without `keep_each`, where the last one is SEAL_KEEP_S old.

        Now and then it scans the whole queue, and always `from_start`: only then does a pass that is not full mean that
        nothing waits. Raises `KeyMissing`, `LogDamaged` and database errors; nothing is changed then.
        """
        if from_start:
            self._memory.full_scan_at = 0.0
        try:
            return self._pass(sign_anyway, keep_each)
        except IntegrityError:
            # Somebody queued records that are sealed already: they would stop every further pass.
            self._memory = _Memory()
            intents.drop_repeated()
            return self._pass(sign_anyway, keep_each)
        except BaseException:
            self._memory = _Memory()
            raise

    def _pass(self, sign_anyway: bool, keep_each: bool) -> Sealed:
        keys = ledger_keys.load()
        if keys.signer is None:
            raise KeyMissing("This process has only public keys: the sealer needs SEAL_KEY_FILE.")
        if outside.refused.is_set():
            outside.refused.clear()
            self._memory = _Memory()  # a witness has seen more than we remember: look again
        began_ns = time.time_ns()
        # Before the database is looked at: another sealer may publish what it signs meanwhile.
        known = outside.newest(keys) if self._memory.edge is None else None
        with _turn() as cursor:
            if cursor is None:
                return Sealed(None)
            edge = self._edge_of(reader.head("default"), keys, known)
            keep = keep_each or self._is_due()
            intent = self._intend(cursor, edge.size)
            before = self._memory.head
            if intent is None and not (sign_anyway or _is_silent(before)):
                return Sealed(before, kept=keep and self._keep(before))
        if intent is not None:
            # Whatever is signed from here on, any server that takes over has the intent.
            intents.require_confirmed()
        draft = heads.Draft(keys.signer)
        for _ in range(DRAFTS):
            try:
                return self._carry_out(intent, keys, draft, began_ns, keep=keep)
            except heads.Undrafted:
                draft.sign()
        return Sealed(None)  # another sealer was at work each time

    def _carry_out(
        self,
        intent: intents.Intent | None,
        keys: ledger_keys.Keys,
        draft: Draft,
        began_ns: int,
        *,
        keep: bool,
    ) -> Sealed:
        """Seal what is intended, or sign the same tree again where nothing is. Raises `Undrafted`."""
        with _turn() as cursor:
            if cursor is None:
                return Sealed(None)
            edge = self._edge_of(reader.head("default"), keys, None)
            looks = not draft.is_ready
            taken = intents.take(cursor, edge.size, intent, only_looks=looks) if intent else intents.NOTHING
            if intent is not None and not taken.leaves:
                return Sealed(None)  # another sealer has taken them meanwhile
            signed = self._sign(cursor, edge, taken.leaves, keys, draft, keep=keep)
        if intent is not None:
            self._memory.block = self._memory.block if intent.block is None else intent.block
            tracing.tell("seal", began_ns, taken.traces)
        return self._remember(signed)

    def _intend(self, cursor: Any, size: int) -> intents.Intent | None:
        """Choose what comes next."""
        memory, started = self._memory, time.monotonic()
        full = started >= memory.full_scan_at
        intent = intents.intend(cursor, size, block=0 if full else memory.block, most=BATCH)
        if full:
            took = time.monotonic() - started
            memory.full_scan_at = started + max(FULL_SCAN_EVERY_S, SCAN_SHARE * took)
        return intent

    def _sign(
        self, cursor: Any, edge: Edge, leaves: list[bytes], keys: ledger_keys.Keys, draft: Draft, *, keep: bool
    ) -> _Signed:
        """Grow the tree by leaves that were intended, and sign its head. Raises `Undrafted`."""
        assert keys.signer is not None
        before = self._memory.head
        self._check_anchor(before, keys)
        edge = deepcopy(edge)  # what is rolled back is not remembered
        _write_nodes(cursor, edge.extend(leaves))
        head = sign_head(cursor, before, edge, keys.signer, keep=keep, draft=draft)
        return _Signed(before, head, edge, len(leaves), keep, keys.origin)

    def _remember(self, signed: _Signed) -> Sealed:
        """Remember what was committed."""
        before, head = signed.before, signed.head
        if signed.keep or (before is not None and head.number > before.number):
            self._memory.newest = head if signed.keep else before  # `before` was given out meanwhile
        self._memory.head, self._highest, self._name = head, (head.number, head.size), signed.origin
        self._memory.edge = signed.edge
        return Sealed(head, signed.added, signed=True, kept=signed.keep)

    def _check_anchor(self, head: Checkpoint | None, keys: ledger_keys.Keys) -> None:
        """Before each signature, as far as the end of the anchor is another one than it was: who else writes there?"""
        known = outside.of_anchor(keys)
        if known.unasked or known.heads != self._memory.anchored:
            _check_outside(head, keys, known)
            self._memory.anchored = None if known.unasked else known.heads

    def _is_due(self) -> bool:
        if self._memory.newest is None:
            self._memory.newest = heads.newest_checkpoint("default")
        return heads.is_due(_host_time(), self._memory.newest)

    def _keep(self, head: Checkpoint | None) -> bool:
        """Make the head of the last burst a checkpoint, though no record came since."""
        newest = self._memory.newest
        if head is None or (newest is not None and newest.number >= head.number):
            return False
        self._memory.newest = heads.keep()
        return True

    def _edge_of(self, head: Checkpoint | None, keys: ledger_keys.Keys, known: outside.Known | None) -> Edge:
        """Return the edge of the signed tree: remembered, or read and checked against the signature."""
        is_behind = ((-1, 0) if head is None else (head.number, head.size)) < self._highest
        # A cross-link ends a name with all that was signed under it: somebody resumed the log meanwhile.
        if is_behind and crosslinks.closing(self._name, crosslinks.read(keys, "default")) is None:
            raise LogDamaged(f"Checkpoint {self._highest[0]} was signed and is gone: {RESTORED}")
        memory = self._memory
        if memory.edge is None or memory.head is None or head is None or not _are_same(memory.head, head):
            memory.edge, memory.head = checked_edge(head, keys, known or outside.of_anchor(keys)), head
        return memory.edge


@contextmanager
def _turn() -> Iterator[Any]:
    """A transaction in which no other sealer seals, with a cursor of its own; None while another one does."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('audit_seal'))")
        yield cursor if cursor.fetchone()[0] else None


def _is_silent(head: Checkpoint | None) -> bool:
    if head is None:
        return True
    age_s = (_host_time() - head.created_at).total_seconds()
    return age_s >= settings.SEAL_IDLE_S or age_s < -CLOCK_TOLERANCE_S


def _are_same(head: Checkpoint, other: Checkpoint) -> bool:
    return (head.number, bytes(head.root)) == (other.number, bytes(other.root))


def checked_edge(head: Checkpoint | None, keys: ledger_keys.Keys, known: outside.Known) -> Edge:
    """Return the edge under the newest head. Raises `LogDamaged` unless it is what was signed, here and outside."""
    _check_outside(head, keys, known)
    edge = signed_edge(head, keys)
    if head is not None and crosslinks.own_name(head, keys) != keys.origin:
        raise LogDamaged(
            f"Checkpoint {head.number} is of {crosslinks.own_name(head, keys)}, and the log goes on as {keys.origin}: "
            f"it had been resumed, and {RESTORED}"
        )
    return edge


def signed_edge(head: Checkpoint | None, keys: ledger_keys.Keys) -> Edge:
    """Return the edge under a head, whatever is known outside. Raises `LogDamaged` unless it is what was signed."""
    size = 0 if head is None else head.size
    [(leaves,)] = sql.rows("SELECT coalesce(max(index) + 1, 0) FROM audit_leaf")
    if leaves != size:
        raise LogDamaged(f"The log has {leaves} leaves, but {size} were signed: run `manage.py verify`.")
    if head is None:
        return Edge()
    try:
        text, _ = note.verify(head.note, keys.all_verifiers)
        signed = note.TreeHead.parse(text)
    except note.UnknownKey as error:
        if keys.is_ours(note.origin_of(head.note)):
            raise KeyUnknown(f"Checkpoint {head.number}: {error}. Add its public half to SEAL_PUBLIC_KEYS.") from None
        raise LogDamaged(f"Checkpoint {head.number} is of another log: {error}.") from None
    except note.NoteError as error:
        raise LogDamaged(f"Checkpoint {head.number} cannot be believed: {error}.") from None
    if signed != note.TreeHead(signed.origin, head.size, bytes(head.root)):
        raise LogDamaged(f"Checkpoint {head.number} says other than what was signed: run `manage.py verify`.")
    edge = reader.edge(size, "default")
    if edge.root() != signed.root:
        raise LogDamaged(
            f"The kept hashes do not lead to the root of checkpoint {head.number}: run `manage.py verify`."
        )
    return edge


def _check_outside(head: Checkpoint | None, keys: ledger_keys.Keys, known: outside.Known) -> None:
    """Refuse a database that is older than what anchor and witnesses have, or another: to go on would fork the log."""
    for name in known.unasked:
        log.warning("outside_not_asked", where=name)
    if conflicts := outside.conflicts(known, head, keys, "default"):
        raise LogDamaged(f"The log cannot go on from here. {conflicts[0]}")


def _write_nodes(cursor: Any, nodes: list[Node]) -> None:
    if nodes:
        cursor.execute(
            "INSERT INTO audit_node (level, index, hash) SELECT * FROM unnest(%s::int[], %s::bigint[], %s::bytea[])",
            [[node.level for node in nodes], [node.index for node in nodes], [node.hash for node in nodes]],
        )


def sign_head(
    cursor: Any,
    before: Checkpoint | None,
    edge: Edge,
    signer: note.AnySigner,
    *,
    keep: bool,
    draft: Draft | None = None,
) -> Checkpoint:
    """Sign the head of a tree and write it; with a `draft`, that has the signatures. Raises `Undrafted` then."""
    text = note.TreeHead(signer.name, edge.size, edge.root()).text
    now = _host_time()
    at = _time_after(before, (draft and draft.at) or now)
    head = Checkpoint(
        number=0 if before is None else before.number + 1,
        size=edge.size,
        root=edge.root(),
        note="",
        created_at=at,
    )
    head.note = note.join(text, draft.lines(text, at) if draft else heads.signatures(signer, text, at))
    behind_s = _write_head(cursor, head, now, keep)
    if abs(behind_s) > CLOCK_TOLERANCE_S:
        direction = "behind" if behind_s > 0 else "ahead of"
        raise ClocksDisagree(
            f"This host's clock is {abs(behind_s):,.0f} s {direction} PostgreSQL's: nothing is signed until they agree "
            f"within {CLOCK_TOLERANCE_S:.0f} s. Correct the one that is wrong (NTP)."
        )
    return head


def _write_head(cursor: Any, head: Checkpoint, now: datetime, keep: bool) -> float:
    """Put a head in the place of the last one, and among the checkpoints too; return by how much `now` is behind."""
    values = {"number": head.number, "size": head.size, "root": head.root, "note": head.note, "keep": keep, "now": now}
    values["created_at"] = head.created_at
    cursor.execute(REPLACE_HEAD, values)
    if (row := cursor.fetchone()) is None:
        cursor.execute(FIRST_HEAD, values)
        row = cursor.fetchone()
    head.number, behind_s = row
    if keep:
        cursor.execute(
            "INSERT INTO audit_checkpoint (number, size, root, note, created_at) VALUES (%s, %s, %s, %s, %s)",
            [head.number, head.size, head.root, head.note, head.created_at],
        )
    return float(behind_s)


def _host_time() -> datetime:
    return datetime.now(UTC)


def _time_after(before: Checkpoint | None, now: datetime) -> datetime:
    """Return the time to sign. A clock that was corrected a little does not turn the log's time around; a head that was
    signed far ahead of time does not make all later ones repeat its time."""
    if before is None or not 0 < (before.created_at - now).total_seconds() <= CLOCK_TOLERANCE_S:
        return now
    return before.created_at
