"""Lock logins after too many wrong passwords.

Failures are counted in the records, so there is no other counter that could be cleared. What is locked is a name at an
address, or an address, never a name alone: otherwise anybody could lock an administrator out.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from audit import visibility
from audit.access import client
from audit.models import OWN_WRITER, Record

LOGGED_IN, REFUSED = "audit.person.logged_in", "audit.person.login_refused"
LOCKED = "locked_out"  # the mark on a request that was refused for this
# So many times the failures of one name an address may have with all: people share addresses.
NAMES_AN_ADDRESS = 10


class LockoutBackend:
    """Stands before the other backends and refuses whoever has to wait. It never logs anybody in."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, **credentials: Any) -> None:
        if request is not None and username and is_locked(username, client.address(request)):
            setattr(request, LOCKED, True)
            raise PermissionDenied("Too many wrong passwords: wait.")


def is_locked(name: str, address: str | None) -> bool:
    """Return whether this name at this address, or the address, has used up its tries."""
    name, address = client.text(name, 150), address or ""
    since = datetime.now(UTC) - timedelta(minutes=settings.LOGIN_LOCK_MINUTES)
    with visibility.as_system():
        of_name = Record.objects.filter(writer=OWN_WRITER, actor_id=name, event_timestamp__gt=since)
        if (last := of_name.filter(event_type=LOGGED_IN, actor_ip=address).first()) is not None:
            of_name = of_name.filter(event_timestamp__gt=last.event_timestamp)
        refused = of_name.filter(event_type=REFUSED, actor_ip=address or None)
        if refused[: settings.LOGIN_TRIES].count() >= settings.LOGIN_TRIES:
            return True
        address_tries = settings.LOGIN_TRIES * NAMES_AN_ADDRESS
        from_there = Record.objects.filter(writer=OWN_WRITER, resource_id=address, event_timestamp__gt=since)
        return bool(address) and from_there.filter(event_type=REFUSED)[:address_tries].count() >= address_tries
