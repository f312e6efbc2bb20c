"""The client of a request: its session, its address, its texts."""

import hashlib
import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

from audit.formats import spellings

SESSION_CHARACTERS = 16
PATH_CHARACTERS = 1_000


def address(request: HttpRequest | None) -> str | None:
    """Return the client's address as our last proxy saw it; None for a local socket."""
    if request is None:
        return None
    seen = str(request.META.get("REMOTE_ADDR", ""))
    if hops := settings.PROXY_HOPS:
        # Each of our proxies appends the address that it saw; what stands before is the client's own claim.
        passed = [part.strip() for part in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
        seen = passed[-hops] if len(passed) >= hops else seen
    return _canonical(seen)


# A client sends thousands of requests from one address.
@lru_cache(maxsize=1024)
def _canonical(seen: str) -> str | None:
    try:
        return str(spellings.read_address(_without_port(seen).partition("%")[0]))
    except ValueError:
        return None


def _without_port(seen: str) -> str:
    """Return an address without the port that some proxies write after it, and without its brackets."""
    if seen.startswith("["):
        return seen[1:].partition("]")[0]
    host, _, port = seen.partition(":")
    return host if port.isdigit() else seen


def network(request: HttpRequest | None) -> str:
    """Return the network that one client has to itself: its IPv4 address, or the /64 of its IPv6 address.

    Returns "" for a local socket.
    """
    seen = address(request)
    return "" if seen is None else _network_of(seen)


@lru_cache(maxsize=1024)
def _network_of(seen: str) -> str:
    parsed = ipaddress.ip_address(seen)
    if isinstance(parsed, ipaddress.IPv4Address):
        return seen
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


def session(request: HttpRequest) -> str:
    """Return a name for the session that opens nothing: the start of the digest of its key."""
    key = getattr(getattr(request, "session", None), "session_key", None) or ""
    return hashlib.sha256(key.encode()).hexdigest()[:SESSION_CHARACTERS] if key else ""


def text(value: str, characters: int = PATH_CHARACTERS) -> str:
    return value[:characters].replace("\x00", "\ufffd").encode(errors="replace").decode()
