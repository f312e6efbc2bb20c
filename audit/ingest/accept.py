"""accept: validate an event that comes now, by the rules of erasure that are in force."""

from typing import Any

from audit.errors import Invalid
from audit.formats import event
from audit.formats.event import Accepted
from audit.ingest import erasure_rules
from audit.postgres import clock


def accept(document: Any, writer: str) -> Accepted:
    """Accept an event. One from the future is refused by the clock that is furthest ahead: ours may be behind.

    Raises `Invalid`, `RulesUnknown`.
    """
    try:
        return event.accept(document, writer=writer, now=clock.local_now(), erasing=erasure_rules.in_force())
    except Invalid as error:
        if not any(event.AHEAD in message for message in error.errors.values()):
            raise
    return event.accept(document, writer=writer, now=clock.latest_now(), erasing=erasure_rules.in_force())
