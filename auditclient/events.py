"""An event as it is sent: completed once, encoded once, so that each try sends the same bytes."""

import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeGuard
from uuid import UUID

import msgspec

from auditclient.errors import InvalidEvent
from auditclient.ids import uuid7

VERSION = "1.0"
REQUIRED = ("event_type", "correlation_id")
EVENT_BYTES_MAX = 1 << 20
# What an id and a time take as members of an event.
ID_AND_TIME_BYTES = 103
SAFE_INTEGER_MAX = 2**53 - 1
TEXTS = (datetime, date, Decimal, UUID)
UNENCODABLE = (TypeError, ValueError, RecursionError)

# The last second that an event came in: since 1970, and as text.
_second = (-1, "")


def complete(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with all that a sender need not say: version, id, time, category, action, outcome.

    Category and action are the first and the last word of the type, where they are not given. Raises `InvalidEvent`.
    """
    if type(event) is not dict and not isinstance(event, Mapping):
        raise InvalidEvent(f"An event is a mapping of fields, not {type(event).__name__}: nothing was kept.")
    event_type = event.get("event_type")
    if not _is_text(event_type) or not _is_text(event.get("correlation_id")):
        missing = [name for name in REQUIRED if not _is_text(event.get(name))]
        raise InvalidEvent(f"The event lacks {' and '.join(missing)}, a text: nothing was kept.")
    for value in event.values():
        if value is None:
            event = {name: value for name, value in event.items() if value is not None}
            break
    return {
        "version": VERSION,
        "event_timestamp": moment(),
        "event_category": event_type.partition(".")[0],
        "event_action": event_type.rpartition(".")[2],
        "event_outcome": "success",
        "event_data": {},
        **event,
        "event_id": str(event.get("event_id") or uuid7()),
    }


def moment(nanoseconds: int | None = None) -> str:
    """Return this moment, or these nanoseconds since 1970, as `datetime.isoformat` writes it in UTC."""
    global _second
    microseconds = (time.time_ns() if nanoseconds is None else nanoseconds) // 1000
    seconds, fraction = divmod(microseconds, 1_000_000)
    # The text of a second serves all of its events. It is replaced whole, so that no thread or signal sees half of it.
    known, text = _second
    if known != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = seconds, text
    return f"{text}.{fraction:06d}+00:00"


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the JSON of an event. Times, UUIDs and decimals become texts. Raises `InvalidEvent`."""
    try:
        body = _json.encode(document).encode()
    except UNENCODABLE as error:
        raise _no_json(error) from None
    if len(body) > EVENT_BYTES_MAX:
        raise _too_large(body)
    return body


def encode_plain(document: Mapping[str, Any]) -> bytes:
    """The same in a fifth of the time, of an event whose values are `plain`, without its id and its time.

    Of others msgspec would write some differently: a time without a zone, bytes, a number that JSON does not have.
    Raises `InvalidEvent`.
    """
    try:
        body = _msgspec.encode(document)
    except UNENCODABLE as error:
        raise _no_json(error) from None
    if len(body) + ID_AND_TIME_BYTES > EVENT_BYTES_MAX:
        raise _too_large(body)
    return body


def _no_json(error: Exception) -> InvalidEvent:
    return InvalidEvent(f"The event cannot be written as JSON ({error}): nothing was kept.")


def _too_large(body: bytes) -> InvalidEvent:
    return InvalidEvent(f"The event has {len(body):,} bytes, at most {EVENT_BYTES_MAX:,}: nothing was kept.")


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def plain(value: Any) -> Any:
    """Return a value as the store can keep it: a number that JSON cannot hold exactly becomes a text."""
    # By their very type first: to ask whether something is a Mapping takes longer than all else here.
    kind = type(value)
    if value is None or kind is bool or (kind is str and "\x00" not in value):
        return value
    if kind is dict:
        return {str(name): plain(member) for name, member in value.items()}
    if kind is list:
        return [plain(member) for member in value]
    if kind is datetime and value.tzinfo is UTC:
        # As `str`, which takes four times as long.
        text = _msgspec.encode(value).decode()
        return f"{text[1:11]} {text[12:-2]}+00:00"
    if kind in TEXTS:
        return str(value)
    if isinstance(value, int):
        return int(value) if abs(value) <= SAFE_INTEGER_MAX else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) and abs(value) <= SAFE_INTEGER_MAX else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(member) for member in value]
    return str(value).replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")


_msgspec = msgspec.json.Encoder()
_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_json)
