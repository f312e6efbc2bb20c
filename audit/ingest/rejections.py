"""The reasons for which events are refused: a closed set, so that they can be counted."""

from collections.abc import Mapping
from typing import NamedTuple

from audit.formats.event import FIELDS

MISSING, UNKNOWN = "this field is required", "this field is unknown"
WITH_ITS_BATCH = "refused with its batch"
CONFLICT = "event_id: used before with other content"
TOO_LARGE = "body too large"
MEDIA_TYPE = "not application/json"
# Not refused: in the dead letter queue, for a person. Counted here, so that it shows beside what was refused.
KEPT = "kept as invalid"
# Not refused events either, but requests of which nothing was read: a client that has not got its new key.
ENDED_KEY = "requests with a key that has ended"
ENCODING = "not plain and not gzip"
UNREADABLE = "not readable as JSON"
# What stands beside the events that were refused, and is none of them.
NO_EVENTS = (KEPT, ENDED_KEY)
# Reasons for an event as a whole, by how the message begins.
WHOLE = {
    "expected a JSON object": "not an event",
    "expected a JSON array": "not a batch of 1 to 1000 events",
    "the database cannot hold": "the database cannot hold it",
}


class Refusal(NamedTuple):
    """Events of one request that were refused for one reason."""

    reason: str
    events: int
    detail: str = ""
    # The first of them, as far as it is worth keeping; b"" for no sample.
    body: bytes = b""


def reason_of(errors: Mapping[str, str]) -> str:
    """The first reason among the errors of one event: what is missing goes before what is wrong."""
    field, message = next(iter(errors.items()))
    if message == UNKNOWN:
        return "unknown field"
    # What is wrong inside of a field is named by its path.
    field = field.partition(".")[0]
    if field in FIELDS:
        return f"{field}: {'missing' if message == MISSING else 'not valid'}"
    return next((reason for begins, reason in WHOLE.items() if message.startswith(begins)), UNREADABLE)


def by_place(errors: Mapping[str, str]) -> dict[int | None, dict[str, str]]:
    """The errors of a batch, by the place of the event; None for the batch as a whole."""
    errors_by_place: dict[int | None, dict[str, str]] = {}
    for name, message in errors.items():
        place, _, field = name.partition(".")
        if place.isascii() and place.isdigit():
            errors_by_place.setdefault(int(place), {})[field] = message
        else:
            errors_by_place.setdefault(None, {})[name] = message
    return errors_by_place
