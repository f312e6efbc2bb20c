"""verify: take receipts back, and say of every event that they promise whether the promise is kept.

Nothing is believed of a receipt that none of our keys signed. Nothing is called kept that was not looked at: what
cannot be asked now is unknown, and a broken promise dominates.
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
from audit.ledger import keys
from audit.models import BrokenPromise
from audit.receipts import broken, locate
from audit.receipts.locate import Whereabouts

T = TypeVar("T")
BROKEN, NOT_OURS, UNKNOWN, KEPT = "broken promise", "not ours", "unknown", "kept"
STATES = (BROKEN, NOT_OURS, UNKNOWN, "pending", "parked", "quarantined", "discarded", "stored", "sealed")
"""The worst first."""
NOT_SEEN = {NOT_OURS, UNKNOWN, "pending"}
LOOKED_AT = 5_000


class Answer(NamedTuple):
    """What became of one event; of a whole receipt that is not ours."""

    receipt: int
    """Which of the receipts, from 0."""
    state: str
    why: str
    event_id: str = ""
    digest: str = ""
    promise: Promise | None = None
    leaf: int | None = None
    kind: str = ""
    """How a promise was broken: one of BrokenPromise.KINDS."""


class Redeemed(NamedTuple):
    """All answers, in the order of the receipts, and what they come to."""

    answers: list[Answer]
    receipts: int
    counts: dict[str, int]

    @property
    def verdict(self) -> str:
        """A broken promise dominates; nothing at all was not kept, nor what was not found."""
        if BROKEN in self.counts:
            return BROKEN
        return KEPT if self.counts and not self.counts.keys() & NOT_SEEN else UNKNOWN

    @property
    def sentence(self) -> str:
        """The verdict for a person."""
        of = f"{self.receipts:,} receipt{'' if self.receipts == 1 else 's'}"
        if not self.receipts:
            return "There is no receipt here: nothing was verified."
        counted = ", ".join(f"{count:,} {state}" for state, count in self.counts.items())
        opening = {
            BROKEN: "The store broke its promise",
            UNKNOWN: "Not everything can be said",
            KEPT: "No promise is broken",
        }[self.verdict]
        return f"{opening}: {counted}, of {of}."


def redeem(receipts: Sequence[str]) -> Redeemed:
    """Answer for every event of these receipts; keep, record and tell the promises that were broken.

    Raises `KeyMissing` where there are no keys of receipts, `NothingKept` and database errors where a broken promise
    cannot be kept.
    """
    verifiers = keys.receipts().verifiers
    read = [_read(place, text, verifiers) for place, text in enumerate(receipts)]
    answers: list[Answer] = []
    for portion in _portions(one for found in read for one in found):
        answers += _answered(portion)
    counts = Counter(one.state for one in answers)
    return Redeemed(answers, len(receipts), {state: counts[state] for state in STATES if counts[state]})


def look_again() -> int:
    """Close the broken promises that were kept after all, the newest first, and tell those that nobody was told of;
    return how many are open. For the schedule. Raises database errors."""
    waiting = {str(one.event_id) for one in BrokenPromise.objects.filter(closed_at=None)[:LOOKED_AT]}
    for ids in _portions(iter(waiting)):
        found = locate.find(ids).stored
        broken.close({one: row.digest for one, row in found.items() if row.leaf is not None and not row.fault})
    broken.tell()
    return BrokenPromise.objects.filter(closed_at=None).count()


def _read(place: int, text: str, verifiers: Iterable[Verifier]) -> list[Answer]:
    """An empty answer for each event of a receipt of ours."""
    try:
        found = receipt.read(text, verifiers)
    except NoteError as error:
        return [Answer(place, NOT_OURS, f"Nothing of it is believed: {error}.")]
    return [Answer(place, "", "", event_id, digest, found) for event_id, digest in found.events.items()]


def _answered(portion: list[Answer]) -> list[Answer]:
    ours = {one.event_id: None for one in portion if one.promise is not None}
    if not ours:
        return portion
    found, now = locate.find(list(ours)), datetime.now(UTC)
    answers = [judged(one, one.promise, found, now) if one.promise else one for one in portion]
    if found.database:
        broken.keep(_kept(one, one.promise, now) for one in answers if one.promise and one.state == BROKEN)
        broken.close({one.event_id: one.digest for one in answers if one.state == "sealed"})
        broken.tell()
    return answers


def judged(one: Answer, said: Promise, found: Whereabouts, now: datetime) -> Answer:
    """What became of one event, from where it is now."""
    if one.event_id in found.stored:
        return _of_record(one, said, found.stored[one.event_id], now)
    if one.event_id in found.orphans:
        at = found.orphans[one.event_id]
        return _broken(one, "missing", f"Its leaf is in the log, at index {at}, and its record is gone.")
    if one.event_id in found.parked:
        return _of_message(one, said, found, now)
    aside = found.aside.get(one.event_id)
    if aside is not None and aside.digest == one.digest:
        return one._replace(state=aside.state, why=f"By {aside.by}, {_when(aside.at)}: kept, and not in the log.")
    if not (found.database and found.queue):
        silent = " and ".join(name for name, up in (("PostgreSQL", found.database), ("Redis", found.queue)) if not up)
        return one._replace(state=UNKNOWN, why=f"{silent} cannot be asked now: ask again when it is back.")
    if now <= said.sealed_by:
        return one._replace(state="pending", why=f"Not found yet; it has time until {_when(said.sealed_by)}.")
    where = "neither a record, nor parked, quarantined or discarded; spools of other hosts cannot be seen from here"
    return _broken(one, "missing", f"It was to be sealed by {_when(said.sealed_by)}, and is {where}.")


def _of_record(one: Answer, said: Promise, row: locate.Stored, now: datetime) -> Answer:
    if row.fault is not None or row.digest != one.digest:
        return _broken(one, "altered", f"The record is not what was promised: {row.fault or 'its digest is another'}.")
    if row.leaf is not None:
        return one._replace(state="sealed", why=f"In the signed log, at index {row.leaf}.", leaf=row.leaf)
    if now <= said.sealed_by:
        return one._replace(state="stored", why=f"To be sealed by {_when(said.sealed_by)}.")
    return _broken(one, "late", f"Stored, and not sealed by {_when(said.sealed_by)}: is the sealer running?")


def _of_message(one: Answer, said: Promise, found: Whereabouts, now: datetime) -> Answer:
    message = found.parked[one.event_id]
    if message.digest.hex() != one.digest or not message.digest_ok:
        return _broken(one, "altered", "What waits in the queue under its id is not what was promised.")
    state = f"dead: {message.last_error_class}, it needs a person" if message.state == "dead" else message.state
    if now <= said.sealed_by:
        return one._replace(state="parked", why=f"In the queue ({state}); to be sealed by {_when(said.sealed_by)}.")
    if not found.database:
        return one._replace(state=UNKNOWN, why=f"In the queue ({state}); PostgreSQL cannot be asked now.")
    return _broken(one, "late", f"In the queue still ({state}), and not sealed by {_when(said.sealed_by)}.")


def _broken(one: Answer, kind: str, why: str) -> Answer:
    return one._replace(state=BROKEN, why=why, kind=kind)


def _kept(one: Answer, said: Promise, now: datetime) -> BrokenPromise:
    return BrokenPromise(
        event_id=UUID(one.event_id),
        kind=one.kind,
        writer=said.writer,
        digest=one.digest,
        promised=said.state,
        promised_at=said.promised_at,
        sealed_by=said.sealed_by,
        why=one.why,
        found_at=now,
    )


def _portions(found: Iterator[T]) -> Iterator[list[T]]:
    while portion := list(islice(found, locate.PORTION)):
        yield portion


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
