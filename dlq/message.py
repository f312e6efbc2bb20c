"""Documents, messages and their parts: value types, and how Redis holds them. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict

State = Literal["due", "waiting", "leased", "dead"]
EPOCH = datetime.fromtimestamp(0, UTC)
# The latest moment that is told: a day before the last there is, so that every time zone can show it.
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
# Beyond so many attempts a count is damaged: Redis could not count on.
MOST_ATTEMPTS = 10**9
_MICROSECOND = timedelta(microseconds=1)
STATES: tuple[State, ...] = ("due", "waiting", "leased", "dead")
# Between a key that other content in the queue has, and the digest that tells this document from it.
BESIDE = "#"
_STREAM_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be parked."""

    # Two documents with one key are the same, or in conflict.
    key: str
    # SHA-256(0x00 || body), 32 bytes.
    digest: bytes
    body: bytes
    source: str
    kind: str
    received_at: datetime
    # What is kept with it, and is no part of what its digest covers; whoever hands it in knows what it is.
    beside: bytes = b""
    # A signature that it was found with, kept although it does not verify; None: it is signed when it is parked.
    mac: bytes | None = None
    # The trace that brought it, as W3C's traceparent; neither hashed nor signed, and believed for nothing.
    trace: bytes = b""


class Attempt(TypedDict):
    """One failure in the history of a message: when, which kind of error, and its first line."""

    at: str
    kind: str
    error: str


@dataclass(frozen=True, slots=True)
class Message:
    """A document in the queue, with its state and history."""

    # The stream id: the milliseconds of its parking, and a serial number.
    id: str
    key: str
    digest: bytes
    body: bytes
    source: str
    kind: str
    received_at: datetime
    reason: str
    # Its signature (`dlq.authenticity`); empty where it has none.
    mac: bytes = b""
    # What is kept with it, and is no part of what its digest covers.
    beside: bytes = b""
    # The trace that brought it, as W3C's traceparent: anybody with Redis may have written it.
    trace: bytes = b""
    state: State = "due"
    attempts: int = 0
    next_try: datetime | None = None
    errors: list[Attempt] = field(default_factory=list)
    # When it was read, by the clock of whoever holds it: Redis, or this host for a local file.
    seen_at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    @property
    def label(self) -> str:
        """What its counters are called: the day of its receipt, in days since 1970, and its source."""
        return _label(self.received_at, self.source)

    @property
    def parked_at(self) -> datetime:
        """When it was parked, by the clock of Redis."""
        return moment(int(self.id.partition("-")[0]))

    @property
    def digest_ok(self) -> bool:
        """Whether the body is still the one that was parked."""
        return digest_of(self.body) == self.digest

    @property
    def age(self) -> float:
        """Seconds between its parking and its reading, both by the clock of whoever holds it."""
        return (self.seen_at - self.parked_at).total_seconds()

    @property
    def last_error_class(self) -> str:
        """The kind of error that the last attempt met; empty before the first."""
        return self.errors[-1]["kind"] if self.errors else ""

    @property
    def last_error(self) -> str:
        """The error that the last attempt met; empty before the first."""
        return self.errors[-1]["error"] if self.errors else ""

    def as_json(self) -> dict[str, Any]:
        """Return all of it for exports: the body as text, with its digest and what is kept beside it."""
        return {
            "event_id": self.key,
            "message_id": self.id,
            "writer": self.source,
            "type": self.kind,
            "state": self.state,
            "reason": self.reason,
            "received_at": self.received_at.isoformat(),
            "parked_at": self.parked_at.isoformat(),
            "next_try": self.next_try and self.next_try.isoformat(),
            "attempts": self.attempts,
            "errors": self.errors,
            "digest": self.digest.hex(),
            "digest_holds": self.digest_ok,
            "body": self.body.decode("utf-8", errors="backslashreplace"),
            **({"beside": self.beside.decode("utf-8", errors="backslashreplace")} if self.beside else {}),
        }


