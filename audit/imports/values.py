"""How a value of a foreign event becomes one of ours: texts that fit, words, addresses, moments."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from audit.formats import spellings, times

# What of a text that is cut stands for the rest, so that two that differ behind the cut stay two.
CUT_DIGITS = 8
_NOT_OF_A_WORD = re.compile(r"[^a-z0-9_.-]+")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?\Z")
_WITH_PORT = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]+)?\Z|(?P<v4>[0-9.]+):[0-9]+\Z")
# So many of each unit are a second.
UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}


def text(value: Any) -> str | None:
    """Return a value as text; None for what is none: objects, arrays, nothing, and a text that is empty."""
    if type(value) is str:
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return str(value) or None if isinstance(value, str) else None


def cut(value: str, limit: int) -> str:
    """Return a text of at most `limit` characters; what is cut off is told by digits of its hash."""
    if len(value) <= limit:
        return value
    digits = sha256(value.encode(errors="surrogatepass")).hexdigest()[:CUT_DIGITS]
    return f"{value[: limit - CUT_DIGITS - 1]}~{digits}"


@lru_cache(maxsize=8192)
def dotted(value: str, limit: int) -> str | None:
    """Return a text as the type of an event: `CreateUser` is `create_user`; None where nothing is left of it."""
    lower = _NOT_OF_A_WORD.sub("_", _HUMPS.sub("_", value).lower())
    parts = [part for part in lower.split(".") if part.strip("_-")]
    name = ".".join(parts).lstrip("0123456789_-")
    return cut(name, limit).replace("~", "-") if name else None


@lru_cache(maxsize=8192)
def word(value: str, limit: int) -> str | None:
    """Return a text as the category of an event."""
    name = dotted.__wrapped__(value, limit)
    return None if name is None else name.replace(".", "_")


@lru_cache(maxsize=8192)
def address(value: str) -> str | None:
    """Return an address as it is written, without a port; None for what is none, such as a name."""
    if match := _WITH_PORT.match(value):
        value = match["v6"] or match["v4"]
    try:
        spellings.read_address(value)
    except ValueError:
        return None
    return value


def moment(value: Any, form: str) -> datetime | None:
    """Return a moment in UTC; None for what is none. `form` is `rfc3339`, a unit since 1970, or one of strptime.

    A time without zone is UTC: a source that writes none means it.
    """
    try:
        if form in UNITS:
            return _since_1970(value, UNITS[form])
        if not isinstance(value, str):
            return None
        read = datetime.strptime(value, form) if "%" in form else datetime.fromisoformat(times.in_microseconds(value))
        read = read if read.tzinfo else read.replace(tzinfo=UTC)
        return read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def integer(value: Any) -> int | None:
    """Return a whole number, cut off where it has a fraction; None for what is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value)
    if isinstance(value, str) and _NUMBER.match(value) and len(whole := value.partition(".")[0]) < 20:
        return int(whole)
    return None


def _since_1970(value: Any, unit: int) -> datetime | None:
    if isinstance(value, str) and _NUMBER.match(value) and len(value) <= 40:
        # Not by way of a float, which has no room for nanoseconds.
        whole, _, fraction = value.partition(".")
        microseconds = int(whole + fraction) * 1_000_000 // (unit * 10 ** len(fraction))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        microseconds = int(value * 1_000_000 // unit)
    else:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
