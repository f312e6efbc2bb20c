"""query: find records by indexed fields, newest first, page by page at the same cost at any depth."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Q

from audit import canonical
from audit.event import Invalid
from audit.looking import own_account, sight
from audit.models import Record, RecordQuerySet

EXACT = (
    "event_type",
    "event_category",
    "event_outcome",
    "severity",
    "correlation_id",
    "actor_id",
    "resource_type",
    "resource_id",
)
PARAMETERS = (*EXACT, "since", "until", "detail_key", "detail_value", "limit", "offset", "after")
DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
MAX_OFFSET = 100_000
COUNT_CAP = 10_000

_RELATIVE = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DETAIL_KEY = re.compile(r"[A-Za-z0-9_]{1,200}\Z")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed search."""

    where: Q
    limit: int
    offset: int
    after: tuple[datetime, UUID] | None


def parse(parameters: Mapping[str, str]) -> Search:
    """Read query parameters (contract.md, `GET events`). Raises `Invalid` naming each one at fault."""
    errors = {name: "this parameter is unknown" for name in parameters if name not in PARAMETERS}
    errors |= {name: "contains U+0000" for name, value in parameters.items() if "\x00" in value}
    where = Q(**{name: parameters[name] for name in EXACT if parameters.get(name)})
    found: dict[str, Any] = {}
    for name, read in _READERS.items():
        try:
            found[name] = read(parameters)
        except ValueError as error:
            errors[name] = str(error)
    if errors:
        raise Invalid(errors)
    return Search(
        where=where & found["since"] & found["until"] & found["detail_key"],
        limit=found["limit"],
        offset=found["offset"],
        after=found["after"],
    )


def page(search: Search) -> tuple[list[Record], bool]:
    """The records of one page, and whether there are more after it."""
    records = newest_first(search.where).with_state()
    if search.after is not None:
        records = records.filter(before(*search.after))
    rows = list(records[search.offset : search.offset + search.limit + 1])
    return rows[: search.limit], len(rows) > search.limit


def capped_count(where: Q) -> tuple[int, bool]:
    """How many records match, counted up to COUNT_CAP; and whether there are more."""
    count = newest_first(where).order_by()[: COUNT_CAP + 1].count()
    return min(count, COUNT_CAP), count > COUNT_CAP


def sees_all(correlation_id: str) -> bool:
    """Whether who looks now may see every record of a correlation that there is: a verdict on all tells of each."""
    if not sight():
        return True
    visible = Record.objects.filter(correlation_id=correlation_id).count()
    with own_account():
        return visible > 0 and Record.objects.filter(correlation_id=correlation_id).count() == visible


def newest_first(where: Q) -> RecordQuerySet:
    """Matching records in the one order of all lists."""
    return Record.objects.filter(where).order_by("-event_timestamp", "-id")


def before(moment: datetime, record_id: UUID) -> Q:
    """What comes after this record in the order newest first."""
    # The redundant first bound is what lets PostgreSQL start in the middle of the index.
    return Q(event_timestamp__lte=moment) & (Q(event_timestamp__lt=moment) | Q(id__lt=record_id))


def cursor(record: Record) -> str:
    """An opaque cursor for the page after `record`."""
    text = f"{record.event_timestamp.astimezone(UTC).isoformat()} {record.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[datetime, UUID]:
    """The place that a cursor names. Raises `ValueError`."""
    try:
        moment, record_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(record_id)
    except (ValueError, OverflowError, binascii.Error):
        raise ValueError("is not a cursor of this service: take it from pagination.next") from None


def read_time(text: str, now: datetime | None = None) -> datetime:
    """`24h`, `7d`, or RFC 3339 (a date or a time without zone counts as UTC). Raises `ValueError`."""
    try:
        if match := _RELATIVE.match(text):
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is neither a span such as 24h or 7d nor an RFC 3339 time") from None


def _since(parameters: Mapping[str, str]) -> Q:
    text = parameters.get("since")
    return Q(event_timestamp__gte=read_time(text)) if text else Q()


def _until(parameters: Mapping[str, str]) -> Q:
    text = parameters.get("until")
    return Q(event_timestamp__lte=read_time(text)) if text else Q()


def _detail(parameters: Mapping[str, str]) -> Q:
    key, value = parameters.get("detail_key"), parameters.get("detail_value")
    if key is None and value is None:
        return Q()
    if not key or value is None:
        raise ValueError("detail_key and detail_value go together")
    if not _DETAIL_KEY.match(key):
        raise ValueError("takes letters, digits and '_' only")
    # The value is compared as text, whatever its JSON type; each form is one look-up in the index.
    matches = Q(event_data__contains={key: value})
    for scalar in _scalars(value):
        matches |= Q(event_data__contains={key: scalar})
    return matches


def _scalars(text: str) -> list[Any]:
    try:
        value = canonical.loads(text.encode())
    except ValueError:
        return []
    return [value] if isinstance(value, bool | int | float) else []


def _limit(parameters: Mapping[str, str]) -> int:
    return _integer(parameters.get("limit"), DEFAULT_LIMIT, 1, MAX_LIMIT)


def _offset(parameters: Mapping[str, str]) -> int:
    return _integer(parameters.get("offset"), 0, 0, MAX_OFFSET)


def _after(parameters: Mapping[str, str]) -> tuple[datetime, UUID] | None:
    text = parameters.get("after")
    if text and parameters.get("offset"):
        raise ValueError("goes without offset: a cursor names its place by itself")
    return read_cursor(text) if text else None


def _integer(text: str | None, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(text)


_READERS = {
    "since": _since,
    "until": _until,
    "detail_key": _detail,
    "limit": _limit,
    "offset": _offset,
    "after": _after,
}