def digest_of(body: bytes) -> bytes:
    """Return SHA-256(0x00 || body), 32 bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def is_stream_id(text: str) -> bool:
    """Whether Redis takes this for the id of an entry. It answers others with an error that looks like a fault."""
    match = _STREAM_ID.fullmatch(text)
    return match is not None and all(int(part) < 2**64 for part in match.groups())


def stream_order(message_id: str) -> tuple[int, int]:
    """Return what stream ids are ordered by: as texts, ids of different lengths would not be."""
    milliseconds, _, serial = message_id.partition("-")
    return int(milliseconds), int(serial)


def moment(milliseconds: float) -> datetime:
    """Return the point in time of these milliseconds since 1970; the nearest that can be told, for damaged ones."""
    if not 0 <= milliseconds < _LATEST_MS:
        return EPOCH if milliseconds < 0 else LATEST
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def decoded(rows: Iterable[Any]) -> list[tuple[str, dict[bytes, bytes]]]:
    """Return stream entries with their ids as text."""
    return [(message_id.decode(), fields) for message_id, fields in rows]


def label_of(fields: dict[bytes, bytes]) -> str:
    """Return what the counters of an entry are called."""
    return _label(
        from_microseconds(fields.get(b"received_at", b"")), fields.get(b"source", b"").decode(errors="replace")
    )


def state_of(due: float | None, leased: float | None, dead: float | None, now: int) -> State:
    """Return the state of a message from its scores in the indexes (ms), None where it is not in one."""
    if dead is not None:
        return "dead"
    if leased is not None:
        return "leased"
    return "due" if due is None or due <= now else "waiting"


def read(
    message_id: str,
    fields: dict[bytes, bytes],
    state: State,
    score: float | None,
    history: Sequence[bytes | None],
    now: int,
) -> Message:
    """Make a message of what Redis holds of it, read at `now` (ms); what is missing or damaged is left empty."""
    attempts, errors = history_of(history)
    return Message(
        id=message_id,
        key=fields.get(b"key", b"").decode(errors="replace"),
        digest=fields.get(b"digest", b""),
        body=fields.get(b"body", b""),
        source=fields.get(b"source", b"").decode(errors="replace"),
        kind=fields.get(b"kind", b"").decode(errors="replace"),
        received_at=from_microseconds(fields.get(b"received_at", b"")),
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        mac=fields.get(b"mac", b""),
        beside=fields.get(b"beside", b""),
        trace=fields.get(b"trace", b""),
        state=state,
        attempts=attempts,
        next_try=moment(score) if score is not None and state != "dead" else None,
        errors=errors,
        seen_at=moment(now),
    )


def microseconds(at: datetime) -> int:
    """Return the microseconds since 1970, exactly: a float would round them."""
    return (at - EPOCH) // _MICROSECOND


def _label(received_at: datetime, source: str) -> str:
    return f"{(received_at - EPOCH).days}|{source}"


def from_microseconds(text: bytes) -> datetime:
    """Return the moment that `microseconds` wrote; 1970 where the text is damaged."""
    return readable_moment(text) or EPOCH


def readable_moment(text: bytes) -> datetime | None:
    """Return the moment that `microseconds` wrote; None where the text is damaged."""
    try:
        at = EPOCH + timedelta(microseconds=int(text)) if text.isdigit() else None
    except (OverflowError, ValueError):  # more than there are moments, or more digits than Python reads
        return None
    return at if at is not None and at < LATEST else None


def history_of(history: Sequence[bytes | None]) -> tuple[int, list[Attempt]]:
    """Return attempts and errors; 0 and none where they are damaged (`damaged_history`)."""
    attempts, errors = history
    return _attempts_of(attempts) or 0, _errors_of(errors) or []


def damaged_history(history: Sequence[bytes | None]) -> list[str]:
    """Return which parts of a history cannot be read."""
    attempts, errors = history
    damaged = {"attempts": _attempts_of(attempts) is None, "errors": _errors_of(errors) is None}
    return [name for name, is_damaged in damaged.items() if is_damaged]


def are_attempts(errors: object) -> bool:
    """Whether this is a list of failures, as a history has it."""
    return isinstance(errors, list) and all(
        isinstance(error, dict) and all(is_text(error.get(name)) for name in Attempt.__annotations__)
        for error in errors
    )


def is_text(value: object) -> bool:
    """Whether this is text that can be written: half a pair of surrogates cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _attempts_of(text: bytes | None) -> int | None:
    if not text:
        return 0 if text is None else None
    # Redis counts on from a number as it writes them itself, and from no other.
    is_count = text.isdigit() and len(text) < len(str(MOST_ATTEMPTS)) and text == b"%d" % int(text)
    return int(text) if is_count else None


def _errors_of(text: bytes | None) -> list[Attempt] | None:
    try:
        errors: Any = json.loads(text) if text is not None else []
    except (ValueError, RecursionError):
        return None
    return errors if are_attempts(errors) else None


_LATEST_MS = microseconds(LATEST) // 1000
