"""What a client may send: the event, declared once.

`Event` is the validation, the OpenAPI schema and, through `limit`, the width of every column.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple, Protocol, get_args, get_origin
from uuid import UUID

import msgspec
import uuid_utils.compat
from msgspec import Meta

from audit.errors import Invalid
from audit.formats import canonical, spellings, times
from audit.formats.erasable.kept import Kept

MAX_DATA_BYTES = 256 * 1024
# What PostgreSQL gives back of it, so that a page and a bundle of many can always be made.
MAX_WRITTEN_BYTES = 1024 * 1024
MAX_AHEAD = timedelta(minutes=60)
# The end of what is said of an event that is further ahead.
AHEAD = "more than 60 minutes ahead of the server's clock"
MAX_BATCH = 1000
CHARACTERS_TO_MICROSECONDS = len("2026-11-26T10:00:00.123456Z")
MAX_UNKNOWN_NAMED = 20
PARENT_DATE = "parent_event_date"

# `$` also matches before a final newline in Python; the look-ahead closes that.
DOTTED = r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$(?!\n)"
WORD = r"^[a-z][a-z0-9_-]*$(?!\n)"

Text20 = Annotated[str, Meta(max_length=20)]
Text50 = Annotated[str, Meta(max_length=50)]
Text100 = Annotated[str, Meta(max_length=100)]
Text253 = Annotated[str, Meta(max_length=253)]
Text255 = Annotated[str, Meta(max_length=255)]


class SealedEvent(NamedTuple):
    """An event of the sealed log, as those that follow the log are given it."""

    leaf_index: int
    id: UUID
    writer: str
    event_type: str
    category: str
    correlation: str
    # When its writer says that it happened.
    at: datetime
    stored_at: datetime
    received_at: datetime
    epoch: str = ""
    seq: int | None = None
    outcome: str = "success"
    # None for an event that was stored without waiting in the queue or a spool.
    parked_at: datetime | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event, as a client sends it (docs/api.md)."""

    version: Annotated[str, Meta(min_length=1, max_length=20)]
    event_type: Annotated[str, Meta(min_length=1, max_length=100, pattern=DOTTED)]
    event_timestamp: Annotated[datetime, Meta(tz=True)]
    event_category: Annotated[str, Meta(min_length=1, max_length=50, pattern=WORD)]
    event_action: Annotated[str, Meta(min_length=1, max_length=50)]
    event_outcome: Literal["success", "failure", "pending"]
    correlation_id: Annotated[str, Meta(min_length=1, max_length=255)]
    event_data: dict[str, Any]
    event_id: UUID | None = None
    actor_type: Text50 | None = None
    actor_id: Text255 | None = None
    actor_ip: Annotated[str, Meta(max_length=45)] | None = None
    resource_type: Text100 | None = None
    resource_id: Text255 | None = None
    parent_event_id: UUID | None = None
    namespace: Text253 | None = None
    cluster_id: Text255 | None = None
    severity: Text20 | None = None
    duration_ms: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None = None
    error_code: Text50 | None = None
    error_message: Annotated[str, Meta(max_length=10_000)] | None = None
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    is_sensitive: bool | None = None
    source_seq: Annotated[int, Meta(ge=1, le=canonical.MAX_SAFE_INTEGER)] | None = None
    source_epoch: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A valid event, with everything that the store needs to know of it."""

    id: UUID
    writer: str
    event_type: str
    event_timestamp: datetime
    correlation_id: str
    body: bytes  # the canonical document, RFC 8785
    digest: bytes
    received_at: datetime
    # Salts and values of members that can be erased, by path; None where there are none.
    beside: Mapping[str, Kept] | None = None
    # W3C's traceparent of the request that brought it, where that is traced; no part of the event.
    trace: str = ""


class Committing(Protocol):
    """Rules of erasure: `audit.formats.erasable.rules.Rules`."""

    def commit(self, document: dict[str, Any], sent: Collection[str]) -> Mapping[str, Kept]:
        """Replace members by commitments; return what is to stand beside the event."""


def accept(document: Any, *, writer: str, now: datetime | None = None, erasing: Committing | None = None) -> Accepted:
    """Validate a parsed document, fill in the defaults, and fix its canonical form. Raises `Invalid`.

    What `erasing` names is in that form as commitments alone; limits hold for what was sent.
    """
    event = _validated(document)
    now = now or datetime.now(UTC)
    errors = dict(_faults(event, now))
    event_id = event.event_id or uuid_utils.compat.uuid7()
    if errors:
        raise Invalid(errors)
    complete = as_document(event, event_id, writer)
    body, beside = _canonical(event, complete, errors), None
    if errors:
        raise Invalid(errors)
    if erasing and (beside := erasing.commit(complete, _sent(event)) or None):
        body = canonical.canonical(complete)
    return Accepted(
        id=event_id,
        writer=writer,
        event_type=event.event_type,
        event_timestamp=event.event_timestamp,
        correlation_id=event.correlation_id,
        body=body,
        digest=canonical.digest(body),
        received_at=now,
        beside=beside,
    )


def as_document(event: Event, event_id: UUID, writer: str) -> dict[str, Any]:
    """Return the complete event as the digest covers it: with defaults, without absent members."""
    document = {name: value for name, value in zip(FIELDS, _VALUES(event), strict=True) if value is not None}
    document["event_id"] = str(event_id)
    document["event_timestamp"] = times.timestamp_text(event.event_timestamp)
    document["writer"] = writer
    if event.parent_event_id is not None:
        document["parent_event_id"] = str(event.parent_event_id)
    document.setdefault("actor_type", "service")
    document.setdefault("actor_id", writer)
    document.setdefault("resource_type", event.event_category)
    document.setdefault("resource_id", event.correlation_id)
    document.setdefault("severity", "info")
    document.setdefault("is_sensitive", False)
    return document


def another_id(event_id: UUID, digest: bytes) -> UUID:
    """Return a UUIDv7 of the same time for an event whose id another event has; the same for the same content."""
    random = int.from_bytes(hashlib.sha256(event_id.bytes + digest).digest()[:10])
    version, variant = 7 << 76, 2 << 62
    return UUID(int=event_id.int >> 80 << 80 | random & ~(0xF << 76) & ~(3 << 62) | version | variant)


def limit(field: str) -> int | None:
    return _LIMITS[field]


def is_type(text: str) -> bool:
    """Whether an event may have this type."""
    return 0 < len(text) <= (limit("event_type") or 0) and re.match(DOTTED, text) is not None


def text_faults(field: str, text: str | None) -> Iterator[tuple[str, str]]:
    """Yield (field, message) where the store cannot hold this text."""
    yield from _refusals(field, canonical.canonical, {"": text})


FIELDS = Event.__struct_fields__
_VALUES = attrgetter(*FIELDS)


def _validated(document: Any) -> Event:
    if isinstance(document, canonical.Unreadable):
        raise Invalid(document.faults)
    if not isinstance(document, dict):
        raise Invalid({"": "expected a JSON object, one event"})
    if PARENT_DATE in document:
        document = _without_parent_date(document)
    moment = document.get("event_timestamp")
    # What is shorter has no more than six digits.
    if type(moment) is str and len(moment) > CHARACTERS_TO_MICROSECONDS:
        document = document | {"event_timestamp": times.in_microseconds(moment)}
    try:
        return msgspec.convert(document, Event)
    except msgspec.ValidationError as error:
        return _validated_respelled(str(error), document)
    except UnicodeEncodeError:
        raise Invalid(
            _by_field("a member's name contains a lone surrogate, which is not a character", document)
        ) from None


def _validated_respelled(fault: str, document: dict[str, Any]) -> Event:
    """Validate a document again with its times and ids as everybody writes them. Raises `Invalid`."""
    spelled = respelled(document, ("event_timestamp",), ("event_id", "parent_event_id"))
    if spelled == document:
        raise Invalid(_by_field(fault, document))
    try:
        return msgspec.convert(spelled, Event)
    except msgspec.ValidationError as error:
        raise Invalid(_by_field(str(error), document)) from None


def respelled(document: dict[str, Any], moments: Iterable[str], ids: Iterable[str]) -> dict[str, Any]:
    """Return a document whose members of these names are spelled as msgspec reads them, where they can be."""
    spelled = dict(document)
    for name in moments:
        if isinstance(text := document.get(name), str):
            spelled[name] = times.in_microseconds(text)
    for name in ids:
        if isinstance(text := document.get(name), str):
            with suppress(ValueError):
                spelled[name] = str(spellings.read_uuid(text))
    return spelled


def _without_parent_date(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the parent's own record says: clients of Data Storage have to send it. Raises `Invalid`."""
    document = dict(document)
    if (text := document.pop(PARENT_DATE)) is not None:
        try:
            datetime.fromisoformat(text)
        except (TypeError, ValueError):
            raise Invalid({PARENT_DATE: "must be a date or an RFC 3339 time"}) from None
    return document


