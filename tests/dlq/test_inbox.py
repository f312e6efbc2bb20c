"""The contract of the queue with writers' clients: one file on both sides, and versions that understand each other."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

import auditclient.contract
from auditclient.contract import Signer
from dlq import inbox
from dlq.inbox import Entry, NotAnEntry
from dlq.stream import Stream

KEY = "aw_00000000_another-key"


def test_the_client_has_the_same_contract() -> None:
    ours, theirs = (Path(str(module.__file__)).with_name("contract.json") for module in (inbox, auditclient.contract))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("vector", inbox.CONTRACT["vectors"], ids=lambda vector: f"{vector['version']}")
def test_both_sides_agree_on_the_examples_of_every_version(vector: dict[str, str]) -> None:
    raw = vector["entry"].encode()
    assert Signer(vector["api_key"]).sign(vector["payload"].encode(), vector["version"]) == raw
    entry = Entry.parse(raw)
    assert entry.payload.decode() == vector["payload"]
    assert entry.key_id == inbox.key_id(hashlib.sha256(vector["api_key"].encode()).hexdigest())
    assert entry.is_signed_with(inbox.mac_key(vector["api_key"]))
    assert not entry.is_signed_with(inbox.mac_key(KEY))


def test_every_version_has_an_example() -> None:
    assert {vector["version"] for vector in inbox.CONTRACT["vectors"]} == inbox.CONTRACT["versions"].keys()


def read_by_version_1_0(raw: bytes, api_key: str) -> dict[str, Any]:
    """A reader of the first version of the contract, which knows of an event in the payload and of nothing else."""
    head, _, payload = raw.partition(b"\n")
    version, key_id, mac = head.decode().split(" ")
    assert version.startswith("1.") and key_id == hashlib.sha256(api_key.encode()).hexdigest()[:16]
    secret = hmac.digest(api_key.encode(), b"audit dlq entry key 1", "sha256")
    assert hmac.digest(secret, f"{version} {key_id}\n".encode() + payload, "sha256").hex() == mac
    event: dict[str, Any] = json.loads(payload)["event"]
    return event


def test_a_store_of_the_version_before_reads_what_todays_client_parks() -> None:
    assert read_by_version_1_0(Signer(KEY).entry(b'{"event_id":"x"}'), KEY) == {"event_id": "x"}


def test_what_is_changed_in_an_entry_shows() -> None:
    raw = Signer(KEY).entry(b'{"event_id":"x"}')
    secret = inbox.mac_key(KEY)
    for changed in (raw.replace(b'"x"', b'"y"'), raw.replace(b"1.1 ", b"1.0 ", 1), raw + b" "):
        assert not Entry.parse(changed).is_signed_with(secret)


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"{}", b"1.1 x y\n{}", Signer(KEY).sign(b"{}", "2.0"), b"\xff" * 3_000_000]
)
def test_what_no_version_describes_is_no_entry(raw: bytes) -> None:
    with pytest.raises(NotAnEntry):
        Entry.parse(raw)


def test_of_two_drainers_one_takes_an_entry(stream: Stream) -> None:
    stream.redis.rpush(stream.keys.inbox, b"first", b"second")
    first = stream.inbox.first(1, most_bytes=2**20)
    assert stream.inbox.take(first)
    assert not stream.inbox.take(first)
    assert stream.inbox.first(9, most_bytes=2**20) == [b"second"] and stream.inbox.depth() == 1


def test_the_oldest_are_read_as_far_as_they_are_few_and_small(stream: Stream) -> None:
    entries = [b"%d" % number * 100 for number in range(10, 60)]
    stream.redis.rpush(stream.keys.inbox, *entries)
    assert stream.inbox.first(50, most_bytes=2**20) == entries
    assert stream.inbox.first(30, most_bytes=2**20) == entries[:30]
    assert stream.inbox.first(50, most_bytes=199 + 40 * 200) == entries[:40]
    assert stream.inbox.first(50, most_bytes=1) == entries[:1], "one is always read, or it would keep all others back"


def test_what_is_read_at_once_follows_from_the_weight_of_those_before(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.redis.rpush(stream.keys.inbox, *[b"x" * 2**18] * 40)
    asked: list[int] = []
    lrange = stream.redis.lrange

    def spied(key: str, first: int, last: int) -> Any:
        asked.append(last - first + 1)
        return lrange(key, first, last)

    monkeypatch.setattr(stream.redis, "lrange", spied)
    assert len(stream.inbox.first(40, most_bytes=2**22)) == 16
    assert asked == [8, 4, 4]
