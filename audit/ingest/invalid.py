"""invalid: keep events that are not valid as they came, in the dead letter queue, where a person corrects them.

Only where the sender asks for it, or its writer's setting does: nothing valid is lost to an invalid neighbour then,
and nothing invalid to a client that drops what is refused.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import structlog
import uuid_utils.compat

import dlq.errors
import dlq.spool
import dlq.stream
from audit import metrics
from audit.errors import NothingKept
from audit.ingest import parked_counts, rejection_counters, rejections
from audit.ingest.rejections import Refusal
from dlq.message import Document, digest_of

log = structlog.get_logger(__name__)

# What the queue calls such an event in place of its type. No type has a space; it is signed with the rest of the entry.
KIND = "invalid event"
# The same of what an import could not convert; the mapping follows.
OF_IMPORT = "invalid event of "
REASON = "invalid"


class InvalidEvent(NamedTuple):
    """An event as it came, and what is wrong with it, by field."""

    raw: bytes
    errors: dict[str, str]
    # The mapping that could not convert it; "" for an event that was sent as one of ours.
    mapping: str = ""

    @property
    def detail(self) -> str:
        return "; ".join(f"{field}: {text}" for field, text in self.errors.items())


def keep(events: Sequence[InvalidEvent], *, writer: str) -> list[UUID]:
    """Park all of them, or none, for the drain to call them dead; return their ids. Raises `NothingKept`.

    They are counted with what came to the queue, and by reason beside what was rejected.
    """
    now = datetime.now(UTC)
    ids = [_id(event, writer) for event in events]
    documents = [
        Document(str(event_id), digest_of(event.raw), event.raw, writer, _kind(event), now)
        for event_id, event in zip(ids, events, strict=True)
    ]
    try:
        outcomes = dlq.stream.default().park(documents, reason=REASON).outcomes
        parked_counts.of_process().note_received(now, writer, outcomes.count("parked"))
    except dlq.errors.Refused:
        _spool(documents)
        outcomes = ["parked"] * len(documents)
    new = [event for event, outcome in zip(events, outcomes, strict=True) if outcome == "parked"]
    metrics.kept_invalid.inc(len(new))
    log.warning("invalid_events_kept", writer=writer, events=len(new))
    rejection_counters.count(writer, [Refusal(rejections.KEPT, 1, event.detail, event.raw) for event in new])
    return ids


def _spool(documents: Sequence[Document]) -> None:
    try:
        dlq.spool.append(documents, reason=REASON)
    except dlq.errors.Refused as error:
        metrics.nothing_kept.inc(len(documents))
        log.error("nothing_kept", fault=REASON, events=len(documents), spool=str(error))
        raise NothingKept([document.key for document in documents]) from error


def is_kept(kind: str) -> bool:
    """Return whether a message of this kind is an event that was kept as it came."""
    return kind == KIND or kind.startswith(OF_IMPORT)


def mapping_of(kind: str) -> str:
    """Return the name of the mapping that could not convert a message of this kind; "" where none was to."""
    return kind.removeprefix(OF_IMPORT) if kind.startswith(OF_IMPORT) else ""


def _kind(event: InvalidEvent) -> str:
    return OF_IMPORT + event.mapping if event.mapping else KIND


def _id(event: InvalidEvent, writer: str) -> UUID:
    """Return the id of its place in the queue: the same for what is sent again, if its sender gave it an id.

    What is imported is sent again as it was, whether it has an id or not.
    """
    if not event.mapping and not _has_id(event.raw):
        return uuid_utils.compat.uuid7()
    number = int.from_bytes(sha256(writer.encode() + b"\n" + event.raw).digest()[:16])
    return UUID(int=number & ~(0xF << 76) & ~(3 << 62) | 8 << 76 | 2 << 62)


def _has_id(raw: bytes) -> bool:
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("event_id"), str)
