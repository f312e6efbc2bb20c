"""Ids and labels of messages."""

from datetime import UTC, datetime

import pytest

from dlq.message import EPOCH, from_microseconds, is_stream_id, label_of, microseconds
from dlq.stream import Stream
from tests.dlq.conftest import parked


@pytest.mark.parametrize("text", ["0-0", "1764179378000-12", f"{2**64 - 1}-{2**64 - 1}"])
def test_redis_answers_for_what_is_called_a_stream_id(stream: Stream, text: str) -> None:
    assert is_stream_id(text)
    assert stream.pages.get(text) is None


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-2-3", "a-1", f"{2**64}-0", f"0-{2**64}", "1-1\n", "\u0661-1"])
def test_what_redis_would_refuse_is_no_stream_id(text: str) -> None:
    assert not is_stream_id(text)


def test_the_id_of_a_parked_message_is_one(stream: Stream) -> None:
    (message,) = parked(stream)
    assert is_stream_id(message.id)


def test_a_time_keeps_its_microseconds() -> None:
    at = datetime(2026, 11, 26, 1, 2, 3, 999_999, tzinfo=UTC)
    assert from_microseconds(str(microseconds(at)).encode()) == at


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"9999999999999999999", b"9" * 5000])
def test_a_time_that_cannot_be_read_is_1970(text: bytes) -> None:
    assert from_microseconds(text) == EPOCH
    assert label_of({b"received_at": text, b"source": b"shop"}) == "0|shop"
