"""verify: take receipts back, and say of every event that they promise whether the promise is kept.

Nothing is believed of a receipt that none of our keys signed. Nothing is called kept that was not found: what cannot be
asked now is unknown, and a broken promise dominates.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple, TypeVar
from uuid import UUID

from audit.formats import receipt
from audit.formats.note import NoteError, Verifier
from audit.formats.receipt import Promise
from audit.ingest import again
from audit.ledger import keys
from audit.models import BrokenPromise
from audit.queue import renamed
from audit.receipts import broken, locate
from audit.receipts.locate import LocatedRecord, Locations

T = TypeVar("T")
BROKEN, NOT_OURS, UNKNOWN, KEPT = "broken promise", "not ours", "unknown", "kept"
# The worst first.
STATES = (BROKEN, NOT_OURS, UNKNOWN, "pending", "parked", "quarantined", "discarded", "stored", "purged", "sealed")
NOT_SEEN = {NOT_OURS, UNKNOWN, "pending"}
MAX_RECHECKED = 5_000


class ReceiptResult(NamedTuple):
    """What became of one event; of a whole receipt that is not ours."""

    # Which of the receipts, from 0.
    receipt: int
    state: str
    why: str
    event_id: str = ""
    digest: str = ""
    promise: Promise | None = None
    leaf: int | None = None
    # How a promise was broken: one of BrokenPromise.KINDS.
    kind: str = ""
    # The record, where it has another id than the event was promised under.
    record_id: str = ""


class VerifiedReceipts(NamedTuple):
    """All results, in the order of the receipts, and how many there are of each state."""

    results: list[ReceiptResult]
    receipts: int
    counts: dict[str, int]

    @property
    def verdict(self) -> str:
        """Broken where any is; kept where there is something and all of it was found."""
        if BROKEN in self.counts:
            return BROKEN
        return KEPT if self.counts and not self.counts.keys() & NOT_SEEN else UNKNOWN

    @property
    def sentence(self) -> str:
        receipts = f"{self.receipts:,} receipt{'' if self.receipts == 1 else 's'}"
        if not self.receipts:
            return "There is no receipt here: nothing was verified."
        counted = ", ".join(f"{count:,} {state}" for state, count in self.counts.items())
        opening = {
            BROKEN: "The store broke its promise",
            UNKNOWN: "Not everything can be said",
            KEPT: "No promise is broken",
        }[self.verdict]
        return f"{opening}: {counted}, of {receipts}."


def verify_receipts(receipts: Sequence[str]) -> VerifiedReceipts:
    """Say what became of every event of these receipts; store, record and tell promises that were broken.

    Raises `KeyMissing` where there are no keys of receipts, `NothingKept` and database errors where a broken promise
    cannot be stored.
    """
    verifiers = keys.receipts().verifiers
    unjudged = (event for number, text in enumerate(receipts) for event in _read(number, text, verifiers))
    results = [result for portion in _portions(unjudged) for result in _judge_all(portion)]
    counts = Counter(result.state for result in results)
    return VerifiedReceipts(results, len(receipts), {state: counts[state] for state in STATES if counts[state]})


def recheck_broken() -> int:
    """Close broken promises that were kept after all, the newest first, and tell those that nobody heard of; return
    how many are open. For the schedule. Raises database errors."""
    waiting = {str(finding.event_id) for finding in BrokenPromise.objects.filter(closed_at=None)[:MAX_RECHECKED]}
    for ids in _portions(iter(waiting)):
        stored = locate.find(ids).stored
        broken.close(
            {event_id: row.digest for event_id, row in stored.items() if row.leaf is not None and not row.fault}
        )
    broken.notify_unheard()
    return BrokenPromise.objects.filter(closed_at=None).count()


def _read(number: int, text: str, verifiers: Iterable[Verifier]) -> list[ReceiptResult]:
    """A result without a state for each event of a receipt of ours."""
    try:
        promise = receipt.read(text, verifiers)
    except NoteError as error:
        return [ReceiptResult(number, NOT_OURS, f"Nothing of it is believed: {error}.")]
    return [ReceiptResult(number, "", "", event_id, digest, promise) for event_id, digest in promise.events.items()]


def _judge_all(portion: list[ReceiptResult]) -> list[ReceiptResult]:
    ids = list({event.event_id: None for event in portion if event.promise is not None})
    if not ids:
        return portion
    locations, now = locate.find(ids), datetime.now(UTC)
    results = [judge(event, event.promise, locations, now) if event.promise else event for event in portion]
    if locations.database_up:
        broken.store(_finding(each, each.promise, now) for each in results if each.promise and each.state == BROKEN)
        broken.close({result.event_id: result.digest for result in results if result.state == "sealed"})
        broken.notify_unheard()
    return results


def judge(event: ReceiptResult, promise: Promise, locations: Locations, now: datetime) -> ReceiptResult:
    """What became of one event, from where it is now."""
    if (record := locations.stored.get(event.event_id)) is not None:
        return _judge_record(event, promise, record, now)
    if (leaf := locations.orphans.get(event.event_id)) is not None:
        return _broken(event, "missing", f"Its leaf is in the log, at index {leaf}, and its record is gone.")
    if (removed := locations.purged.get(event.event_id)) is not None:
        leaf, plan = removed
        why = f"In the signed log, at index {leaf}; its record was due, and was removed by the purge {plan}."
        return event._replace(state="purged", why=why, leaf=leaf)
    if event.event_id in locations.parked:
        return _judge_message(event, promise, locations, now)
    aside = locations.aside.get(event.event_id)
    if aside is not None and aside.digest == event.digest:
        return event._replace(state=aside.state, why=f"By {aside.by}, {_when(aside.at)}: kept, and not in the log.")
    down = [name for name, up in (("PostgreSQL", locations.database_up), ("Redis", locations.queue_up)) if not up]
    if down:
        return event._replace(
            state=UNKNOWN, why=f"{' and '.join(down)} cannot be asked now: ask again when it is back."
        )
    if now <= promise.sealed_by:
        return event._replace(state="pending", why=f"Not found yet; it has time until {_when(promise.sealed_by)}.")
    where = "neither a record, nor parked, quarantined or discarded; spools of other hosts cannot be seen from here"
    return _broken(event, "missing", f"It was to be sealed by {_when(promise.sealed_by)}, and is {where}.")


def _judge_record(event: ReceiptResult, promise: Promise, record: LocatedRecord, now: datetime) -> ReceiptResult:
    if record.digest != event.digest and (other := renamed.kept_as(UUID(event.event_id), bytes.fromhex(event.digest))):
        new_id = str(other.id)
        under_new_id = locate.find([new_id]).stored[new_id]._replace(digest=event.digest)
        result = _judge_record(event._replace(record_id=new_id), promise, under_new_id, now)
        return result._replace(why=f"Its id was taken by another event: it is kept as {new_id}. {result.why}")
    if record.fault is None and record.digest != event.digest and again.is_recorded(event.event_id, event.digest):
        result = _judge_record(event._replace(digest=record.digest), promise, record, now)
        why = "It came again and is stored once, with other salts for what can be erased of it (audit.event.again)."
        return result._replace(digest=event.digest, why=f"{why} {result.why}")
    if record.fault is not None or record.digest != event.digest:
        why = f"The record is not what was promised: {record.fault or 'its digest is another'}."
        return _broken(event, "altered", why)
    if record.leaf is not None:
        return event._replace(state="sealed", why=f"In the signed log, at index {record.leaf}.", leaf=record.leaf)
    if now <= promise.sealed_by:
        return event._replace(state="stored", why=f"To be sealed by {_when(promise.sealed_by)}.")
    return _broken(event, "late", f"Stored, and not sealed by {_when(promise.sealed_by)}: is the sealer running?")


def _judge_message(event: ReceiptResult, promise: Promise, locations: Locations, now: datetime) -> ReceiptResult:
    message, by = locations.parked[event.event_id], _when(promise.sealed_by)
    if message.digest.hex() != event.digest or not message.digest_ok:
        return _broken(event, "altered", "What waits in the queue under its id is not what was promised.")
    state = f"dead: {message.last_error_class}, it needs a person" if message.state == "dead" else message.state
    if now <= promise.sealed_by:
        return event._replace(state="parked", why=f"In the queue ({state}); to be sealed by {by}.")
    if not locations.database_up:
        return event._replace(state=UNKNOWN, why=f"In the queue ({state}); PostgreSQL cannot be asked now.")
    return _broken(event, "late", f"In the queue still ({state}), and not sealed by {by}.")


def _broken(event: ReceiptResult, kind: str, why: str) -> ReceiptResult:
    return event._replace(state=BROKEN, why=why, kind=kind)


def _finding(result: ReceiptResult, promise: Promise, now: datetime) -> BrokenPromise:
    return BrokenPromise(
        event_id=UUID(result.event_id),
        kind=result.kind,
        writer=promise.writer,
        digest=result.digest,
        promised=promise.state,
        promised_at=promise.promised_at,
        sealed_by=promise.sealed_by,
        why=result.why,
        found_at=now,
    )


def _portions(rows: Iterator[T]) -> Iterator[list[T]]:
    while portion := list(islice(rows, locate.MAX_EVENTS)):
        yield portion


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
