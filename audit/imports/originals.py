"""The events of other systems, as records hold them: whole, in `event_data`, with the mapping in `version`.

The same foreign event may come again when a mapping of another version is used, or without a time of its own at another
time: it is the same event all the same, and the record that is here stands.
"""

import re
from typing import Any

from audit import visibility
from audit.formats import canonical
from audit.formats.erasable import commitments
from audit.formats.erasable.commitments import Gone
from audit.formats.event import Accepted
from audit.models.records import Record
from dlq.authenticity import is_authentic
from dlq.message import Message

DATA = "event_data"
# The name of a mapping and its version, of at most 20 characters together, as `version` has them: `cloudtrail/1`.
_MADE_BY = re.compile(r"([a-z][a-z0-9-]{0,13})/([0-9]{1,3}(?:\.[0-9]{1,2})?)\Z")


def made_by(version: str) -> tuple[str, str] | None:
    """Return the mapping, by name and version, that made an event with this `version`; None where none did."""
    match = _MADE_BY.match(version)
    return (match[1], match[2]) if match else None


def is_stored(event: Accepted) -> bool:
    """Whether the record with its id was made of the same foreign event. Raises what the database raises."""
    document = sent(event)
    if made_by(document["version"]) is None:
        return False
    with visibility.as_system():
        record = Record.objects.filter(id=event.id).first()
    return record is not None and is_same(record, document)


def is_same(record: Record, document: dict[str, Any]) -> bool:
    """Whether a record was made of the foreign event that an event, as it was sent, was made of.

    Of what was erased of it the commitment is taken as it is.
    """
    if not _is_of_one_source(record.writer, record.version, document):
        return False
    if record.erasable is None:
        return canonical.value(record.event_data) == canonical.value(document[DATA])
    values = record.values()
    mine = commitments.opened(record.document(), values.beside) | {DATA: document[DATA]}
    try:
        return commitments.same_as(mine, record.erasable, values.beside, values.erased) == bytes(record.digest)
    except Gone:
        return False


def is_waiting(message: Message, document: dict[str, Any]) -> bool:
    """Whether a message of the queue is the foreign event that an event, as it was sent, was made of."""
    if not (is_authentic(message) and message.digest_ok):
        return False
    try:
        beside = commitments.from_text(message.beside) if message.beside else {}
        waiting = commitments.whole(canonical.loads(message.body), beside)
    except (ValueError, TypeError, AttributeError):
        return False
    if not _is_of_one_source(str(waiting.get("writer")), str(waiting.get("version")), document):
        return False
    return canonical.value(waiting.get(DATA)) == canonical.value(document[DATA])


def sent(event: Accepted) -> dict[str, Any]:
    """Return an event as it was sent, with its values in their places."""
    document = canonical.loads(event.body)
    return commitments.whole(document, event.beside) if event.beside else document


def _is_of_one_source(writer: str, version: str, document: dict[str, Any]) -> bool:
    there, here = made_by(version), made_by(document["version"])
    return writer == document["writer"] and there is not None and here is not None and there[0] == here[0]
