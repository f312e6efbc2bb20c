"""An act of the store or of a person, written as an event of the writer `auditsite`."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from audit.formats import times
from audit.models.records import StoreName


class Where(NamedTuple):
    """What else is known of an act: by what kind of actor, on what, from which address.

    Without a kind the actor is a person, or the store where the caller names it by `OWN_WRITER`; no text makes it so.
    """

    actor_type: str | None = None
    category: str = "security"
    # Type and id; without an id it is the correlation.
    resource: tuple[str, str] = ("security", "")
    address: str | None = None


NOTHING_ELSE = Where()


def document(
    event_type: str, where: Where = NOTHING_ELSE, /, *, actor: str, outcome: str, correlation: str, **facts: Any
) -> dict[str, Any]:
    """The act as an event that can be accepted; facts that are None are left out."""
    return {
        "version": "1.0",
        "event_type": event_type,
        "event_timestamp": times.timestamp_text(datetime.now(UTC)),
        "event_category": where.category,
        "event_action": event_type.rsplit(".", 1)[-1],
        "event_outcome": outcome,
        "correlation_id": correlation,
        "actor_type": where.actor_type or ("service" if isinstance(actor, StoreName) else "user"),
        "actor_id": str(actor),
        "actor_ip": where.address,
        "resource_type": where.resource[0],
        "resource_id": where.resource[1] or correlation,
        "event_data": {name: value for name, value in facts.items() if value is not None},
    }