# The smallest number is 5e-324.
SMALLEST_EXPONENT = 324
_SMALL_NUMBER = re.compile(rb"[:,\[]-?[0-9.]+e-([0-9]+)(?=[,\]}])")
# The begin of what msgspec says of a value that is none of a field's; the value follows.
NO_SUCH_VALUE = "Invalid enum value"
_PATH = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<field>[a-z_]*).*`)?$", re.DOTALL)


def _by_field(text: str, document: dict[str, Any]) -> dict[str, str]:
    """Name every missing and unknown member at once; msgspec stops at its first fault."""
    match = _PATH.match(text)
    assert match is not None
    field, message = match["field"], match["message"]
    if field in ENUMS and message.startswith(NO_SUCH_VALUE):
        message = f"must be {_either(ENUMS[field])}, not {message.removeprefix(NO_SUCH_VALUE).strip()}"
    missing = {name: "this field is required" for name in REQUIRED if name not in document}
    unknown_names = (name for name in document if name not in FIELDS)
    unknown = {name[:100]: "this field is unknown" for name in islice(unknown_names, MAX_UNKNOWN_NAMED)}
    return missing | unknown | ({field: message} if field else {}) or {"": message}


def _either(values: tuple[str, ...]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}"


def _sent(event: Event) -> frozenset[str]:
    return frozenset(name for name in FIELDS if getattr(event, name) is not None)


def _canonical(event: Event, complete: dict[str, Any], errors: dict[str, str]) -> bytes:
    try:
        body = canonical.canonical(complete)
        if len(body) > MAX_DATA_BYTES:
            size = len(canonical.canonical(event.event_data))
            if size > MAX_DATA_BYTES:
                raise ValueError(f"is {size} bytes in canonical form; at most {MAX_DATA_BYTES} are allowed")
        if (size := _written_out(body)) > MAX_WRITTEN_BYTES:
            raise ValueError(
                f"is {size} bytes with its small numbers written out, as PostgreSQL does; at most {MAX_WRITTEN_BYTES} "
                "are allowed: send numbers such as 1e-300 as strings"
            )
        return body
    except canonical.NotCanonical as error:
        # A default is a copy of what was sent in another field.
        errors |= {path: text for path, text in error.faults.items() if _was_sent(event, path.partition(".")[0])}
    except ValueError as error:
        errors["event_data"] = str(error)
    return b""


def _written_out(body: bytes) -> int:
    """Return how long a document is where 1e-300 has 300 digits, or at most is; no number is read for less."""
    if (most := len(body) + body.count(b"e-") * SMALLEST_EXPONENT) <= MAX_WRITTEN_BYTES:
        return most
    return len(body) + sum(map(int, _SMALL_NUMBER.findall(body)))


def _was_sent(event: Event, field: str) -> bool:
    return getattr(event, field, None) is not None


def _faults(event: Event, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for faults that the type declarations cannot express."""
    yield from _refusals("event_timestamp", _check_time, event.event_timestamp, now)
    if event.actor_ip is not None:
        yield from _refusals("actor_ip", spellings.read_address, event.actor_ip)
    if event.source_epoch is not None and event.source_seq is None:
        yield "source_epoch", "says which numbers these are: send source_seq with it"
    if event.event_id is not None:
        yield from _refusals("event_id", _check_id, event.event_id, now)


def _refusals(field: str, check: Callable[..., object], *values: object) -> Iterator[tuple[str, str]]:
    try:
        check(*values)
    except (ValueError, OverflowError) as error:
        yield field, str(error)


def _check_time(moment: datetime, now: datetime) -> None:
    if moment.astimezone(UTC) > now + MAX_AHEAD:
        raise ValueError(f"is {AHEAD}")


def _check_id(event_id: UUID, now: datetime) -> None:
    if event_id.version != 7:
        raise ValueError("is not a UUIDv7 (RFC 9562): leave it out, or send version 7")
    if event_id.int >> 80 > (now + MAX_AHEAD).timestamp() * 1000:
        raise ValueError(f"carries a time {AHEAD}")


def _declared(field: str) -> dict[str, Any]:
    return next((s for s in _SCHEMA[field].get("anyOf", [_SCHEMA[field]]) if s.get("type") == "string"), {})


_SCHEMA = msgspec.json.schema(Event)["$defs"]["Event"]["properties"]
_LIMITS: dict[str, int | None] = {name: _declared(name).get("maxLength") for name in FIELDS}
# The values that a field may have, in the order of their declaration.
ENUMS = {
    field.name: get_args(field.type) for field in msgspec.structs.fields(Event) if get_origin(field.type) is Literal
}
REQUIRED = tuple(name for name, f in zip(FIELDS, msgspec.structs.fields(Event), strict=True) if f.required)
TEXT_FIELDS = tuple(name for name in FIELDS if _LIMITS[name] is not None)
