"""The store's own acts, and those of people, as records beside all others (writer `auditsite`)."""

from typing import Any, Literal

from audit.formats import event
from audit.ingest.own_event import NOTHING_ELSE, Where, document
from audit.ingest.record import Recorded, record
from audit.models import OWN_WRITER

__all__ = ["NOTHING_ELSE", "Where", "add", "add_change", "document"]

Change = Literal["created", "changed", "unchanged"]


def add(
    event_type: str,
    where: Where = NOTHING_ELSE,
    /,
    *,
    actor: str,
    outcome: str = "success",
    correlation: str,
    **facts: Any,
) -> Recorded:
    """Record an act of a person (`actor` is the user's name) or of the store itself.

    Raises `NothingKept`: an act that cannot be recorded is not done.
    """
    act = document(event_type, where, actor=actor, outcome=outcome, correlation=correlation, **facts)
    return record([event.accept(act, writer=OWN_WRITER)])[0]


def add_change(noun: str, name: str, before: dict[str, Any] | None, after: dict[str, Any], *, by: str) -> Change:
    """Record that somebody made or changed what has this name, unless nothing changed. Raises `NothingKept`."""
    if before == after:
        return "unchanged"
    act: Change = "created" if before is None else "changed"
    add(f"audit.{noun}.{act}", actor=by, correlation=f"{noun}-{name}", name=name, before=before, after=after)
    return act
