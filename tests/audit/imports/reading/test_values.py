"""JSON of a foreign source is read without a digit lost: what is no number here for its digits is text."""

import json
from typing import Any

import pytest

from audit.imports.reading import values


@pytest.mark.parametrize(
    "text",
    [
        "1700000000.123456789",
        "-1700000000.123456789",
        "0.1234567890123456789",
        "0.10000000000000001",
        "9007199254740991.5",
        "1e-400",
        "2.5e-324",
        "1.5e-99999999999999999999",
        "9007199254740993",
        "12345678901234567890",
        "1e400",
    ],
)
def test_a_number_that_is_held_as_another_one_is_text_with_its_digits(text: str) -> None:
    assert values.read(f'{{"n": [{text}]}}') == {"n": [text]}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.1", 0.1),
        ("0.10", 0.1),
        ("1.0", 1),
        ("1.00", 1),
        ("1.000000000000000000000", 1),
        ("0.00000000000000000000", 0),
        ("1.25e-7", 1.25e-7),
        ("1E3", 1000),
        ("5e-324", 5e-324),
        ("-0.0", 0),
        ("1700000000.123456", 1700000000.123456),
        ("0.30000000000000004", 0.1 + 0.2),
        ("-3.141592653589793", -3.141592653589793),
        ("0.000012345678901234568", 0.000012345678901234568),
        ("9007199254740991", 2**53 - 1),
    ],
)
def test_a_number_that_is_held_as_it_is_stays_one(text: str, number: Any) -> None:
    (found,) = values.read(f"[{text}]")
    assert (found, type(found)) == (number, type(number))


def test_what_a_program_writes_as_a_number_comes_as_that_number() -> None:
    numbers = [each / 7 * 10**power for each in range(-40, 40) for power in range(-12, 12)]
    assert values.read(json.dumps(numbers)) == [int(each) if each.is_integer() else each for each in numbers]
