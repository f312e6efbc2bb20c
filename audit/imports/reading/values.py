"""JSON as foreign sources write it: numbers that not every reader reads back equal stand as text, digit by digit.

What has no canonical form for any other reason (a name twice in an object, NaN, U+0000, too deep) is at fault.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from audit.formats import canonical
from audit.formats.canonical import MAX_SAFE_INTEGER, NotCanonical, Unreadable

SPACE = " \t\n\r"
# A float holds each number of fifteen digits that is no smaller than this; the sixteenth character is the point.
HELD_CHARACTERS, SMALLEST = 16, 1e-300


class Digits(str):
    """A number as its source wrote it, beyond what is held as a number."""

    __slots__ = ()


def read(text: str) -> Any:
    """Parse a text that is one value. Return an `Unreadable` for what is none, or has no canonical form."""
    try:
        value, end = read_at(text, _skip(text, 0))
    except (json.JSONDecodeError, NotCanonical) as error:
        return Unreadable({"": f"not valid JSON: {error}"}, text)
    if _skip(text, end) != len(text):
        return Unreadable({"": f"more than one value: another one begins at character {end}"}, text)
    return value


def read_all(text: str) -> Any:
    """Parse a text that is one value. Raises `json.JSONDecodeError`, `NotCanonical`, `RecursionError`."""
    return _DECODER.decode(text)


def read_at(text: str, start: int) -> tuple[Any, int]:
    """Parse the value at `start`; return it, or an `Unreadable` for one at fault, and where it ends.

    Raises `json.JSONDecodeError` for what is no JSON, or does not end; `NotCanonical` where its end is too far.
    """
    if start >= len(text):
        raise json.JSONDecodeError("Expecting value", text, start)
    try:
        return _DECODER.raw_decode(text, start)
    except (NotCanonical, RecursionError):
        return canonical.element(text, start)


def _skip(text: str, start: int) -> int:
    while start < len(text) and text[start] in SPACE:
        start += 1
    return start


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotCanonical("a name occurs twice in one object")
    return members


def _integer(text: str) -> int | str:
    return Digits(text) if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER else int(text)


def _float(text: str) -> float | int | str:
    number = float(text)
    size = abs(number)
    is_held = SMALLEST < size <= MAX_SAFE_INTEGER and len(text) <= HELD_CHARACTERS
    if not is_held and not (size <= MAX_SAFE_INTEGER and _is_read_back(text, number)):
        return Digits(text)
    return int(number) if number.is_integer() else number


def _is_read_back(text: str, number: float) -> bool:
    """Whether what is held of a number has all the digits of its text."""
    if (held := repr(number)) == text:
        return True
    try:
        return Decimal(text) == Decimal(held)
    except InvalidOperation:  # an exponent beyond that of decimals, too
        return False


def _constant(text: str) -> Any:
    raise NotCanonical(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
