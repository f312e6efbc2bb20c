"""Which parked events the viewer may see: `audit.visibility` for what is not in PostgreSQL."""

import json
from collections.abc import Iterable, Iterator

from audit import visibility
from dlq.message import Message


def visible(messages: Iterable[Message]) -> Iterator[Message]:
    """Those that the viewer may see; they are noted as read."""
    for message in messages:
        if may_see(message):
            visibility.note_read([message.key])
            yield message


def may_see(message: Message) -> bool:
    """Whether the viewer may see a message. One that cannot be read has no category, and so is in no such scope."""
    return not visibility.scopes() or visibility.covers(message.source, _category(message.body))


def _category(body: bytes) -> str:
    try:
        return str(json.loads(body)["event_category"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
