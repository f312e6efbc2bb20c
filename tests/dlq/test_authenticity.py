"""Who can write to Redis, or to the spool, cannot speak as a writer."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from dlq import restore, spool
from dlq.authenticity import is_authentic, sign
from dlq.checks import durability
from dlq.message import Message, digest_of
from dlq.stream import Stream
from tests.dlq.conftest import a_document, parked


def put(stream: Stream, fields: dict[bytes, bytes]) -> Message:
    """Add an entry as somebody does who has the password of Redis, and nothing else."""
    message_id = stream.redis.xadd(stream.keys.stream, fields).decode()
    stream.redis.zadd(stream.keys.due, {message_id: 0})
    stream.redis.hset(stream.keys.ids, fields[b"key"], message_id)
    return next(message for message in stream.claim(99) if message.id == message_id)


def fields_of(stream: Stream, message: Message) -> dict[bytes, bytes]:
    ((_, fields),) = stream.redis.xrange(stream.keys.stream, message.id, message.id)
    return dict(fields)


def test_what_was_parked_is_authentic_wherever_it_is_read(stream: Stream) -> None:
    document = a_document(body=bytes(range(256)))
    stream.park([replace(document, source="a writer \u2713", kind="")], reason="tests")
    (paged,) = stream.pages.page(limit=9)
    (claimed,) = stream.claim(9)
    assert is_authentic(paged) and is_authentic(claimed)
    assert stream.pages.digests([document.key]) == {document.key: document.digest}


@pytest.mark.parametrize(
    ("field", "forged"),
    [
        (b"source", b"auditsite"),
        (b"kind", b"audit.review.signed"),
        (b"key", b"another id"),
        (b"digest", digest_of(b"other content")),
        (b"received_at", b"1000000"),
        (b"mac", bytes(32)),
        (b"mac", b""),
    ],
)
def test_each_change_of_an_entry_is_found(stream: Stream, field: bytes, forged: bytes) -> None:
    (message,) = parked(stream)
    entry = put(stream, fields_of(stream, message) | {field: forged})
    assert not is_authentic(entry)
    assert stream.pages.digests([entry.key]) == {}


# As the release before there was anything beside an entry signed `a_document("old")`, under a key of zeros.
SIGNED_BEFORE = "cbcfd4b4b45bdbb167ca75a21db3a032bd84cc7290fa5f2ab7c7fe6d51ee1208"


def test_an_entry_with_nothing_beside_it_is_signed_as_all_were_before(stream: Stream, settings: Any) -> None:
    settings.DLQ_ENTRY_KEY = bytes(32)
    document = replace(a_document("old"), received_at=datetime(2026, 11, 27, tzinfo=UTC))
    assert sign(document).hex() == SIGNED_BEFORE
    stream.park([document], reason="tests")
    (message,) = stream.claim(9)
    assert (b"beside" in fields_of(stream, message), message.beside, is_authentic(message)) == (False, b"", True)


def test_what_is_kept_beside_a_document_comes_with_it_and_no_release_takes_it_for_nothing(
    stream: Stream, settings: Any, tmp_path: Path
) -> None:
    document, settings.DLQ_SPOOL_DIR = replace(a_document(), beside=b"salts"), tmp_path
    stream.park([document], reason="tests")
    (paged,) = stream.pages.page(limit=9)
    (claimed,) = stream.claim(9)
    assert (paged.beside, claimed.beside, is_authentic(claimed)) == (b"salts", b"salts", True)
    assert claimed.as_json()["beside"] == "salts"
    assert is_authentic(stream.pages.find_all([document.key])[document.key])
    # What does not know it computes the signature as if nothing were there.
    assert not is_authentic(replace(claimed, beside=b""))
    assert not is_authentic(replace(claimed, beside=b"other"))
    stream.acknowledge([claimed], "stored")

    spool.append([document], reason="down")
    assert spool.empty(lambda messages: restore.restore(stream, messages), answers=lambda: True) == 1
    (restored,) = stream.pages.page(limit=9)
    assert (restored.beside, is_authentic(restored)) == (b"salts", True)


def test_no_two_documents_are_signed_alike() -> None:
    document = a_document()
    assert sign(replace(document, source="ab", key="c")) != sign(replace(document, source="a", key="bc"))


def test_a_key_that_was_replaced_verifies_as_long_as_it_is_known(stream: Stream, settings: Any) -> None:
    (message,) = parked(stream)
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = bytes(32), [settings.DLQ_ENTRY_KEY]
    assert is_authentic(message)
    assert all(is_authentic(message) for message in parked(stream))
    settings.DLQ_ENTRY_OLD_KEYS = []
    assert not is_authentic(message)


def test_what_is_unsigned_passes_until_a_date_and_is_counted(
    stream: Stream, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (message,) = parked(stream)
    fields = fields_of(stream, message)
    del fields[b"mac"]
    unsigned = put(stream, fields)
    assert not is_authentic(unsigned)
    settings.DLQ_UNSIGNED_UNTIL = datetime.now(UTC) - timedelta(seconds=1)
    assert not is_authentic(unsigned)
    settings.DLQ_UNSIGNED_UNTIL = datetime.now(UTC) + timedelta(hours=1)
    before = REGISTRY.get_sample_value("dlq_unsigned_total") or 0.0
    assert is_authentic(unsigned)
    assert not is_authentic(replace(unsigned, mac=bytes(32)))  # a wrong signature never passes
    assert REGISTRY.get_sample_value("dlq_unsigned_total") == before + 1
    assert "dlq.W004" in {finding.id for finding in durability(None, databases=["default"])}


def forged_line(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the only line of a file, as somebody does who can write to it; the chain of hashes holds."""
    row = json.loads(path.read_bytes())
    change(row)
    path.write_bytes(json.dumps(row).encode() + b"\n")


@pytest.mark.parametrize("change", [lambda row: row.update(source="auditsite"), lambda row: row.pop("mac")])
def test_a_forged_line_of_the_spool_stays_forged_in_the_queue(
    stream: Stream, settings: Any, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    spool.append([a_document("genuine")], reason="down")
    (path,) = tmp_path.glob("*.spool")
    (genuine,) = spool.Reader(path)
    assert is_authentic(genuine)
    forged_line(path, change)
    assert spool.empty(lambda messages: restore.restore(stream, messages), answers=lambda: True) == 1
    (message,) = stream.pages.page(limit=9)
    assert message.key == "genuine" and not is_authentic(message)


def test_a_copy_of_what_waits_too_long_keeps_its_signature(stream: Stream, settings: Any, tmp_path: Path) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    messages = parked(stream, 2)
    spool.keep([messages[0], replace(messages[1], source="auditsite")])
    (path,) = tmp_path.glob("*.kept")
    stream.acknowledge(messages, "discarded")
    assert restore.restore_file(stream, path) == (2, [])
    assert [is_authentic(message) for message in stream.pages.page(limit=9)] == [True, False]


def test_a_document_that_is_parked_beside_another_is_signed_under_its_new_key(
    stream: Stream, settings: Any, tmp_path: Path
) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    spool.append([a_document("one id", b"{}")], reason="down")
    stream.park([a_document("one id", b'{"a":1}')], reason="down")
    spool.empty(lambda messages: restore.restore(stream, messages), answers=lambda: True)
    messages = stream.pages.page(limit=9)
    assert len({message.key for message in messages}) == 2 and all(map(is_authentic, messages))
