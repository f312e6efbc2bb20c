"""What one writer may send: WRITER_RATE and WRITER_BYTES_RATE for all, quotas of a UTC day for each.

One of the few modules that use Redis by themselves: one script (`limits.lua`) charges a request to all of its limits,
or to none. While Redis does not answer nothing is limited: no event may be refused for that. The day is given back what
was answered 503, for that has to be sent again.
"""

import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import redis
import structlog
from django.conf import settings

import dlq.client
import dlq.servers
from audit.access.api_keys import NO_QUOTAS, Principal

log = structlog.get_logger(__name__)

SCRIPT = Path(__file__).with_name("limits.lua").read_text(encoding="utf-8")
TIMEOUT_S = 0.1
# After a failure of Redis requests pass unlimited, and unasked, for so long.
PAUSE_S = 1.0
PERIODS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
NONE = -1

INVALID_SCRIPT = Path(__file__).with_name("invalid.lua").read_text(encoding="utf-8")
GIVE_BACK_SCRIPT = Path(__file__).with_name("give_back.lua").read_text(encoding="utf-8")


class Refusal(NamedTuple):
    """A limit that a request is over: which, when it may be tried again, and how much of the limit is left."""

    limit: str
    wait_s: float
    left: int


class Charge(NamedTuple):
    """What a writer's day was charged: events and bytes of a request, on this day (of Redis, since 1970)."""

    writer: str
    day: int
    events: int
    bytes: int


class Usage(NamedTuple):
    events: int = 0
    bytes: int = 0
    epochs: int = 0


def apply_to(writer: Principal, *, sends: bool) -> bool:
    """Return whether anything limits this writer; a request that does not send events is bound by rates alone."""
    return are_counted(writer.quotas if sends else NO_QUOTAS) and time.monotonic() >= _paused_until


def are_counted(quotas: Iterable[int | None]) -> bool:
    """Whether events are counted: of a writer with one of these quotas, or of all where they have a rate."""
    return bool(settings.WRITER_RATE or settings.WRITER_BYTES_RATE) or any(quota is not None for quota in quotas)


def charge(
    writer: Principal, events: int, size: int, epochs: Collection[str], *, sends: bool
) -> Refusal | Charge | None:
    """Charge a request of `size` bytes to a writer. Quotas count what it `sends` alone.

    Return what its day was charged, or what it is over; None where it may pass, and no day was charged.
    """
    global _paused_until
    quotas = writer.quotas if sends else NO_QUOTAS
    rates = (*_rate(settings.WRITER_RATE), *_rate(settings.WRITER_BYTES_RATE))
    of_day = [NONE if quota is None else quota for quota in (quotas.events, quotas.bytes, quotas.epochs)]
    counted = epochs if quotas.epochs is not None else ()
    arguments: list[Any] = [events if sends else 1, size, *rates, *of_day, int(sends), *counted]
    try:
        limit, wait_ms, left, day = _run(writer.name, arguments)
    except redis.RedisError as error:
        _paused_until = time.monotonic() + PAUSE_S
        log.warning("limits_not_checked", error=type(error).__name__)
        return None
    if limit:
        return Refusal(limit.decode(), wait_ms / 1000, left)
    return Charge(writer.name, int(day), events, size) if sends else None


def give_back(charged: Charge) -> None:
    """Give the day back what a request was charged of which nothing was kept. Its epochs stay: each counts once."""
    _, day, _ = _names(charged.writer)
    arguments = [charged.day, charged.events, charged.bytes]
    try:
        _connection().register_script(GIVE_BACK_SCRIPT)(keys=[day], args=arguments)
    except redis.RedisError as error:
        log.warning("limits_not_given_back", writer=charged.writer, error=type(error).__name__)


def count(writer: str, events: int, size: int) -> None:
    """Charge to the day of a writer what its client has parked by itself.

    It is taken whatever the quotas are: only what is sent afterwards is refused for it.
    """
    unlimited = [0, 0, 0, 0, NONE, NONE, NONE]
    try:
        _run(writer, [events, size, *unlimited, 1])
    except redis.RedisError as error:
        log.warning("limits_not_counted", writer=writer, error=type(error).__name__)


def may_keep_invalid(writer: str, events: int, size: int) -> bool:
    """Charge events that are not valid, of `size` bytes, to what is kept of them for one writer on a UTC day."""
    arguments = [events, size, settings.INVALID_EVENTS, settings.INVALID_BYTES]
    name = dlq.client.app_key("audit", "limits", writer, "invalid")
    try:
        return bool(_connection().register_script(INVALID_SCRIPT)(keys=[name], args=arguments))
    except redis.RedisError as error:
        log.warning("limits_not_checked", error=type(error).__name__)
        return True  # the spool, which takes them now, has a bound of its own


_paused_until = 0.0


def usage(writer: str) -> Usage | None:
    _, day, epochs = _names(writer)
    try:
        connection = _connection()
        fields: Any = connection.hgetall(day)
        today = {name.decode(): int(value) for name, value in fields.items()}
        if today.get("day") != int(connection.time()[0]) // 86_400:
            return Usage()
        return Usage(today.get("events", 0), today.get("bytes", 0), connection.scard(epochs))
    except redis.RedisError:
        return None


def _run(writer: str, arguments: list[Any]) -> Any:
    return _connection().register_script(SCRIPT)(keys=_names(writer), args=arguments)


def _rate(text: str) -> tuple[float, float]:
    """Return the rate a second and the capacity of `1000/s` or `60000/min`: the bucket holds what a period may bring.

    A batch that is larger than the bucket passes when it is full, and the next request waits until that is made up.
    """
    number, _, period = text.partition("/")
    return (float(number) / PERIODS_S[period.strip()[:1].lower()], float(number)) if text else (0.0, 0.0)


def _names(writer: str) -> list[str]:
    return [dlq.client.app_key("audit", "limits", writer, part) for part in ("bucket", "day", "epochs")]


def _connection() -> redis.Redis:
    url = settings.CACHE_URL or settings.REDIS_URL
    if url not in _connections:
        _connections[url] = dlq.servers.client(url, tag="audit", timeout_s=TIMEOUT_S)
    return _connections[url]


_connections: dict[str, redis.Redis] = {}
