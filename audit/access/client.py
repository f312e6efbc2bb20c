"""client: whose session a request belongs to, and from which address it comes."""

import hashlib
import ipaddress

from django.conf import settings
from django.http import HttpRequest

SESSION_CHARACTERS = 16
PATH_CHARACTERS = 1_000


def address(request: HttpRequest | None) -> str | None:
    """The client's address, as the last proxy of ours saw it; None where it has none (a local socket)."""
    if request is None:
        return None
    found = str(request.META.get("REMOTE_ADDR", ""))
    if hops := settings.PROXY_HOPS:
        # Each proxy of ours adds the address that it saw at the end; what is before is the client's own claim.
        passed = [part.strip() for part in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
        found = passed[-hops] if len(passed) >= hops else found
    try:
        return str(ipaddress.ip_address(found.partition("%")[0]))
    except ValueError:
        return None


def session(request: HttpRequest) -> str:
    """A name for the session that opens nothing: the start of the digest of its key."""
    key = getattr(getattr(request, "session", None), "session_key", None) or ""
    return hashlib.sha256(key.encode()).hexdigest()[:SESSION_CHARACTERS] if key else ""


def text(value: str, characters: int = PATH_CHARACTERS) -> str:
    """Text of a client's as a record can hold it."""
    return value[:characters].replace("\x00", "\ufffd").encode(errors="replace").decode()
