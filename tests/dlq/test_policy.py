"""When a failed message is tried again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlq.policy import DELAYS_S, JITTER_SHARE, MAX_RETRIES, next_delay


def test_the_delays_are_those_of_the_source_decision() -> None:
    assert DELAYS_S == (60, 300, 900, 3600, 14400, 86400)
    assert sum(DELAYS_S) == 29 * 3600 + 21 * 60


@settings(max_examples=30)
@given(st.integers(0, MAX_RETRIES - 1), st.integers())
def test_a_retry_comes_no_earlier_and_at_most_a_tenth_later(attempts: int, seed: int) -> None:
    delay = next_delay(attempts, random.Random(seed))
    assert delay is not None
    assert DELAYS_S[attempts] <= delay <= DELAYS_S[attempts] * (1 + JITTER_SHARE)


@pytest.mark.parametrize("attempts", [6, 7, 1000])
def test_after_six_failed_retries_there_is_no_more(attempts: int) -> None:
    assert next_delay(attempts) is None
