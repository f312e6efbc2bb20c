"""The inbox of the queue: what writers have parked by themselves, and no drain has moved into the stream yet.

The contract with them is contract.json, which their client has as well. A list, for a writer's user of Redis may add to
it and do nothing else: whoever may add to a stream may trim it too.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlq.pages import READ_FIRST, count_of
from dlq.scripts import Connection, refusing

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))
# Versions with another number before the point mean something else.
MAJOR = CONTRACT["version"].partition(".")[0]
# What an entry that is in the stream as it came is called. No event has such a type.
KIND = "client entry"
_PURPOSE = b"audit dlq entry key 1"
_HEAD = re.compile(rb"([0-9]{1,9})\.([0-9]{1,9}) ([0-9a-f]{16}) ([0-9a-f]{64})\Z")


class NotAnEntry(ValueError):
    """What is in the inbox is not what the contract says."""


@dataclass(frozen=True)
class Entry:
    """An entry as it was read: nothing of it is believed before `is_signed_with` says so."""

    key_id: str
    payload: bytes
    _mac: bytes
    _signed: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Entry":
        """Read an entry. Raises `NotAnEntry`."""
        head, _, payload = raw.partition(b"\n")
        if len(raw) > CONTRACT["limits"]["entry_bytes"] or (match := _HEAD.match(head)) is None:
            raise NotAnEntry("it is not VERSION KEY_ID MAC, a line feed, and a payload, or is too large")
        if match[1].decode() != MAJOR:
            raise NotAnEntry(f"version {match[1].decode()} of the contract is not known to this store: update it")
        signed = head.rpartition(b" ")[0] + b"\n" + payload
        return cls(match[3].decode(), payload, bytes.fromhex(match[4].decode()), signed)

    def is_signed_with(self, mac_key: bytes) -> bool:
        """Whether the holder of this key has signed it."""
        return hmac.compare_digest(hmac.digest(mac_key, self._signed, hashlib.sha256), self._mac)


class Inbox:
    """The inbox of one queue. Every method raises `Refused` when Redis does not do it."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def depth(self) -> int:
        """Return how many entries wait."""
        with refusing():
            return int(self._connection.redis.llen(self._connection.keys.inbox))

    def first(self, limit: int, *, most_bytes: int) -> list[bytes]:
        """Return the oldest entries, at least one and no more than weigh so much together; they stay.

        How large they are is known only when they are read: they are read in portions, by what those before weigh.
        Where another drainer takes some in between, `take` finds that these are not the first.
        """
        entries, size, count = list[bytes](), 0, READ_FIRST
        while len(entries) < limit and size < most_bytes:
            count = min(count, limit - len(entries))
            portion = self._range(len(entries), count)
            for raw in portion:
                size += len(raw)
                if entries and size > most_bytes:
                    return entries
                entries.append(raw)
            if len(portion) < count:
                break
            count = count_of([len(raw) for raw in portion], count)
        return entries

    def _range(self, start: int, count: int) -> list[bytes]:
        key = self._connection.keys.inbox
        with refusing():
            return [bytes(raw) for raw in self._connection.redis.lrange(key, start, start + count - 1)]

    def take(self, entries: Sequence[bytes]) -> bool:
        """Remove entries that are kept elsewhere now; False where another drainer was first."""
        hashes = [hashlib.sha1(raw, usedforsecurity=False).hexdigest() for raw in entries]
        return bool(self._connection.run("take", [self._connection.keys.inbox], hashes))


def key_id(key_digest: str) -> str:
    """Return what entries call a key, of the SHA-256 of the key in hexadecimal digits."""
    return key_digest[:16]


def mac_key(api_key: str) -> bytes:
    """Return the 32 bytes with which the holder of an API key signs entries."""
    return hmac.digest(api_key.encode(), _PURPOSE, hashlib.sha256)
