"""What an event looks like once it is written, by either encoder."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from auditclient.errors import InvalidEvent
from auditclient.events import EVENT_BYTES_MAX, encode, encode_plain, plain

VALUES: list[Any] = [
    *(None, True, 0, -1, 2**53 - 1, 2**53, 2**70, 1.5, 1e300, 1e-7, math.nan, math.inf),
    *("", "é 漢 \U0001f600", "a\x00b", "\x7f\u2028", Decimal("1.10"), UUID(int=7)),
    *(datetime(2026, 8, 18, 10), datetime(2026, 8, 18, 10, tzinfo=UTC)),
    *({"a": {1: (2, {3})}}, [b"bytes", object]),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_plain_is_written_the_same_by_either_encoder(value: Any) -> None:
    document = {"event_data": plain({"value": value})}
    assert json.loads(encode_plain(document)) == json.loads(encode(document)) == document


@pytest.mark.parametrize("write", [encode, encode_plain])
@pytest.mark.parametrize(
    "value", ["\ud800", object(), "x" * EVENT_BYTES_MAX], ids=["half a character", "no JSON", "large"]
)
def test_what_cannot_be_written_is_refused_with_a_reason(write: Any, value: Any) -> None:
    with pytest.raises(InvalidEvent, match="nothing was kept"):
        write({"event_data": value})
