"""cursor: the durable place of a target in the log. One streamer at a time holds and moves it.

Held by a lock of the session, which PostgreSQL lets go of with a killed process, behind a pooler by one of a
transaction; and by the name of the holder in the row: where a pooler or a failover gave the lock to another, the first
one finds that out at its next move.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F

from audit.errors import AuditError, Invalid
from audit.ingest import trail
from audit.ingest.own_event import Where
from audit.ledger import reader
from audit.models import OWN_WRITER, Record, Stream
from audit.postgres import session_lock, sql

log = structlog.get_logger(__name__)

MAX_PROBLEM = 1_000
# A streamer says so often that it is there, while nothing moves.
SEEN_EVERY = timedelta(seconds=10)
PLACED = "audit.stream.placed"
# So many placings of a target are looked back at.
PLACINGS = 1_000
_WHERE = Where(category="streams", resource=("stream", ""))


class StreamHeld(AuditError):
    """Another streamer works on this target: one at a time moves its cursor."""


class CursorLost(AuditError):
    """Another streamer has taken this target over: this one has stopped."""


class Cursor:
    """The place of one target, held by this process."""

    def __init__(self, name: str, holder: uuid.UUID):
        self._name, self._holder = name, holder
        self._row = Stream.objects.get(pk=name)
        self.position = self._row.position
        self._seen_at: datetime | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def problem(self) -> str:
        return self._row.problem

    def move(self, position: int, *, records: int, size: int, refused: dict[int, str], taken_bytes: int) -> None:
        """The target has all before `position`. Raises `CursorLost`, database errors."""
        now = sql.now()
        changes: dict[str, Any] = {"position": position, "taken_at": now, "seen_at": now}
        changes |= {"records": F("records") + records, "bytes": F("bytes") + taken_bytes}
        if refused:
            newest = [{"index": index, "why": why[:300], "at": now.isoformat()} for index, why in refused.items()]
            self._row.refusals = [*self._row.refusals, *newest][-Stream.REFUSALS :]
            changes |= {"refused": F("refused") + len(refused), "refusals": self._row.refusals}
        if self._row.problem:
            self._row.problem = ""
            changes |= {"problem": "", "problem_since": None, "told_at": None}
        self._update(changes | self._sample(now, size - position))
        self.position = position

    def seen(self, size: int) -> None:
        """Nothing is to be sent now; noted every 10 s. Raises `CursorLost`, database errors."""
        now = sql.now()
        if self._seen_at is None or now - self._seen_at >= SEEN_EVERY:
            self._update({"seen_at": now} | self._sample(now, size - self.position))

    def failed(self, text: str, size: int) -> None:
        """The target did not take a batch. Raises `CursorLost`, database errors."""
        now, text = sql.now(), text[:MAX_PROBLEM]
        changes: dict[str, Any] = {"seen_at": now, "problem": text}
        if not self._row.problem:
            changes["problem_since"] = now
        self._row.problem = text
        self._update(changes | self._sample(now, size - self.position))

    def _update(self, changes: dict[str, Any]) -> None:
        own = Stream.objects.filter(pk=self._name, holder=self._holder, position=self.position)
        if not own.update(**changes):
            raise CursorLost(f"Another streamer has taken {self._name} over: this one has stopped.")
        self._seen_at = changes["seen_at"]

    def _sample(self, now: datetime, lag: int) -> dict[str, Any]:
        """The lag, every ten minutes: for a day it is drawn."""
        samples = self._row.samples
        if samples and now - datetime.fromisoformat(samples[-1][0]) < timedelta(minutes=Stream.SAMPLE_MINUTES):
            return {}
        self._row.samples = [*samples, [now.isoformat(), max(lag, 0)]][-Stream.SAMPLES :]
        return {"samples": self._row.samples}


@contextmanager
def hold(name: str, begins: Callable[[], None] = lambda: None) -> Iterator[Cursor]:
    """Hold the cursor of a target that `begin` made, or that `begins` makes once nobody else can hold it.

    Raises `StreamHeld`, and what `begins` and the database raise.
    """
    with session_lock.tried(f"auditsite stream {name}") as is_held:
        if not is_held:
            raise StreamHeld(f"Another streamer works on {name}: one at a time moves its cursor.")
        begins()
        holder = uuid.uuid4()
        Stream.objects.filter(pk=name).update(holder=holder)
        yield Cursor(name, holder)


@transaction.atomic
def begin(name: str, *, kind: str, place: str, unredacted: bool, first: int | None = None) -> None:
    """Make the row of a target, from the log entry `first` on, 0 where it is None; recorded, as is each change of it.

    From now on every record leaves the store, so that it is told as the target is now, before anything goes there.
    Raises `NothingKept`.
    """
    before = Stream.objects.select_for_update().filter(pk=name).first()
    facts = {"target": name, "type": kind, "place": place, "unredacted": unredacted}
    if before is None:
        _record("begun", name, OWN_WRITER, **facts, first=first or 0)
        Stream.objects.create(
            **{"name": name, "kind": kind, "place": place, "unredacted": unredacted, "position": first or 0},
            begun_at=sql.now(),
        )
        return
    same = (before.kind, before.place, before.unredacted) == (kind, place, unredacted)
    if same and before.ended_at is None:
        return
    _record("changed", name, OWN_WRITER, **facts, first=before.position)
    before.kind, before.place, before.unredacted, before.ended_at = kind, place, unredacted, None
    before.save(update_fields=["kind", "place", "unredacted", "ended_at"])


@transaction.atomic
def place_at(name: str, position: int, *, by: str) -> None:
    """Let a target go on from another log entry; recorded. Raises `Invalid`, `StreamHeld`, `NothingKept`."""
    row = _row(name)
    if not 0 <= position <= (size := reader.signed_size()):
        raise Invalid({"from": f"is {position}, and the log has the entries 0 to {size - 1}"})
    with hold(name):
        _record("placed", name, by, target=name, before=row.position, after=position)
        Stream.objects.filter(pk=name).update(position=position, holder=None)


def reached(name: str) -> int:
    """The log entry up to which a target was given the log before somebody placed it back; 0 where nobody did."""
    acts = Record.objects.filter(writer=OWN_WRITER, event_type=PLACED, correlation_id=f"stream-{name}")
    newest = acts.order_by("-id").values_list("event_data__before", flat=True)[:PLACINGS]
    return max((int(before) for before in newest), default=0)


@transaction.atomic
def end(name: str, *, by: str) -> None:
    """Nobody waits for this target any more: no lag of it counts. Raises `Invalid`, `StreamHeld`, `NothingKept`."""
    row = _row(name)
    with hold(name):
        _record("ended", name, by, target=name, position=row.position)
        changes = {"ended_at": sql.now(), "problem": "", "problem_since": None, "holder": None}
        Stream.objects.filter(pk=name).update(**changes)


def _row(name: str) -> Stream:
    if (row := Stream.objects.filter(pk=name).first()) is None:
        raise Invalid({"target": f"nothing was ever streamed to {name}: `manage.py stream list` names all"})
    return row


def _record(act: str, name: str, by: str, **facts: Any) -> None:
    trail.add(f"audit.stream.{act}", _WHERE, actor=by, correlation=f"stream-{name}", **facts)
