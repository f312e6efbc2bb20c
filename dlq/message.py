"""What is parked, and what the queue knows of it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict

State = Literal["due", "waiting", "leased", "dead"]
EPOCH = datetime.fromtimestamp(0, UTC)
STATES: tuple[State, ...] = ("due", "waiting", "leased", "dead")


@dataclass(frozen=True, slots=True)
class Document:
    """What to park."""

    key: str
    """Two documents with one key are the same, or in conflict."""
    digest: bytes
    """SHA-256(0x00 || body), 32 bytes."""
    body: bytes
    source: str
    kind: str
    received_at: datetime


class Attempt(TypedDict):
    """One failure in a message's history. `class` is what kind of error, `error` its first line."""

    at: str
    kind: str
    error: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is parked, and how it stands."""

    id: str
    """The stream id: milliseconds of its parking, and a serial number."""
    key: str
    digest: bytes
    body: bytes
    source: str
    kind: str
    received_at: datetime
    reason: str
    state: State = "due"
    attempts: int = 0
    next_try: datetime | None = None
    errors: list[Attempt] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What the account counts it under: its day and its source."""
        return f"{(self.received_at - EPOCH).days}|{self.source}"

    @property
    def parked_at(self) -> datetime:
        """When it was parked, by Redis' clock."""
        return moment(int(self.id.partition("-")[0]))

    @property
    def digest_ok(self) -> bool:
        """Whether the body is still the one that was parked."""
        return digest_of(self.body) == self.digest

    @property
    def age(self) -> float:
        """Seconds since it was parked."""
        return (datetime.now(UTC) - self.parked_at).total_seconds()

    @property
    def last_error_class(self) -> str:
        """What kind of error the last attempt met; empty before the first."""
        return self.errors[-1]["kind"] if self.errors else ""

    @property
    def last_error(self) -> str:
        """What the last attempt met; empty before the first."""
        return self.errors[-1]["error"] if self.errors else ""

    def as_json(self) -> dict[str, Any]:
        """All of it, for exports: the body as text, with its digest."""
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
        }


def digest_of(body: bytes) -> bytes:
    """SHA-256(0x00 || body), 32 bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def moment(milliseconds: float) -> datetime:
    """A point in time from Redis' milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def fields_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """An entry's fields from Redis' flat list."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def decoded(rows: Iterable[Any]) -> list[tuple[str, dict[bytes, bytes]]]:
    """Stream entries with their ids as text."""
    return [(message_id.decode(), fields) for message_id, fields in rows]


def state_of(due: float | None, leased: float | None, dead: float | None, now: int) -> State:
    """The state that a message's places in the indexes give it."""
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
) -> Message:
    """A message from what Redis holds of it; what is missing or damaged is left empty."""
    attempts, errors = history
    return Message(
        id=message_id,
        key=fields.get(b"key", b"").decode(errors="replace"),
        digest=fields.get(b"digest", b""),
        body=fields.get(b"body", b""),
        source=fields.get(b"source", b"").decode(errors="replace"),
        kind=fields.get(b"kind", b"").decode(errors="replace"),
        received_at=from_microseconds(fields.get(b"received_at", b"")),
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        state=state,
        attempts=int(attempts or 0),
        next_try=moment(score) if score is not None and state != "dead" else None,
        errors=json.loads(errors) if errors else [],
    )


def microseconds(at: datetime) -> int:
    """Whole microseconds since 1970, exactly: a float would round them."""
    return (at - EPOCH) // timedelta(microseconds=1)


def from_microseconds(text: bytes) -> datetime:
    """The moment that `microseconds` wrote; 1970 where the text is damaged."""
    return EPOCH + timedelta(microseconds=int(text)) if text.isdigit() else EPOCH
