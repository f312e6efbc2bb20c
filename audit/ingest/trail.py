"""The store's own acts, as records beside all others (writer `auditsite`)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog

from audit import metrics
from audit.errors import AuditError
from audit.formats import event, times
from audit.ingest.record import Receipt, record
from audit.models import OWN_WRITER

log = structlog.get_logger(__name__)


class Where(NamedTuple):
    """What else is known of an act: whose, on what, from where."""

    actor_type: str | None = None
    category: str = "security"
    resource: tuple[str, str] = ("security", "")
    """Its type and id; without an id it is the correlation."""
    address: str | None = None


NOTHING_ELSE = Where()


def add(
    event_type: str,
    where: Where = NOTHING_ELSE,
    /,
    *,
    actor: str,
    outcome: str = "success",
    correlation: str,
    **facts: Any,
) -> Receipt:
    """Record an act of a person (`actor` is the user's name) or of the store itself.

    Raises `NothingKept`: an act that cannot be recorded is not done.
    """
    said = document(event_type, where, actor=actor, outcome=outcome, correlation=correlation, **facts)
    return record([event.accept(said, writer=OWN_WRITER)])[0]


def document(
    event_type: str, where: Where = NOTHING_ELSE, /, *, actor: str, outcome: str, correlation: str, **facts: Any
) -> dict[str, Any]:
    """An act as an event, for one who keeps it before it is recorded."""
    return {
        "version": "1.0",
        "event_type": event_type,
        "event_timestamp": times.timestamp_text(datetime.now(UTC)),
        "event_category": where.category,
        "event_action": event_type.rsplit(".", 1)[-1],
        "event_outcome": outcome,
        "correlation_id": correlation,
        "actor_type": where.actor_type or ("service" if actor == OWN_WRITER else "user"),
        "actor_id": actor,
        "actor_ip": where.address,
        "resource_type": where.resource[0],
        "resource_id": where.resource[1] or correlation,
        "event_data": {name: value for name, value in facts.items() if value is not None},
    }


def refused_conflicts(offered: Sequence[event.Accepted]) -> None:
    """Record that ids were offered again with other content, all at once. Never the reason for another error."""
    metrics.conflicts.inc(len(offered))
    try:
        record([event.accept(_conflict(one), writer=OWN_WRITER) for one in offered])
    except AuditError as error:
        ids = [str(one.id) for one in offered]
        log.error("conflict_not_recorded", event_ids=ids, error=type(error).__name__)


def _conflict(offered: event.Accepted) -> dict[str, Any]:
    return document(
        "audit.event.conflict",
        actor=OWN_WRITER,
        outcome="failure",
        correlation=offered.correlation_id,
        event_id=str(offered.id),
        offered_by=offered.writer,
        offered_digest=offered.digest.hex(),
    )
