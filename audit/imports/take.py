"""take: bring foreign events in. They are converted, then recorded or parked, as events that are sent are.

What cannot be converted is kept as it came in the dead letter queue, for a person; a drain converts it again, should
its mapping have changed meanwhile. Each event is here once, however often it comes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import structlog

from audit import metrics
from audit.access import limits
from audit.errors import Conflict, Invalid
from audit.formats import canonical, event
from audit.formats.event import Accepted
from audit.imports import catalogue, identity, known
from audit.imports.convert import convert
from audit.imports.item import Item
from audit.imports.mapping import Mapping
from audit.imports.sources.explode import read_kept
from audit.ingest import invalid, rejection_counters, rejections
from audit.ingest.accept import accept
from audit.ingest.invalid import InvalidEvent
from audit.ingest.record import Recorded, record, record_conflicts, record_new
from audit.ingest.rejections import Refusal
from audit.postgres import clock
from audit.schemas import in_force

log = structlog.get_logger(__name__)

# One transaction has so many: the bound of a batch.
PORTION = event.MAX_BATCH
# An id that its source used for several events leads to another one, and so on: so often.
MOST_ROUNDS = 7
State = Literal["stored", "duplicate", "parked", "dead", "refused"]
ItemT = TypeVar("ItemT")


class Taken(NamedTuple):
    """What became of an event. `errors` says why it could not be converted, by member."""

    items: Sequence[Item]
    place: int
    state: State
    id: UUID | None = None
    errors: dict[str, str] = {}  # noqa: RUF012  # never written to
    # What can be promised of it; None where it is not kept as an event, or was made by another mapping before.
    recorded: Recorded | None = None
    # Whether it is a duplicate of a record that a purge removed.
    is_purged: bool = False

    @property
    def item(self) -> Item:
        return self.items[self.place]


class _Event(NamedTuple):
    accepted: Accepted
    # In the portion, of which the items may not have been read here, and are looked at for few events.
    place: int
    # The id that it has by its source's, where another event has that.
    wanted: UUID | None = None


class _Became(NamedTuple):
    state: State
    event: _Event
    recorded: Recorded | None = None
    is_purged: bool = False


class Prepared(NamedTuple):
    """A portion that was read and converted: the events that can be recorded, and what is wrong with the others.

    Both by their places in it.
    """

    items: Sequence[Item]
    events: dict[int, Accepted]
    faulty: dict[int, dict[str, str]]
    mapping: Mapping
    writer: str


def take(items: Iterable[Item], mapping: Mapping, *, writer: str) -> list[Taken]:
    """Take events of a writer by a mapping, and say what became of each, in their order.

    Raises `NothingKept` where neither PostgreSQL nor the queue took them: of this portion nothing is kept, and the same
    may be sent again.
    """
    return [taken for portion in portions(items, PORTION) for taken in bring(prepare(portion, mapping, writer=writer))]


def prepare(items: Sequence[Item], mapping: Mapping, *, writer: str) -> Prepared:
    """Convert and validate events, by the schemas that hold now; nothing is kept."""
    return Prepared(items, *accept_all([item.original for item in items], mapping, writer=writer), mapping, writer)


def accept_all(
    originals: Sequence[Any], mapping: Mapping, *, writer: str
) -> tuple[dict[int, Accepted], dict[int, dict[str, str]]]:
    """Convert and validate events; return those that can be recorded, and what is wrong with the others, by place."""
    events: dict[int, Accepted] = {}
    faulty: dict[int, dict[str, str]] = {}
    for place, original in enumerate(originals):
        try:
            events[place] = accept_original(original, mapping, writer=writer)[0]
        except Invalid as error:
            faulty[place] = error.errors
    return events, faulty


def bring(prepared: Prepared, *, looks: bool = False) -> list[Taken]:
    """Record or park what was prepared, keep what cannot be, and say what became of each. Raises `NothingKept`.

    With `looks` it is looked up first which are here already: cheaper than to find that out by recording them.
    """
    items, accepted, faulty, mapping, writer = prepared
    events = {place: _Event(each, place) for place, each in accepted.items()}
    copies = _copies(events, items)
    states = _record({place: each for place, each in events.items() if place not in copies}, prepared, looks=looks)
    taken = {
        place: Taken(items, place, state, each.accepted.id, recorded=recorded, is_purged=is_purged)
        for place, (state, each, recorded, is_purged) in states.items()
    }
    for place, first in copies.items():
        state: State = "duplicate" if taken[first].state == "stored" else taken[first].state
        taken[place] = taken[first]._replace(place=place, state=state)
    taken |= _keep(faulty, items, mapping, writer)
    counts = Counter(each.state for each in taken.values())
    for each, count in counts.items():
        metrics.taken.labels(mapping=mapping.name, state=each).inc(count)
    log.debug("taken", mapping=mapping.made_by, writer=writer, counts=dict(counts))
    return [taken[place] for place in range(len(taken))]


def accept_original(original: Any, mapping: Mapping, *, writer: str) -> tuple[Accepted, dict[str, Any]]:
    """Convert and validate an event, by its type's schema too; return it with the document that a client would send.

    Raises `Invalid`.
    """
    document = convert(original, mapping, writer=writer, now=clock.local_now()).document
    accepted = accept(document, writer)
    in_force.check(document, accepted.id)
    return accepted, document


def accept_again(raw: bytes, name: str, *, writer: str) -> Accepted:
    """Convert what was kept as it came, by the mapping as it is now. Raises `Invalid`, `MappingInvalid`."""
    mapping = catalogue.find(name)
    return accept_original(read_kept(raw, mapping), mapping, writer=writer)[0]


def portions(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    source = iter(items)
    while portion := list(islice(source, size)):
        yield portion


def _copies(events: dict[int, _Event], items: Sequence[Item]) -> dict[int, int]:
    """Return which events are copies of one that stands before them."""
    if _are_different(events):
        return {}
    first: dict[UUID, list[int]] = {}
    copies: dict[int, int] = {}
    for place, each in events.items():
        before = first.setdefault(each.accepted.id, [])
        same = next((other for other in before if items[other].original == items[place].original), None)
        if same is None:
            before.append(place)
        else:
            copies[place] = same
    return copies


def _are_different(events: dict[int, _Event]) -> bool:
    """Whether no two of them have the same id, as it nearly always is. The number is hashed in a fifth of the time."""
    return len({each.accepted.id.int for each in events.values()}) == len(events)


def _record(events: dict[int, _Event], prepared: Prepared, *, looks: bool) -> dict[int, _Became]:
    """Record those that are new; an event whose id its source used for another one is recorded beside that.

    Where one is not new by its digest, all are looked up: the same event may have another digest. Raises `NothingKept`;
    `Conflict` where an id leads from one event to another again and again.
    """
    states: dict[int, _Became] = {}
    for left in reversed(range(MOST_ROUNDS)):
        events, waiting = _first_of_each(events)
        here = _look(events) if looks else {}
        states |= {place: _here(state, events[place]) for place, state in here.items() if state != "taken"}
        new = {place: each for place, each in events.items() if place not in here}
        again = waiting | {place: _beside(events[place], prepared) for place, state in here.items() if state == "taken"}
        try:
            states |= _record_new(new, record_new if left else record)
        except Conflict:
            # Some are here, perhaps the same under other digests, or somebody was quicker: they are looked at.
            if not left:
                raise
            again |= new
        if not (events := again):
            return states
        looks = True
    raise Conflict([])


def _look(events: dict[int, _Event]) -> dict[int, known.Found]:
    found = known.look([each.accepted for each in events.values()])
    return {place: found[each.accepted.id] for place, each in events.items() if each.accepted.id in found}


def _first_of_each(events: dict[int, _Event]) -> tuple[dict[int, _Event], dict[int, _Event]]:
    """Return the first event of each id, and the others, which are compared with it when it is here."""
    if _are_different(events):
        return events, {}
    first = {each.accepted.id: place for place, each in reversed(events.items())}
    now = {place: each for place, each in events.items() if first[each.accepted.id] == place}
    return now, {place: each for place, each in events.items() if place not in now}


def _record_new(new: dict[int, _Event], keep: Callable[[Sequence[Accepted]], list[Recorded]]) -> dict[int, _Became]:
    """Raises `Conflict`, `NothingKept`."""
    if not new:
        return {}
    recorded = keep([each.accepted for each in new.values()])
    states = {place: _Became(each.state, new[place], each) for place, each in zip(new, recorded, strict=True)}
    _tell(each for place, each in new.items() if states[place].state != "duplicate")
    return states


def _here(found: known.Found, each: _Event) -> _Became:
    if found == "parked":
        return _Became("parked", each)
    recorded = Recorded(each.accepted, "duplicate") if found == "stored" else None
    return _Became("duplicate", each, recorded, is_purged=found == "purged")


def _beside(each: _Event, prepared: Prepared) -> _Event:
    mapping, writer, original = prepared.mapping, prepared.writer, prepared.items[each.place].original
    event_id = identity.beside(each.accepted.id, canonical.canonical(original))
    # An event without a time of its own keeps that of its arrival.
    document = convert(original, mapping, writer=writer, now=each.accepted.event_timestamp).document
    return _Event(accept(document | {"event_id": str(event_id)}, writer), each.place, each.accepted.id)


def _tell(events: Iterable[_Event]) -> None:
    """Record that sources used an id for several events: each is stored, the later ones beside the first."""
    if apart := [msgspec.structs.replace(each.accepted, id=each.wanted) for each in events if each.wanted]:
        record_conflicts(apart)


def _keep(faulty: dict[int, dict[str, str]], items: Sequence[Item], mapping: Mapping, writer: str) -> dict[int, Taken]:
    """Keep what could not be converted, as it came; what is over what is kept of that for a writer is refused."""
    if not faulty:
        return {}
    events = [InvalidEvent(items[place].as_it_came(), errors, mapping.name) for place, errors in faulty.items()]
    if limits.may_keep_invalid(writer, len(events), sum(len(each.raw) for each in events)):
        ids = invalid.keep(events, writer=writer)
        return {
            place: Taken(items, place, "dead", event_id, errors)
            for (place, errors), event_id in zip(faulty.items(), ids, strict=True)
        }
    log.warning("invalid_events_refused", writer=writer, events=len(events))
    rejection_counters.count(
        writer, [Refusal(rejections.reason_of(each.errors), 1, each.detail, each.raw) for each in events]
    )
    return {place: Taken(items, place, "refused", None, errors) for place, errors in faulty.items()}
