"""fitting: what a value of a foreign event becomes in a field of ours; None where it does not fit."""

from collections.abc import Callable
from functools import _lru_cache_wrapper, partial
from typing import Any
from uuid import UUID

from audit.formats import event
from audit.imports import values

# The field that holds a moment and no text.
MOMENT = "event_timestamp"
REMEMBERED_CHARACTERS = 500
Fit = Callable[[Any], Any]


def of(field: str, form: str) -> Fit:
    """Return what fits values into a field. Moments are read by `form`."""
    return partial(values.moment, form=form) if field == MOMENT else _FITTING[field]


def _text(limit: int) -> Fit:
    def fit(value: Any) -> str | None:
        # Nearly all are texts that fit as they are.
        if type(value) is str and 0 < len(value) <= limit:
            return value
        text = values.text(value)
        return None if text is None else values.cut(text, limit)

    return fit


def _by_text(make: "_lru_cache_wrapper[str | None]", *limits: int) -> Fit:
    def fit(value: Any) -> str | None:
        text = values.text(value)
        if text is None:
            return None
        # What is remembered is short: thousands of long texts would take gigabytes.
        return make(text, *limits) if len(text) <= REMEMBERED_CHARACTERS else make.__wrapped__(text, *limits)

    return fit


def _within(least: int, most: int) -> Fit:
    def fit(value: Any) -> int | None:
        number = values.integer(value)
        return number if number is not None and least <= number <= most else None

    return fit


def _outcome(value: Any) -> str | None:
    text = values.text(value)
    return text.lower() if text and text.lower() in event.ENUMS["event_outcome"] else None


def _yes_or_no(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(values.text(value) or "")


def _parent(value: Any) -> str | None:
    text = values.text(value)
    try:
        return None if text is None else str(UUID(text))
    except ValueError:
        return None


def _width(field: str) -> int:
    limit = event.limit(field)
    assert limit is not None
    return limit


_FITTING: dict[str, Fit] = {field: _text(_width(field)) for field in event.FIELDS if event.limit(field) is not None} | {
    "event_type": _by_text(values.dotted, _width("event_type")),
    "event_category": _by_text(values.word, _width("event_category")),
    "event_outcome": _outcome,
    "actor_ip": _by_text(values.address),
    "duration_ms": _within(0, 2_147_483_647),
    "retention_days": _within(1, 36_500),
    "is_sensitive": _yes_or_no,
    "parent_event_id": _parent,
}
