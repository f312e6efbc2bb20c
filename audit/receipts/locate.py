"""locate: where events are: in the log, stored, in the queue, put aside by an audited act, or nowhere to be seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import DatabaseError

import dlq.errors
import dlq.stream
from audit.errors import Unavailable
from audit.ledger import purged
from audit.ledger.verify import records
from audit.models import Discard, Leaf, Quarantined
from audit.postgres import gateway
from audit.queue import discards
from dlq.message import Message

log = structlog.get_logger(__name__)

MAX_EVENTS = 1_000
_ROWS = f"""
SELECT l.index, r.id, l.leaf_hash, {records.COLUMNS} FROM audit_record r
LEFT JOIN (SELECT index, record_id, leaf_hash FROM audit_leaf WHERE record_id = ANY(%s)) l ON l.record_id = r.id
WHERE r.id = ANY(%s)
"""


class LocatedRecord(NamedTuple):
    """A record; `fault` says why it is not what it was, recomputed from its row and against its leaf."""

    digest: str
    leaf: int | None
    fault: str | None


class PutAside(NamedTuple):
    """Kept out of the log by an audited act."""

    state: str
    digest: str
    by: str
    at: datetime


@dataclass
class Locations:
    """Where events were found, by their ids."""

    database_up: bool = True
    queue_up: bool = True
    stored: dict[str, LocatedRecord] = field(default_factory=dict)
    parked: dict[str, Message] = field(default_factory=dict)
    aside: dict[str, PutAside] = field(default_factory=dict)
    # Leaves whose record is gone.
    orphans: dict[str, int] = field(default_factory=dict)
    # Leaves whose record a purge removed, and the number of its plan.
    purged: dict[str, tuple[int, int]] = field(default_factory=dict)


def find(ids: Sequence[str]) -> Locations:
    """Look for at most `MAX_EVENTS` events, in as many queries as for one.

    The queue first: what leaves it meanwhile is in the database then, and never seen in neither.
    """
    locations = Locations()
    try:
        locations.parked = dlq.stream.for_drain().pages.find_all(ids)
    except dlq.errors.Refused:
        locations.queue_up = False
    try:
        gateway.require()
        _search_database(locations, ids)
    except (DatabaseError, Unavailable) as error:
        log.warning("whereabouts_unknown", error=type(error).__name__)
        locations.database_up = False
    return locations


def _search_database(locations: Locations, ids: Sequence[str]) -> None:
    wanted = [UUID(event_id) for event_id in ids]
    locations.stored = {str(row.record_id): _located(row) for row in records.fetch(_ROWS, [wanted, wanted])}
    absent = [event_id for event_id in ids if event_id not in locations.stored]
    if absent:
        leaves = Leaf.objects.filter(record_id__in=absent).values_list("record_id", "index")
        locations.purged = _purged(absent)
        locations.orphans = {
            str(record_id): index for record_id, index in leaves if str(record_id) not in locations.purged
        }
        locations.aside = dict((*_quarantined(absent), *_discarded(absent)))


def _purged(ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Those of a purge that is what its certificate says; one that is not explains nothing."""
    found = purged.plans_of([UUID(event_id) for event_id in ids])
    believed = {plan for plan in {plan for _, plan in found.values()} if purged.standing(plan).state != "wrong"}
    return {event_id: place for event_id, place in found.items() if place[1] in believed}


def _located(row: records.LeafRow) -> LocatedRecord:
    assert row.record is not None
    sealed = row.leaf_index is not None
    fault = records.fault(row) if sealed else records.altered(row)
    return LocatedRecord(bytes(row.record[records.DIGEST]).hex(), row.leaf_index, fault)


def _quarantined(ids: Sequence[str]) -> Iterator[tuple[str, PutAside]]:
    columns = ("key", "digest", "quarantined_by", "quarantined_at")
    for key, digest, by, at in Quarantined.objects.filter(key__in=ids).order_by("n").values_list(*columns):
        yield key, PutAside("quarantined", bytes(digest).hex(), by, at)


def _discarded(ids: Sequence[str]) -> Iterator[tuple[str, PutAside]]:
    """Also what was discarded by an act that a crash kept from being noted: the trail has it."""
    for row in Discard.objects.filter(key__in=ids).exclude(decision__in=discards.LEFT).order_by("id"):
        if row.decided_at is not None:
            yield row.key, PutAside("discarded", row.digest, row.decided_by, row.decided_at)
        elif (act := discards.recorded(row)) is not None:
            yield row.key, PutAside("discarded", row.digest, act.actor_id, act.event_timestamp)
