"""reasons: why events are refused, in a small closed set of words. Pure."""

from collections.abc import Mapping

from audit.formats.event import FIELDS

MISSING, UNKNOWN = "this field is required", "this field is unknown"
WITH_ITS_BATCH = "refused with its batch"
CONFLICT = "event_id: used before with other content"
TOO_LARGE = "body too large"
MEDIA_TYPE = "not application/json"
UNREADABLE = "not readable as JSON"
WHOLE = {
    "expected a JSON object": "not an event",
    "expected a JSON array": "not a batch of 1 to 1000 events",
    "the database cannot hold": "the database cannot hold it",
}
"""What is wrong with an event as a whole, by how the message begins."""


def of(errors: Mapping[str, str]) -> str:
    """The first reason among the errors of one event: what is missing goes before what is wrong."""
    field, message = next(iter(errors.items()))
    if message == UNKNOWN:
        return "unknown field"
    if field in FIELDS:
        return f"{field}: {'missing' if message == MISSING else 'not valid'}"
    return next((reason for begins, reason in WHOLE.items() if message.startswith(begins)), UNREADABLE)


def by_place(errors: Mapping[str, str]) -> dict[int | None, dict[str, str]]:
    """The errors of a batch, by the place of the event; None for the batch as a whole."""
    found: dict[int | None, dict[str, str]] = {}
    for name, message in errors.items():
        place, _, field = name.partition(".")
        if place.isascii() and place.isdigit():
            found.setdefault(int(place), {})[field] = message
        else:
            found.setdefault(None, {})[name] = message
    return found
