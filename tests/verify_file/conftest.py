"""Scenes of the verifier that is one file: a log of eleven records, made without the store."""

import base64
import hashlib
from typing import Any

import rfc8785

from tests.auditor import Notary

LOG = Notary("audit.example/log", 1)
OLD_KEY = Notary("audit.example/log", 2)


def mth(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(leaves[:middle]) + mth(leaves[middle:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if index < middle:
        return [*path(index, leaves[:middle]), mth(leaves[middle:])]
    return [*path(index - middle, leaves[middle:]), mth(leaves[:middle])]


def hashed(value: Any) -> bytes:
    return hashlib.sha256(b"\x00" + rfc8785.dumps(value)).digest()


def a_record(number: int) -> dict[str, Any]:
    event = {
        "event_id": f"01900000-0000-7000-8000-{number:012d}",
        "writer": "tests",
        "event_type": "gateway.signal.received",
        "event_data": {"text": "Zürich €", "number": 1.5 + number, "small": 1e-7, "nested": [True, None, {"": 0}]},
        "correlation_id": f"rr-{number}",
    }
    moment = f"2026-08-18T10:00:{number:02d}.000001Z"
    store = {"received_at": moment, "parked_at": moment if number == 3 else None, "stored_at": moment}
    return event | store | {"digest": hashed(event).hex(), "state": "sealed"}


def leaf(record: dict[str, Any]) -> bytes:
    return hashed({name: record[name] for name in ("digest", "event_id", "parked_at", "received_at", "stored_at")})


RECORDS = [a_record(number) for number in range(11)]
LEAVES = [leaf(record) for record in RECORDS]


def note(size: int, *lines: Any, leaves: list[bytes] = LEAVES, signer: Notary = LOG) -> str:
    text = f"{signer.name}\n{size}\n{base64.b64encode(mth(leaves[:size])).decode()}\n"
    made = [signer.sign(text), signer.cosign(text, 1_790_000_000), *(make(text) for make in lines)]
    return f"{text}\n{''.join(made)}"


def proof(index: int, checkpoint: str, size: int = 11, leaves: list[bytes] = LEAVES) -> str:
    hashes = [base64.b64encode(value).decode() for value in path(index, leaves[:size])]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {index}", *hashes, "", checkpoint])


def bundle(items: list[tuple[dict[str, Any], str]], keys: list[str] | None = None, origin: str = LOG.name) -> bytes:
    header = {"bundle": "auditsite/v1", "keys": keys or [LOG.vkey()], "origin": origin}
    lines = [header, *({"record": record, "proof": text} for record, text in items)]
    body = b"".join(rfc8785.dumps(line) + b"\n" for line in lines)
    end = {"records": len(items), "sha256": hashlib.sha256(body).hexdigest()}
    return body + rfc8785.dumps(end) + b"\n"


def honest(count: int = 11, *lines: Any) -> bytes:
    checkpoint = note(11, *lines)
    return bundle([(RECORDS[index], proof(index, checkpoint)) for index in range(count)])


PINNED = ("--key", LOG.vkey())


def key_id(signer: Notary) -> str:
    """The name of a key and its id, as a signature line has them."""
    return signer.vkey().rpartition("+")[0]
