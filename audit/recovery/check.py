"""check: say what a restored store lacks, by what is kept elsewhere: anchor, witnesses, receipts, and the queue.

1. The log against the heads that anchor and witnesses have: how many leaves, which checkpoints. A verification of its
   newest part makes findings of it, which pages show.
2. Receipts of writers, given as files: each event that the store promised and has not is a broken promise.
3. The queue: what it keeps of drained events and the store lacks (`manage.py refill`), what waits, and whether Redis
   itself is older than PostgreSQL knew it.

Reads, but for findings and its own record. What nobody could be asked is said, and is never called whole.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

import dlq.errors
import dlq.stream
from audit.accounting import restored
from audit.formats import note, receipt
from audit.formats.note import NoteError
from audit.ingest import trail
from audit.ledger import anchor, outside, reader, verify
from audit.ledger import keys as ledger_keys
from audit.models import Finding
from audit.queue.refill import Refilled, refill
from audit.receipts.verify import BROKEN, verify_receipts
from audit.recovery import history

CORRELATION = "restore-check"
RECEIPTS_AT_ONCE = 500
NAMED = 100


@dataclass
class Lacks:
    """What a store lacks, as far as others know."""

    size: int = 0
    # Who has more of the log, in words; the largest number of leaves that anybody has of it.
    ahead: list[str] = field(default_factory=list)
    known_size: int = 0
    # Checkpoints that the anchor has and the store has not: how many, and when the first of them was anchored.
    checkpoints: int = 0
    findings: int = 0
    receipts: int = 0
    # What became of the events of the receipts; the ids of those that are nowhere.
    promised: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    kept: Refilled | None = None
    parked: int = 0
    # The queue was restored as well, or is another one.
    queue_is_older: bool = False
    last_backup: datetime | None = None
    unknown: list[str] = field(default_factory=list)

    @property
    def leaves(self) -> int:
        """How many leaves of the signed log are gone."""
        return max(self.known_size - self.size, 0)

    @property
    def anything(self) -> bool:
        """Whether something is known to be lacking."""
        kept = self.kept.stored if self.kept is not None else 0
        return bool(self.ahead or self.findings or self.missing or self.queue_is_older or kept)


def check(receipts: Iterable[Path] = (), *, by: str, progress: Callable[[str], None] = lambda _: None) -> Lacks:
    """Ask all of them. Raises `KeyMissing`, `LogDamaged`, `NothingKept`, database errors, and `OSError` for a file."""
    lacks = Lacks()
    progress("asking anchor and witnesses")
    _check_log(lacks)
    progress("verifying the newest part of the log")
    _verify(lacks, by)
    progress("verifying receipts")
    for path in receipts:
        _check_receipts(lacks, path)
    progress("asking the queue")
    _check_queue(lacks, by)
    last = history.last_backup()
    lacks.last_backup = None if last is None else last.began_at
    trail.add(
        "audit.restore.checked",
        actor=by,
        outcome="failure" if lacks.anything else "success",
        correlation=CORRELATION,
        log_size=lacks.size,
        known_size=lacks.known_size,
        ahead=lacks.ahead or None,
        checkpoints=lacks.checkpoints,
        findings=lacks.findings,
        receipts=lacks.receipts,
        missing=len(lacks.missing),
        event_ids=lacks.missing[:NAMED] or None,
        kept_and_lacking=lacks.kept.stored if lacks.kept is not None else None,
        unknown=lacks.unknown or None,
    )
    return lacks


def _check_log(lacks: Lacks) -> None:
    keys = ledger_keys.load()
    head = reader.head("default")
    known = outside.everything(keys)
    lacks.size = 0 if head is None else head.size
    lacks.ahead = outside.conflicts(known, head, keys, "default")
    lacks.known_size = max((each.head.size for each in known.heads), default=0) if lacks.ahead else lacks.size
    lacks.unknown += known.unasked
    if not anchor.has_anchor() and not known.heads and not known.unasked:
        lacks.unknown.append("no anchor and no witness is configured: nobody outside knows how far the log had come")
    for entry in anchor.anchored() if lacks.ahead else ():
        with suppress(NoteError):
            size = note.TreeHead.parse(note.split(entry.note or "")[0]).size
            lacks.checkpoints += size > lacks.size


def _verify(lacks: Lacks, by: str) -> None:
    """The newest part of the log, with all that is known outside past its end."""
    run = verify.resume(verify.begin("newest", first=_newest_part(lacks.size), requested_by=by))
    # What waits for a sealer that does not run yet, or refuses, is here.
    lacks.findings = Finding.objects.filter(run=run).exclude(subject="queue").count()


def _newest_part(size: int) -> int:
    """Where the checkpoint before the last ends."""
    rows = reader.checkpoint_sizes(2)
    return min([*rows, size])


def _check_receipts(lacks: Lacks, path: Path) -> None:
    with path.open(encoding="utf-8") as lines:
        pieces = receipt.pieces(lines)
        while portion := list(islice(pieces, RECEIPTS_AT_ONCE)):
            verified = verify_receipts(portion)
            lacks.receipts += verified.receipts
            lacks.promised.update(verified.counts)
            # What has time to come is not here either: a receipt for a stored event is owed at once.
            gone = (
                each
                for each in verified.results
                if each.state == "pending" or (each.state, each.kind) == (BROKEN, "missing")
            )
            lacks.missing += [each.event_id for each in gone]


def _check_queue(lacks: Lacks, by: str) -> None:
    queue = dlq.stream.for_drain()
    try:
        lacks.queue_is_older = restored.progress(queue) is None
        lacks.parked = queue.totals.depth()
        lacks.kept = refill(by=by, dry_run=True)
    except dlq.errors.Refused as error:
        lacks.unknown.append(f"the queue: {error}")
