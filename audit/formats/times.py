"""Times as people write them."""

import re
from datetime import UTC, date, datetime, timedelta

# One part or several, as Go writes durations: 24h, 1h30m, 1.5h.
_PART = r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhdw])"
_RELATIVE = re.compile(rf"(?:{_PART}){{1,5}}\Z")
_FINER = re.compile(r"(\.[0-9]{6})[0-9]+")
_LEAP_SECOND = re.compile(r"(?<=T)([0-9]{2}:[0-9]{2}):60(?:\.[0-9]*)?(?=[Zz+-])", re.IGNORECASE)
EARLIEST, LATEST = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_time(text: str, now: datetime | None = None) -> datetime:
    """Read `24h`, `7d`, `1h30m`, or RFC 3339 (a date, or a time without zone, is UTC). Raises `ValueError`."""
    try:
        if _RELATIVE.match(text):
            parts = (timedelta(**{_UNITS[unit]: float(many)}) for many, unit in re.findall(_PART, text))
            return (now or datetime.now(UTC)) - sum(parts, timedelta())
        moment = datetime.fromisoformat(in_microseconds(text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is neither a span such as 24h or 7d nor an RFC 3339 time") from None


def read_until(text: str, now: datetime | None = None) -> datetime:
    """Read a time as `read_time` does, and a bare day as its last microsecond: until a day takes it in."""
    try:
        return read_day(text)[1] - timedelta(microseconds=1)
    except ValueError:
        return read_time(text, now)


def read_day(text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a UTC day, and of the next. Raises `ValueError`."""
    try:
        first = midnight(date.fromisoformat(text))
        return first, first + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError("is not a day such as 2026-03-04") from None


def midnight(day: date) -> datetime:
    """Return the first moment of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def earlier(moment: datetime, span: timedelta) -> datetime:
    """Return the time this long before a moment, or the first time there is: an event may be of the year 1."""
    try:
        return moment - span
    except OverflowError:
        return EARLIEST


def later(moment: datetime, span: timedelta) -> datetime:
    """Return the time this long after a moment, or the last time there is."""
    try:
        return moment + span
    except OverflowError:
        return LATEST


def in_microseconds(text: str) -> str:
    """Return a time of RFC 3339 with what is finer than microseconds cut off.

    A leap second is cut to the last microsecond before it: it is still of its day, and after all that came before.
    """
    if "." in text:
        text = _FINER.sub(r"\1", text)
    if ":60" not in text:
        return text
    before = _LEAP_SECOND.sub(r"\1:59.999999", text)
    return before if before == text or _ends_a_day(before) else text


def precise(seconds: float) -> str:
    """`340 ms`, `12.4 s`, `5 min 3 s`, `2 h 7 min`, `3 d 4 h`; with `-` before negative spans."""
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    for unit, length, lesser, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            return f"{sign}{whole:.0f} {unit}" + (f" {rest // part:.0f} {lesser}" if rest >= part else "")
    return f"{sign}{seconds:.0f} s"


def _ends_a_day(text: str) -> bool:
    """Return whether a time is in the last minute of a UTC day, where leap seconds are."""
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return (moment.hour, moment.minute) == (23, 59)


def timestamp_text(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds: `2026-08-18T10:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
