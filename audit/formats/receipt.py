"""The receipt as a writer holds it: a signed note that names its events, and the time by which they will be sealed.

    auditsite/receipt/v1
    origin audit.example.com/log
    writer payments
    state stored
    promised 2026-08-18T10:00:00.000Z
    sealed-by 2026-08-18T10:01:00.000Z
    0198bcf2-7e5c-7d3e-9a54-1c2f6b0e4d11 5f0c...64 hexadecimal digits

    — audit.example.com/log/receipts base64

One line for each event: its id and its digest.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from audit.formats import note
from audit.formats.note import AnySigner, NoteError, Verifier

State = Literal["stored", "parked"]
HEADER = "auditsite/receipt/v1"
SUFFIX = "/receipts"  # the key that signs receipts has the name of the log with this after it
MAX_NOTE = 256 * 1024  # A receipt of 1,000 events has 103 kB
_VALUE = re.compile(r"[^\s\x00-\x1f\x7f]+\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z", re.ASCII)
_EVENT = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}) ([0-9a-f]{64})\Z", re.ASCII)
_MEMBERS = ("origin", "writer", "state", "promised", "sealed-by")


@dataclass(frozen=True)
class Promise:
    origin: str
    writer: str
    state: State
    promised_at: datetime
    # Until then every event is under a signed checkpoint: the maximum merge delay, applied.
    sealed_by: datetime
    events: Mapping[str, str]  # the digest of each event, in hexadecimal digits, by its id

    @property
    def text(self) -> str:
        """The signed text. Raises `NoteError` for a name that it cannot hold."""
        if not (_VALUE.match(self.origin) and _VALUE.match(self.writer)):
            raise NoteError("the name of a log or a writer with spaces or control characters cannot be signed")
        times = f"promised {_written(self.promised_at)}\nsealed-by {_written(self.sealed_by)}\n"
        head = f"{HEADER}\norigin {self.origin}\nwriter {self.writer}\nstate {self.state}\n{times}"
        return head + "".join([f"{event_id} {digest}\n" for event_id, digest in self.events.items()])

    @classmethod
    def parse(cls, text: str) -> "Promise":
        """Read a signed text. Raises `NoteError`."""
        header, *lines = text.removesuffix("\n").split("\n")
        if header != HEADER:
            raise NoteError(f"a receipt starts with {HEADER}")
        origin, writer, state, promised, sealed_by = _members(lines)
        if state not in ("stored", "parked"):
            raise NoteError(f"the state {state[:40]!r} is neither stored nor parked")
        events = dict(_event(line) for line in lines[len(_MEMBERS) :])
        if not events or len(events) != len(lines) - len(_MEMBERS):
            raise NoteError("a receipt names each of its events once, and one at least")
        word: State = "stored" if state == "stored" else "parked"
        return cls(origin, writer, word, _time(promised), _time(sealed_by), events)


def sign(promise: Promise, signer: AnySigner) -> str:
    text = promise.text
    return note.join(text, [signer.sign(text)])


def read(receipt: str, verifiers: Iterable[Verifier]) -> Promise:
    """Return what a receipt says, if one of the keys signed it. Raises `NoteError`."""
    text, attested = note.verify(receipt, verifiers, most=MAX_NOTE)
    promise = Promise.parse(text)
    if any(attestation.verifier.name != promise.origin + SUFFIX for attestation in attested):
        raise NoteError(f"the receipt is of the log {promise.origin}, and another log's key signed it")
    return promise


def pieces(lines: Iterable[str]) -> Iterator[str]:
    """Yield the receipts in a file: notes one after the other, or a JSON line for each answer of the API."""
    kept: list[str] = []
    for line in (raw.rstrip("\r\n") for raw in lines):
        if line.startswith("{") or line == HEADER:
            yield from _whole(kept)
            kept = []
        if line.startswith("{"):
            yield from _of_answer(line)
        else:
            kept.append(line)
    yield from _whole(kept)


def _whole(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines).strip("\n")
    if text.strip():
        yield text + "\n"


def _of_answer(line: str) -> list[str]:
    """Return the receipts in an answer of the API; anything else as it is, to be refused as no receipt."""
    try:
        answer = json.loads(line)
        receipts = answer["receipts"] if "receipts" in answer else [answer["receipt"]]
    except (ValueError, KeyError, RecursionError):
        return [line]
    is_list = isinstance(receipts, list) and receipts and all(isinstance(receipt, str) for receipt in receipts)
    return receipts if is_list else [line]


def _members(lines: list[str]) -> list[str]:
    pairs = [line.partition(" ")[::2] for line in lines[: len(_MEMBERS)]]
    if tuple(name for name, _ in pairs) != _MEMBERS or not all(_VALUE.match(value) for _, value in pairs):
        raise NoteError(f"a receipt has the lines {', '.join(_MEMBERS)}, in this order")
    return [value for _, value in pairs]


def _event(line: str) -> tuple[str, str]:
    if (match := _EVENT.match(line)) is None:
        raise NoteError(f"{line[:80]!r} is not an event id and a digest")
    return match[1], match[2]


def _time(text: str) -> datetime:
    if not _TIME.match(text):
        raise NoteError(f"the time {text[:40]!r} is not like 2026-08-18T10:00:00.000Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise NoteError(f"there is no time {text}") from None


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
