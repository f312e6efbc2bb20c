"""What an event looks like once it is written, by either encoder."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from auditclient.errors import InvalidEvent
from auditclient.events import EVENT_BYTES_MAX, encode, encode_plain, moment, plain

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


@pytest.mark.parametrize(
    "at",
    [
        *(datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        *(datetime(2026, 2, 3, 4, 5, 6, 70, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, 700_000)),
        datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=str,
)
def test_a_time_is_the_text_that_python_makes_of_it(at: datetime) -> None:
    assert plain(at) == str(at)


def test_a_moment_is_written_as_a_datetime_is_also_when_the_clock_is_set_back() -> None:
    for seconds in (0, 1_790_000_000, 1_790_000_001, 1_790_000_000, 4_102_444_799):
        for microseconds in (0, 7, 999_999):
            at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
            written = moment(seconds * 10**9 + microseconds * 1000 + 999)
            assert written == at.isoformat(timespec="microseconds")
    before = datetime.now(UTC)
    assert before <= datetime.fromisoformat(moment()) <= datetime.now(UTC)
