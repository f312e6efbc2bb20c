"""Where events are now: in the log, stored, in the queue, put aside by an audited act, or nowhere that can be seen."""

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
from audit.ledger.verify import records
from audit.models import Discard, Leaf, Quarantined
from audit.postgres import gateway
from audit.queue import discards
from dlq.message import Message

log = structlog.get_logger(__name__)

PORTION = 1_000
_ROWS = f"""
SELECT l.index, r.id, l.leaf_hash, {records.COLUMNS} FROM audit_record r
LEFT JOIN (SELECT index, record_id, leaf_hash FROM audit_leaf WHERE record_id = ANY(%s)) l ON l.record_id = r.id
WHERE r.id = ANY(%s)
"""


class Stored(NamedTuple):
    """A record as it was found."""

    digest: str
    leaf: int | None
    fault: str | None
    """Why it is not what it says it is: recomputed from its row, and against its leaf."""


class Aside(NamedTuple):
    """Kept out of the log by an audited act."""

    state: str
    digest: str
    by: str
    at: datetime


@dataclass
class Whereabouts:
    """What was found of a portion of events, by their ids."""

    database: bool = True
    """Whether PostgreSQL answered."""
    queue: bool = True
    """Whether Redis answered."""
    stored: dict[str, Stored] = field(default_factory=dict)
    parked: dict[str, Message] = field(default_factory=dict)
    aside: dict[str, Aside] = field(default_factory=dict)
    orphans: dict[str, int] = field(default_factory=dict)
    """Leaves whose record is gone."""


def find(ids: Sequence[str]) -> Whereabouts:
    """Look for at most PORTION events, in as many queries as for one.

    The queue first: what leaves it meanwhile is in the database then, and never seen in neither.
    """
    found = Whereabouts()
    try:
        found.parked = dlq.stream.for_drain().find_all(ids)
    except dlq.errors.Refused:
        found.queue = False
    try:
        gateway.require()
        _look_into_database(found, ids)
    except (DatabaseError, Unavailable) as error:
        log.warning("whereabouts_unknown", error=type(error).__name__)
        found.database = False
    return found


def _look_into_database(found: Whereabouts, ids: Sequence[str]) -> None:
    wanted = [UUID(one) for one in ids]
    found.stored = {str(row.record_id): _stored(row) for row in records.fetch(_ROWS, [wanted, wanted])}
    absent = [one for one in ids if one not in found.stored]
    if absent:
        leaves = Leaf.objects.filter(record_id__in=absent).values_list("record_id", "index")
        found.orphans = {str(record_id): index for record_id, index in leaves}
        found.aside = dict((*_quarantined(absent), *_discarded(absent)))


def _stored(row: records.LeafRow) -> Stored:
    assert row.record is not None
    sealed = row.leaf_index is not None
    fault = records.fault(row) if sealed else records.altered(row)
    return Stored(bytes(row.record[records.DIGEST]).hex(), row.leaf_index, fault)


def _quarantined(ids: Sequence[str]) -> Iterator[tuple[str, Aside]]:
    columns = ("key", "digest", "quarantined_by", "quarantined_at")
    for key, digest, by, at in Quarantined.objects.filter(key__in=ids).order_by("n").values_list(*columns):
        yield key, Aside("quarantined", bytes(digest).hex(), by, at)


def _discarded(ids: Sequence[str]) -> Iterator[tuple[str, Aside]]:
    """Also what was discarded by an act that a crash kept from being noted: the trail has it."""
    for row in Discard.objects.filter(key__in=ids).exclude(decision="discard_declined").order_by("id"):
        if row.decided_at is not None:
            yield row.key, Aside("discarded", row.digest, row.decided_by, row.decided_at)
        elif (recorded := discards.recorded(row)) is not None:
            yield row.key, Aside("discarded", row.digest, recorded.actor_id, recorded.event_timestamp)
