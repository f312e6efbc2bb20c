"""Ask each Sentinel of an address whether a failover could be agreed on now."""

from collections.abc import Iterator
from typing import Any

import redis
from django.core.checks import CheckMessage, Error, Warning

from dlq.address import Address, Place
from dlq.servers import asking

TIMEOUT_S = 0.5
QUORUM_HINT = "Three Sentinels on three machines agree though one is lost; each needs a way to all others."


def findings(at: Address) -> Iterator[CheckMessage]:
    """Yield what keeps the Sentinels of an address from leading to the primary, or to the next."""
    said = {place: _ask(at, place) for place in at.places}
    silent = {place: answer for place, answer in said.items() if isinstance(answer, str)}
    known = {place: answer for place, answer in said.items() if not isinstance(answer, str)}
    if silent:
        kind, number = (Warning, "W008") if known else (Error, "E009")
        yield kind(
            f"{len(silent)} of {len(said)} Sentinels of REDIS_URL do not answer: "
            f"{'; '.join(f'{_text(place)} ({words})' for place, words in silent.items())}.",
            hint="Start them, or correct their addresses, or sentinel_username and sentinel_password.",
            id=f"dlq.{number}",
        )
    strangers = {place: names for place, (names, _) in known.items() if at.service not in names}
    if strangers:
        others = sorted({name for names in strangers.values() for name in names})
        yield Error(
            f"No service {at.service!r} is known to the Sentinel {', '.join(map(_text, strangers))}.",
            hint=f"They know: {', '.join(others) or 'none'}. The name is after the hosts: redis+sentinel://HOSTS/NAME.",
            id="dlq.E010",
        )
    refusals = {place: refusal for place, (_, refusal) in known.items() if refusal and place not in strangers}
    if refusals:
        yield Error(
            "No failover of Redis could be agreed on now: "
            f"{'; '.join(f'{_text(place)} says {words}' for place, words in refusals.items())}.",
            hint=QUORUM_HINT,
            id="dlq.E011",
        )


def _ask(at: Address, place: Place) -> tuple[list[str], str] | str:
    """Return the services that a Sentinel knows, and its words where it has no quorum; else why it says nothing."""
    sentinel: Any = asking(at, place, TIMEOUT_S)
    try:
        names = sorted(sentinel.sentinel_masters())
        if at.service not in names:
            return names, ""
        try:
            sentinel.execute_command("SENTINEL", "CKQUORUM", at.service)
        except redis.ResponseError as error:
            return names, str(error)[:120]
        return names, ""
    except (redis.RedisError, OSError) as error:
        return type(error).__name__
    finally:
        sentinel.close()


def _text(place: Place) -> str:
    return f"{place[0]}:{place[1]}"
