"""Values of foreign events become ours: a moment as its digits say, also where they are more than a float has."""

from datetime import UTC, datetime
from typing import Any

import pytest

from audit.imports import values


@pytest.mark.parametrize(
    ("value", "form", "fraction"),
    [
        ("1700000000.123456789", "seconds", 123456),
        ("1700000000", "seconds", 0),
        ("1700000000123.456789", "milliseconds", 123456),
        ("1700000000123456.789", "microseconds", 123456),
        ("1700000000123456789", "nanoseconds", 123456),
        (1700000000.5, "seconds", 500000),
        (1700000000123.5, "milliseconds", 123500),
    ],
)
def test_a_time_since_1970_is_read_to_the_microsecond(value: Any, form: str, fraction: int) -> None:
    assert values.moment(value, form) == datetime(2023, 11, 14, 22, 13, 20, fraction, UTC)


def test_a_time_before_1970_with_a_fraction_is_before_the_next_second() -> None:
    assert values.moment("-0.25", "seconds") == datetime(1969, 12, 31, 23, 59, 59, 750000, UTC)


@pytest.mark.parametrize(
    ("value", "number"),
    [("12.345678901234567890123", 12), ("-12.5", -12), (12.5, 12), ("1" * 25, None), (True, None), ("x", None)],
)
def test_a_whole_number_is_what_stands_before_the_fraction(value: Any, number: int | None) -> None:
    assert values.integer(value) == number
